"""Greedy matching of detections and objects, as in the COCO and YouTube-VIS evaluations.

Detections choose in the order of their scores. Each takes the object of the highest IoU that is still free, if the IoU
reaches the threshold; objects that count (not ignored) come first, and a crowd may be taken again and again. A
detection that takes an ignored object is ignored, and so is one that takes nothing and is itself out of the subset.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The IoU thresholds over which average precision is averaged."""


@dataclass(frozen=True)
class Matches:
    """The matching of D detections of one class in one video, for S subsets of the objects and K IoU thresholds.

    Attributes:
        detections: (D,) int64, positions of the detections in the video, best score first.
        scores: (D,) float64, descending.
        objects: (S, K, D) int64, the object that each detection takes, by its position in the video; -1 for none.
        ignored: (S, K, D) bool, detections that count neither as right nor as wrong.
        counted: (S,) int64, how many objects of each subset are there to be found.
    """

    detections: NDArray[np.int64]
    scores: NDArray[np.float64]
    objects: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    counted: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(S, K, D) bool: detections that find an object."""
        return (self.objects >= 0) & ~self.ignored

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(S, K, D) bool: detections that find none, and should."""
        return (self.objects < 0) & ~self.ignored


class Matcher:
    """Matches the detections of one class in one video, best score first, some at a time.

    Args:
        objects: (G,) int64 positions of the objects in the video.
        crowd: (G,) bool, objects that are crowds.
        ignored: (S, G) bool, objects that need not be found, for each of S subsets; crowds are in it always.
    """

    def __init__(self, objects: NDArray[np.int64], *, crowd: NDArray[np.bool_], ignored: NDArray[np.bool_]) -> None:
        self._objects = objects
        self._crowd = crowd
        self._ignored = ignored
        self._free = np.ones((len(ignored), len(IOU_THRESHOLDS), len(objects)), np.bool_)
        self._found: list[NDArray[np.int64]] = []

    @property
    def least(self) -> NDArray[np.float64]:
        """(G,) float64: the smallest IoU by which an object can still be taken; infinite if by none."""
        return np.where(self._free.any(axis=0), IOU_THRESHOLDS[:, None], np.inf).min(axis=0)

    def add(self, iou: NDArray[np.float64]) -> None:
        """Let the next n detections choose; ``iou`` (n, G) must be exact from ``least`` on, and below it else."""
        found = np.full((*self._free.shape[:2], len(iou)), -1)
        for row, reached in enumerate(iou >= IOU_THRESHOLDS[0]):
            candidates = np.flatnonzero(reached)
            if len(candidates) == 1:
                # Nothing to choose.
                only = candidates[0]
                taken = self._free[:, :, only] & (iou[row, only] >= IOU_THRESHOLDS)
                found[:, :, row][taken] = only
                self._free[:, :, only] &= ~taken | self._crowd[only]
            elif len(candidates):
                self._choose(iou[row], found[:, :, row])
        self._found.append(found)

    def _choose(self, iou: NDArray[np.float64], found: NDArray[np.int64]) -> None:
        """Take the best free object for one detection and write it to ``found`` (S, K)."""
        open_to = self._free & (iou >= IOU_THRESHOLDS[:, None])
        counting = open_to & ~self._ignored[:, None]
        open_to = np.where(counting.any(axis=2, keepdims=True), counting, open_to)
        # Among equal IoUs the reference takes the last.
        best = len(self._objects) - 1 - np.where(open_to, iou, -1.0)[..., ::-1].argmax(axis=2)
        subset, threshold = np.nonzero(open_to.any(axis=2))
        chosen = best[subset, threshold]
        found[subset, threshold] = chosen
        self._free[subset, threshold, chosen] = self._crowd[chosen]

    def matches(
        self, detections: NDArray[np.int64], scores: NDArray[np.float64], outside: NDArray[np.bool_]
    ) -> Matches:
        """Return the matching of all detections that were added.

        Args:
            detections: (D,) int64 positions of the detections in the video, best score first.
            scores: (D,) float64, descending.
            outside: (S, D) bool, detections that are ignored if they find nothing, for each subset.
        """
        found, counted = np.concatenate(self._found, axis=2), (~self._ignored).sum(axis=1)
        unmatched, out = found < 0, np.broadcast_to(outside[:, None], found.shape)
        if not len(self._objects):
            return Matches(detections, scores, found, out, counted)
        passes = np.where(unmatched, out, np.take_along_axis(self._ignored[:, None], found, axis=2))
        return Matches(detections, scores, np.where(unmatched, -1, self._objects[found]), passes, counted)
