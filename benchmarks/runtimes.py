"""One network in PyTorch (ours), ONNX Runtime, OpenVINO and as transformers' own class: in turns, in one process.

Random weights of the published sizes, whose sampling offsets depend on the pixels as after training. From pixel values
to mask logits of all queries; the class of transformers finds the objects of one frame and tracks nothing. The floor is
the time that the network's products, convolutions and attention take at the speed of a large float32 matrix product,
measured in the same turns.

    python benchmarks/runtimes.py --prepare EXPORTS                       # exports all networks, minutes; once
    python benchmarks/runtimes.py EXPORTS --threads 2 --rounds 3          # about 7 minutes on two quiet cores
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor, nn
from transformers import Mask2FormerForUniversalSegmentation, VideomtForUniversalSegmentation

from genvis.benchmarking.runtime_comparison import (
    RuntimeComparison,
    Step,
    compare_runtimes,
    gigaflop_of,
    network_step,
)
from genvis.checkpoints.load import load
from genvis.export.export_model import ExportOptions, export_model
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.published_models import swin_backbone
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig
from genvis.runtimes.runtime_names import RUNTIME_NAMES

CLASSES = {index: f"class {index}" for index in range(40)}
# By --small: a network of a few thousand weights, to see that everything runs.
SMALL: dict[str, Any] = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "num_blocks": 2}
SMALL |= {"image_size": 96, "num_queries": 7, "min_size_test": 64, "id2label": CLASSES}


class Case(NamedTuple):
    """A network at a size.

    Attributes:
        build: Makes it.
        height: Of the frames.
        width: Of the frames.
        turns: Measured in a round.
    """

    build: Callable[[], GenVIS | VidEoMT]
    height: int
    width: int
    turns: int


def videomt_small() -> VidEoMT:
    sizes = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "num_blocks": 3}
    return VidEoMT(VidEoMTConfig(**sizes, image_size=640, min_size_test=448, id2label=CLASSES))


def swin_tiny() -> GenVIS:
    return GenVIS(
        GenVISConfig(
            detector={"backbone_config": swin_backbone("tiny"), "num_queries": 100, "id2label": CLASSES},
            id2label=CLASSES,
            method="minvis",
            propagate_queries=False,
            memory_read="none",
        )
    )


CASES = {
    "sprites-tiny": Case(lambda: load("sprites-tiny"), 160, 256, 15),
    "GenVIS-R50": Case(lambda: GenVIS(GenVISConfig.from_recipe("ovis-r50-online")), 360, 640, 4),
    "VidEoMT-S": Case(videomt_small, 448, 800, 4),
    "Mask2Former-Swin-T": Case(swin_tiny, 360, 640, 4),
    "GenVIS-Swin-L": Case(lambda: GenVIS(GenVISConfig.from_recipe("ovis-swinl-online")), 448, 800, 2),
    "small": Case(lambda: VidEoMT(VidEoMTConfig(**SMALL)), 64, 96, 3),
}


def built(case: Case) -> GenVIS | VidEoMT:
    """Return the network with the same weights in every process."""
    torch.manual_seed(0)
    model = case.build().eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.endswith("sampling_offsets.weight"):
            nn.init.normal_(parameter, std=0.1)
    return model


def prepare(folder: Path, names: list[str]) -> None:
    for name in names:
        case, start = CASES[name], time.perf_counter()
        options = ExportOptions(
            height=case.height, width=case.width, resolution=min(case.height, case.width), overwrite=True
        )
        report = export_model(built(case), folder / name, options, name=name)
        greatest = max(report.differences, key=lambda one: one.greatest)
        seconds = time.perf_counter() - start
        print(f"{name}: {seconds:.0f} s, differs by up to {greatest.greatest:.1e} ({greatest.output})", flush=True)


def transformers_step(model: GenVIS | VidEoMT, pixels: Tensor) -> tuple[str, Step, Tensor]:
    """Return the name, the step and the input of transformers' own class."""
    if isinstance(model, VidEoMT):  # It takes squares of its own size only.
        theirs = VideomtForUniversalSegmentation(model.config).eval()
        side = model.config.image_size
        square = torch.randn(1, 1, 3, side, side)
        return f"transformers, {side}x{side}", lambda values, _: (theirs(pixel_values_videos=values), None), square
    network = Mask2FormerForUniversalSegmentation(model.config.detector_config).eval()
    return "transformers", lambda values, _: (network(values), None), pixels


