"""Runs a benchmark: a model, a video, and what each part takes."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.benchmarking.bench_report import BenchReport, PartReport, ReferenceReport
from genvis.benchmarking.clip_parts import ClipBenchmark, Stopwatch
from genvis.benchmarking.machine import measure_machine, peak_memories, synchronize
from genvis.errors import InputError
from genvis.inference.run_setup import RunSetup
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.video import Frame, open_source
from genvis.video.drawing.instances import draw_instances
from genvis.video.writing.video_writer import VideoWriter

PARTS = ("decode", "prepare", "backbone", "pixel decoder", "frame decoder", "tracker", "masks", "draw", "write")


@dataclass(frozen=True)
class BenchOptions:
    """Options of a benchmark.

    Attributes:
        source: A video; None makes one.
        height: Height of the generated video.
        width: Its width.
        resolution: The network sees frames with a shorter side of this many pixels; None takes the video's own size
            if it is generated, else the model's.
        clip_length: Frames that go through the network together; None takes the model's.
        clips: How many clips are measured, after two that are not.
        objects: How many objects get masks and are drawn.
        reference: Whether to compare with transformers' own Mask2Former.
    """

    source: Path | None = None
    height: int = 360
    width: int = 640
    resolution: int | None = None
    clip_length: int | None = None
    clips: int = 9
    objects: int = 5
    reference: bool = False

    def __post_init__(self) -> None:
        for name in ("height", "width", "clips", "objects"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")


def run_benchmark(model: GenVIS, options: BenchOptions, *, name: str) -> BenchReport:
    """Measure a model.

    Args:
        model: The network, on its device, in its dtype; its parameters no longer require a gradient afterwards.
        options: Video, resolution, clips.
        name: How the report calls the model.

    Raises:
        InputError: If the video cannot be read or is too short.
    """
    resolution = options.resolution
    if resolution is None and options.source is None:
        resolution = min(options.height, options.width)
    longer = max(options.height, options.width) if options.source is None and options.resolution is None else None
    setup = RunSetup(
        model,
        tracker=None,
        clip_length=options.clip_length,
        resolution=resolution,
        max_size=longer,
        memory_clips=None,
        classes=None,
    )
    model.requires_grad_(False)  # The counter of operations would otherwise look for their gradients.
    machine = measure_machine(model.device, model.dtype)
    stopwatch = Stopwatch(model.device)
    benchmark = ClipBenchmark(setup, objects=options.objects, stopwatch=stopwatch)
    reference = _Reference(model) if options.reference else None
    with tempfile.TemporaryDirectory() as folder:
        wanted = (options.clips + 2) * setup.clip_length
        source = options.source or _generated_video(Path(folder) / "generated.mp4", options, frames=wanted)
        with VideoWriter(Path(folder) / "drawn.mp4") as writer:
            for index, clip in enumerate(_clips(source, setup, stopwatch, clips=options.clips + 2)):
                stopwatch.is_counting = index == 0
                _step(benchmark, clip, writer, stopwatch)
                if reference is not None:
                    reference.step(setup.prepare(clip).pixel_values)
                if index == 1:  # The first clip was counted, the second one warmed up.
                    stopwatch.seconds.clear()
                    if reference is not None:
                        reference.seconds.clear()
    return _report(setup, stopwatch, machine_fields=machine._asdict(), name=name, clip=clip, reference=reference)


def _step(benchmark: ClipBenchmark, clip: Sequence[Frame], writer: VideoWriter, stopwatch: Stopwatch) -> None:
    drawn = benchmark.step(clip)
    with stopwatch.part("draw"):
        images = [
            draw_instances(frame.image, masks=masks, ids=drawn.ids)
            for frame, masks in zip(clip, drawn.masks, strict=True)
        ]
    with stopwatch.part("write"):
        for frame, image in zip(clip, images, strict=True):
            writer.write(image, time=frame.time)


def _clips(source: Path, setup: RunSetup, stopwatch: Stopwatch, *, clips: int) -> Iterator[list[Frame]]:
    with open_source(source) as opened:
        frames = iter(opened)
        for index in range(clips):
            with stopwatch.part("decode"):
                clip = list(islice(frames, setup.clip_length))
            if len(clip) < setup.clip_length:
                have = index * setup.clip_length + len(clip)
                raise InputError(
                    f"{source} has {have} frames, but {clips * setup.clip_length} are needed: ask for fewer clips."
                )
            yield clip


class _Reference:
    """Transformers' own model on the same frames: all a user of that library would have to run."""

    def __init__(self, model: GenVIS) -> None:
        from transformers import Mask2FormerForUniversalSegmentation

        self.model = model
        self.network = Mask2FormerForUniversalSegmentation(model.config.detector_config).eval()
        torch.nn.Module.to(self.network, device=model.device, dtype=model.dtype)
        self.seconds: list[float] = []

    @torch.inference_mode()
    def step(self, pixel_values: Tensor) -> None:
        synchronize(self.model.device)
        start = time.perf_counter()
        self.network(pixel_values)
        synchronize(self.model.device)
        self.seconds.append(time.perf_counter() - start)


def _report(
    setup: RunSetup,
    stopwatch: Stopwatch,
    *,
    machine_fields: dict[str, Any],
    name: str,
    clip: Sequence[Frame],
    reference: _Reference | None,
) -> BenchReport:
    model, frames = setup.model, len(clip)
    assert isinstance(model, GenVIS)
    parts = tuple(
        PartReport(
            name=part,
            milliseconds=1000 * stopwatch.median(part) / frames,
            gigaflop=stopwatch.operations.get(part, 0) / 1e9 / frames,
        )
        for part in PARTS
    )
    resized = setup.preprocessing.resized_size(clip[0].height, clip[0].width)
    compared = None
    if reference is not None:
        inference = ("prepare", "backbone", "pixel decoder", "frame decoder", "tracker", "masks")
        by_clip = zip(*(stopwatch.seconds[part] for part in inference), strict=True)
        ours = statistics.median([sum(seconds) for seconds in by_clip])
        theirs = statistics.median(reference.seconds)
        compared = ReferenceReport(milliseconds=1000 * theirs / frames, ratio=ours / theirs)
    return BenchReport(
        model=name,
        frame_size=(clip[0].height, clip[0].width),
        network_size=resized,
        clip_length=frames,
        dtype=str(model.dtype).removeprefix("torch."),
        implementation="optimized" if as_mask2former(model.detector).is_optimized else "reference",
        clips=len(stopwatch.seconds["tracker"]),
        machine=machine_fields,
        parts=parts,
        peak_memory=peak_memories(model.device),
        reference=compared,
    )


def _generated_video(path: Path, options: BenchOptions, *, frames: int) -> Path:
    """Write a video of discs that move over a textured ground."""
    with VideoWriter(path) as writer:
        for index in range(frames):
            writer.write(_picture(options.height, options.width, index), time=index / 25)
    return path


def _picture(height: int, width: int, index: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    ground = 90 + 60 * np.sin(rows / 17) * np.cos(columns / 23)
    picture = np.stack([ground, ground[::-1], ground[:, ::-1]], axis=2)
    for disc in range(5):
        row = height * (0.5 + 0.35 * np.sin(disc + index / (9 + disc)))
        column = width * (0.5 + 0.4 * np.cos(2 * disc + index / (11 + disc)))
        inside = (rows - row) ** 2 + (columns - column) ** 2 < (height / 9) ** 2
        picture[inside] = (60 + 40 * disc, 230 - 45 * disc, 40 + 90 * (disc % 3))
    return picture.clip(0, 255).astype(np.uint8)
