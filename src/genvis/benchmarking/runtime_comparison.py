"""Comparison of runtimes: the same network in PyTorch, ONNX Runtime and OpenVINO, in turns, against the arithmetic."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from genvis.benchmarking.machine import matrix_product
from genvis.benchmarking.operations import operation_counter
from genvis.checkpoints.load import Model
from genvis.errors import MissingExtraError
from genvis.export.on_demand import WrittenGraphs, run_by
from genvis.model.genvis import GenVIS
from genvis.model.preprocessing import Preprocessing
from genvis.model.tracker.videomt import VidEoMT
from genvis.runtimes.exported_model import ExportedVidEoMT
from genvis.runtimes.runtime_names import RUNTIME_NAMES

Step = Callable[[Tensor, Any], tuple[Any, Any]]
"""One clip: pixel values and state in, tracks and the next state out."""


@dataclass(frozen=True)
class RuntimeReport:
    """One way to run a network, for one frame.

    Attributes:
        name: Of the way.
        milliseconds: Median by the clock.
        processor_milliseconds: Median of the processor time of all threads, which busy neighbours disturb less.
        floor: Milliseconds by the clock, divided by those that the network's products, convolutions and attention take
            at the speed of a large matrix product, measured in the same turns in float32.
        processor_floor: The same by processor time.
    """

    name: str
    milliseconds: float
    processor_milliseconds: float
    floor: float
    processor_floor: float


@dataclass(frozen=True)
class RuntimeComparison:
    """Ways to run one network, measured in turns.

    Attributes:
        network: Its name, with the size of its input.
        gigaflop: Floating-point operations of a frame (multiplication and addition are two), in 1e9.
        matrix_product: Speed of a large matrix product by the clock, in GFLOP/s.
        threads: Threads of every runtime.
        turns: How many were measured.
        reports: A way each, the first being ours.
    """

    network: str
    gigaflop: float
    matrix_product: float
    threads: int
    turns: int
    reports: tuple[RuntimeReport, ...]

    @property
    def fastest(self) -> RuntimeReport:
        """The fastest way by the clock."""
        return min(self.reports, key=lambda report: report.milliseconds)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**asdict(self), "fastest": self.fastest.name}

    def table(self) -> Table:
        """Return the table that the command prints."""
        table = Table(title=f"{self.network}, a frame, runtimes in turns", title_justify="left")
        for column in ("runtime", "ms", "ms of processor", "ratio", "times the floor", "of processor"):
            table.add_column(column, justify="left" if column == "runtime" else "right")
        first = self.reports[0]
        for report in self.reports:
            table.add_row(
                report.name,
                f"{report.milliseconds:.1f}",
                f"{report.processor_milliseconds:.1f}",
                f"{report.milliseconds / first.milliseconds:.2f}",
                f"{report.floor:.2f}",
                f"{report.processor_floor:.2f}",
            )
        table.caption = (
            f"fastest here: {self.fastest.name}; {self.gigaflop:.1f} GFLOP, matrix product {self.matrix_product:.0f} "
            f"GFLOP/s with {self.threads} threads, medians of {self.turns} turns"
        )
        table.caption_justify = "left"
        return table


@torch.inference_mode()
def compare_runtimes(
    steps: Mapping[str, Step], pixels: Mapping[str, Tensor] | Tensor, *, network: str, gigaflop: float, turns: int
) -> RuntimeComparison:
    """Run all ways in turns, each with its own state of the video.

    Args:
        steps: By name, ours first; see `network_step`.
        pixels: Pixel values of a clip of one frame; by name where ways take other ones.
        network: Name for the report.
        gigaflop: Operations of a frame, see `gigaflop_of`.
        turns: How many are measured, after one that is not.
    """
    states: dict[str, Any] = dict.fromkeys(steps)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    products: list[tuple[float, float]] = []
    for turn in range(turns + 1):
        product = matrix_product(torch.device("cpu"), torch.float32, repeats=3)
        for name, step in steps.items():
            values = pixels if isinstance(pixels, Tensor) else pixels[name]
            start, processor = time.perf_counter(), time.process_time()
            _, states[name] = step(values, states[name])
            taken = time.perf_counter() - start, time.process_time() - processor
            if turn:
                seconds[name].append(taken)
        if turn:
            products.append((product.by_clock, product.by_processor))
    speed, processor_speed = (statistics.median(values) for values in zip(*products, strict=True))
    reports = []
    for name, taken_each in seconds.items():
        clock, processor = (1000 * statistics.median(values) for values in zip(*taken_each, strict=True))
        reports.append(
            RuntimeReport(
                name,
                clock,
                processor,
                clock / (1000 * gigaflop / speed) if gigaflop else float("nan"),
                processor / (1000 * gigaflop / processor_speed) if gigaflop else float("nan"),
            )
        )
    return RuntimeComparison(network, gigaflop, speed, torch.get_num_threads(), turns, tuple(reports))


def compare_installed(
    model: GenVIS | VidEoMT, *, height: int, width: int, resolution: int | None, turns: int, name: str
) -> RuntimeComparison:
    """Export a network and run it by PyTorch and by every runtime that is installed, in turns.

    Args:
        model: On the CPU, in float32.
        height: Of the frames.
        width: Of the frames.
        resolution: As in `genvis.inference.run_setup.RunSetup`.
        turns: How many are measured.
        name: Of the model, for the report.

    Raises:
        MissingExtraError: If no runtime but PyTorch is installed.
        InputError: If the model cannot be exported.
    """
    installed = [runtime for runtime in RUNTIME_NAMES if find_spec(runtime) is not None]
    if not installed:
        raise MissingExtraError("onnxruntime", "openvino")
    preprocessing: Preprocessing = model.config.preprocessing
    if resolution is not None:
        preprocessing = preprocessing.with_resolution(resolution)
    frame = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    pixels = preprocessing.normalize(preprocessing.resize(frame))
    steps = {"torch": network_step(model.eval().requires_grad_(False))}
    gigaflop = gigaflop_of(steps["torch"], pixels)
    written = WrittenGraphs()  # A trace takes from seconds to a minute, and all runtimes run the same graphs.
    steps |= {runtime: network_step(run_by(model, runtime, written=written)) for runtime in installed}
    rows, columns = pixels.shape[-2:]
    return compare_runtimes(steps, pixels, network=f"{name}, {rows}x{columns}", gigaflop=gigaflop, turns=turns)


def network_step(model: Model) -> Step:
    """Return what takes a clip through a network, whatever runs it: from pixel values to mask logits of all queries."""
    if isinstance(model, VidEoMT | ExportedVidEoMT):
        videomt = model.network if isinstance(model, ExportedVidEoMT) else model

        def step_of_videomt(pixel_values: Tensor, state: Any) -> tuple[Any, Any]:
            output = videomt.step(pixel_values, state)
            return output.mask_logits, output.state

        return step_of_videomt
    detector, tracker = model.detector, model.tracker

    def step(pixel_values: Tensor, state: Any) -> tuple[Any, Any]:
        detected = detector(pixel_values)
        if tracker is None:
            return detector.predict(detected).mask_logits(0), None
        output, state = tracker(tracker.tokens(detector, detected)[None], state)
        return tracker.mask_logits(output, detected.features), state

    return step


def gigaflop_of(step: Step, pixels: Tensor) -> float:
    """Return the operations of a clip's products, convolutions and attention, in 1e9."""
    with torch.no_grad(), operation_counter() as counter:  # It does not work in inference mode.
        step(pixels, None)
    return counter.get_total_flops() / 1e9