def ways_of(name: str, folder: Path, *, without: list[str]) -> tuple[dict[str, Step], dict[str, Tensor], float]:
    """Return the steps and inputs of all ways, and the operations of a frame."""
    case = CASES[name]
    model = built(case)
    exported = {runtime: load(folder / name, runtime=runtime) for runtime in RUNTIME_NAMES if runtime not in without}
    height, width = json.loads((folder / name / "model.json").read_text())["input_size"]
    pixels = torch.randn(1, 3, height, width)
    steps: dict[str, Step] = {"torch": network_step(model)}
    inputs = {"torch": pixels}
    gigaflop = gigaflop_of(steps["torch"], pixels)
    for runtime, network in exported.items():
        steps[runtime], inputs[runtime] = network_step(network), pixels
    if "bfloat16" not in without:
        half = nn.Module.to(built(case), dtype=torch.bfloat16)
        steps["torch, bfloat16"], inputs["torch, bfloat16"] = network_step(half), pixels.bfloat16()
    if "transformers" not in without:
        way, step, values = transformers_step(model, pixels)
        steps[way], inputs[way] = step, values
    return steps, inputs, gigaflop


def markdown(found: list[RuntimeComparison]) -> str:
    """Return a table with a line for each way of each network; the rounds stand side by side."""
    networks = dict.fromkeys(comparison.network for comparison in found)
    lines = [
        "| network | runtime | ms a frame | times ours | times the floor | of processor time |",
        "|---|---|---|---|---|---|",
    ]
    for network in networks:
        rounds = [comparison for comparison in found if comparison.network == network]
        for place, report in enumerate(rounds[0].reports):
            reports = [comparison.reports[place] for comparison in rounds]
            ours = [comparison.reports[0] for comparison in rounds]
            figures = {
                "ms a frame": [f"{one.milliseconds:.3g}" for one in reports],
                "times ours": [
                    f"{one.milliseconds / first.milliseconds:.2f}" for one, first in zip(reports, ours, strict=True)
                ],
                "times the floor": [f"{one.floor:.2f}" for one in reports],
                "of processor time": [f"{one.processor_floor:.2f}" for one in reports],
            }
            columns = (network, report.name, *(", ".join(values) for values in figures.values()))
            lines.append(f"| {' | '.join(columns)} |")
    speeds = ", ".join(f"{comparison.matrix_product:.0f}" for comparison in found)
    return "\n".join([*lines, "", f"Matrix product in GFLOP/s, in the order of the rounds: {speeds}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the exports")
    parser.add_argument("--prepare", action="store_true", help="export the networks, and measure nothing")
    parser.add_argument("--networks", nargs="*", choices=list(CASES), default=list(CASES)[:-1])
    parser.add_argument("--without", nargs="*", default=[], help="ways that are left out: bfloat16, transformers, ...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, help="JSON file of all figures")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.prepare:
        prepare(options.folder, options.networks)
        return
    found: list[RuntimeComparison] = []
    console = Console(width=110)
    for name in options.networks:
        if not (options.folder / name / "model.json").exists():
            prepare(options.folder, [name])
        steps, inputs, gigaflop = ways_of(name, options.folder, without=options.without)
        height, width = inputs["torch"].shape[-2:]
        for _ in range(options.rounds):
            comparison = compare_runtimes(
                steps, inputs, network=f"{name}, {height}x{width}", gigaflop=gigaflop, turns=CASES[name].turns
            )
            console.print(comparison.table())
            found.append(comparison)
            if options.out:
                options.out.write_text(json.dumps([one.to_json() for one in found], indent=1) + "\n")
    print(markdown(found))


if __name__ == "__main__":
    main()
