"""A clip's way through decoding, network, masks and writing, with the time and the arithmetic of each part."""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.benchmarking.machine import synchronize
from genvis.benchmarking.operations import operation_counter
from genvis.inference.mask_geometry import MaskCrop, MaskGeometry, mask_geometry
from genvis.inference.mask_store import positive_boxes
from genvis.inference.run_setup import RunSetup
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.model.mask_product import projected_mask_logits
from genvis.model.outputs import DetectorOutput, TrackerState
from genvis.video import Frame


@dataclass
class Stopwatch:
    """Seconds of each part in each clip, and floating-point operations of each part in the first clip.

    Attributes:
        device: Where the parts run.
        seconds: By part, one entry for each clip.
        operations: By part, for the clips in which they were counted.
    """

    device: torch.device
    seconds: dict[str, list[float]] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    is_counting: bool = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part; while operations are counted, its time is not taken."""
        counter = operation_counter() if self.is_counting else None
        start = time.perf_counter()
        with counter or nullcontext():
            yield
        synchronize(self.device)
        if counter is not None:
            self.operations[name] = self.operations.get(name, 0) + counter.get_total_flops()
        else:
            self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def median(self, name: str) -> float:
        """Return the median seconds of a part in a clip."""
        return statistics.median(self.seconds[name])


class DrawnClip(NamedTuple):
    """The masks of a clip at the size of its frames, (T, N, H, W) bool, and their numbers, from 1."""

    masks: NDArray[np.bool_]
    ids: list[int]


class ClipBenchmark:
    """Runs a model clip by clip as a live session does, part by part.

    Args:
        setup: The model and how it is run.
        objects: How many instances, the best scoring ones, get masks at the size of the frame.
        stopwatch: Takes the times.
    """

    def __init__(self, setup: RunSetup, *, objects: int, stopwatch: Stopwatch) -> None:
        assert isinstance(setup.model, GenVIS)
        self.setup = setup
        self._detector, self._tracker = as_mask2former(setup.model.detector), setup.model.tracker
        self.objects = objects
        self.stopwatch = stopwatch
        self._state: TrackerState | None = None

    def step(self, frames: Sequence[Frame]) -> DrawnClip:
        """Run one clip of T frames."""
        # The counter of operations does not work in inference mode.
        with torch.no_grad() if self.stopwatch.is_counting else torch.inference_mode():
            return self._step(frames)

    def _step(self, frames: Sequence[Frame]) -> DrawnClip:
        measure, detector, tracker = self.stopwatch.part, self._detector, self._tracker
        with measure("prepare"):
            pixel_values, sizes, _ = self.setup.prepare(frames)
        with measure("backbone"):
            maps = detector.backbone_maps(pixel_values)
        with measure("pixel decoder"):
            pixels = detector.decode_pixels(maps)
        with measure("frame decoder"):
            frame_queries = detector.decode_queries(pixels)[-1]
        with measure("tracker"):
            if tracker is None:  # MinVIS: the detector's own heads, of the last frame.
                embedder = detector.mask2former.transformer_module.decoder.mask_predictor.mask_embedder
                class_logits, embeddings = detector.class_predictor(frame_queries)[-1], embedder(frame_queries)[-1]
                projection = detector.mask_projection
            else:
                tokens = tracker.tokens(detector, DetectorOutput(frame_queries[None], pixels.stride4))
                output, self._state = tracker(tokens[None], self._state)
                class_logits, embeddings = output.class_logits[-1, 0], output.mask_embeddings[-1, 0]
                projection = tracker.mask_features
        with measure("masks"):
            logits = projected_mask_logits(embeddings, projection, pixels.stride4)
            height, width = logits.shape[-2:]
            return self._masks(class_logits, logits, mask_geometry(*sizes, (height, width)))

    def _masks(self, class_logits: Tensor, logits: Tensor, geometry: MaskGeometry) -> DrawnClip:
        scores = class_logits.float().softmax(dim=-1)[:, :-1].amax(dim=1)
        chosen = scores.topk(min(self.objects, len(scores))).indices
        masks = np.zeros((len(logits), len(chosen), *geometry.frame), np.bool_)
        for frame, frame_logits in enumerate(logits[:, chosen]):
            values = frame_logits.cpu().numpy()
            for row, (top, left, bottom, right) in enumerate(positive_boxes(frame_logits).tolist()):
                if bottom > top:
                    crop = MaskCrop(top, left, values[row, top:bottom, left:right])
                    masks[frame, row] = geometry.mask(crop)
        return DrawnClip(masks, [index + 1 for index in chosen.tolist()])
