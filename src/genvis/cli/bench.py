"""``genvis bench``: speed and memory of a model, part by part."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genvis.cli.common.option_types import AsJson, Out
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.checkpoints.load import Network

DEFAULT_MODEL = "ovis-r50-online"


def bench(
    model: str | None = None,
    *,
    source: Path | None = None,
    height: int = 360,
    width: int = 640,
    resolution: int | None = None,
    clip_length: int | None = None,
    clips: int = 9,
    objects: int = 5,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    implementation: Literal["optimized", "reference"] = "optimized",
    threads: int | None = None,
    reference: bool = False,
    runtimes: bool = False,
    out: Out | None = None,
    json: AsJson = False,
) -> None:
    """Print the time of each part, frames/s, achieved against possible arithmetic, and peak memory.

    Args:
        model: The name of a published model, whose sizes are then measured with random weights (ovis-r50-online,
            ytvis21-swinl-semi-online, ...), or weights as genvis predict takes them. Default: ovis-r50-online.
        source: A video to run on. Default: a generated one.
        height: Height of the generated video.
        width: Width of the generated video.
        resolution: Frames are resized so that the shorter side has this many pixels. Default: the size of the generated
            video, or the model's number for a given one.
        clip_length: Frames that go through the network together. Default: the model's.
        clips: How many clips are measured, after two to warm up.
        objects: How many objects get masks and are drawn.
        device: auto, cpu, cuda, mps ...
        dtype: Number format of the network.
        implementation: optimized, or reference to run transformers' modules as they are.
        threads: CPU threads. Default: all cores.
        reference: Also run transformers' own Mask2Former on the same frames, in turns, and print the ratio.
        runtimes: Run the network by PyTorch, ONNX Runtime and OpenVINO in turns instead, as far as they are installed,
            and say which is fastest here and how far each is from the arithmetic. Any model will do.
        out: Write all figures to this JSON file.
        json: Print all figures as JSON instead of a table.
    """
    import torch

    from genvis.benchmarking.bench_report import BenchReport
    from genvis.benchmarking.benchmark import BenchOptions, run_benchmark
    from genvis.benchmarking.runtime_comparison import RuntimeComparison, compare_installed
    from genvis.cli.common.console import Console, print_json
    from genvis.files import write_json
    from genvis.model.detector.mask2former import as_mask2former
    from genvis.model.genvis import GenVIS

    options = BenchOptions(
        source=source,
        height=height,
        width=width,
        resolution=resolution,
        clip_length=clip_length,
        clips=clips,
        objects=objects,
        reference=reference,
    )
    if runtimes and (source is not None or dtype != "float32" or device not in ("auto", "cpu")):
        raise InputError("--runtimes compares on the CPU in float32, with frames of noise: leave out the rest.")
    if threads is not None:
        torch.set_num_threads(threads)
    name = model or DEFAULT_MODEL
    network = _model(name, device="cpu" if runtimes else device, dtype=dtype)
    report: BenchReport | RuntimeComparison
    if runtimes:
        resolution = options.resolution or min(height, width)
        report = compare_installed(
            network, height=height, width=width, resolution=resolution, turns=options.clips, name=name
        )
    else:
        if not isinstance(network, GenVIS):
            raise InputError(
                f"'{name}' has no parts to measure: bench measures a Mask2Former detector and its tracker, and with "
                "--runtimes any model."
            )
        as_mask2former(network.detector).implementation = implementation
        report = run_benchmark(network, options, name=name)
    if json:
        print_json(report.to_json())
    else:
        Console().print(report.table())
    if out is not None:
        write_json(out, report.to_json())


def _model(name: str, *, device: str, dtype: str) -> "Network":
    from genvis.inference.model_loading import find_device, load_model, to_device
    from genvis.model.config import GenVISConfig
    from genvis.model.genvis import GenVIS
    from genvis.model.published_models import recipe_names
    from genvis.runtimes.exported_model import ExportedModel

    if name not in recipe_names():
        model = load_model(name, device=device, dtype=dtype)
        if isinstance(model, ExportedModel):
            raise InputError(f"'{name}' is an export: give the model that it was made of, and --runtimes.")
        return model
    return to_device(GenVIS(GenVISConfig.from_recipe(name)).eval(), find_device(device), dtype=dtype)
