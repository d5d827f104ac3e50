"""Which detection finds which object: the greedy matching of the COCO and YouTube-VIS evaluations.

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


def match(
    iou: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    detections: NDArray[np.int64],
    objects: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    most_detections: int,
) -> Matches:
    """Match the detections of one class in one video.

    Args:
        iou: (D, G) float64 IoU of each detection with each object of the class, 0 to 1; below the lowest threshold it
            need not be exact.
        scores: (D,) float64.
        detections: (D,) int64 positions of the detections in the video.
        objects: (G,) int64 positions of the objects in the video.
        crowd: (G,) bool, objects that are crowds.
        ignored: (S, G) bool, objects that need not be found, for each of S subsets; crowds are in it always.
        outside: (S, D) bool, detections that are ignored if they find nothing, for each subset.
        most_detections: Only so many best detections take part.
    """
    order = np.argsort(-scores, kind="stable")[:most_detections]
    iou, counted = iou[order], (~ignored).sum(axis=1)
    found = np.full((len(ignored), len(IOU_THRESHOLDS), len(order)), -1)
    free = np.ones((*found.shape[:2], len(objects)), np.bool_)
    needed = ~ignored[:, None]
    for rank, reached in enumerate(iou >= IOU_THRESHOLDS[0]):
        candidates = np.flatnonzero(reached)
        if len(candidates) == 1:
            # Nothing to choose.
            only = candidates[0]
            taken = free[:, :, only] & (iou[rank, only] >= IOU_THRESHOLDS)
            found[:, :, rank][taken] = only
            free[:, :, only] &= ~taken | crowd[only]
        elif len(candidates):
            open_to = free & (iou[rank] >= IOU_THRESHOLDS[:, None])
            counting = open_to & needed
            open_to = np.where(counting.any(axis=2, keepdims=True), counting, open_to)
            # Among equal IoUs the reference takes the last.
            best = len(objects) - 1 - np.where(open_to, iou[rank], -1.0)[..., ::-1].argmax(axis=2)
            subset, threshold = np.nonzero(open_to.any(axis=2))
            chosen = best[subset, threshold]
            found[subset, threshold, rank] = chosen
            free[subset, threshold, chosen] = crowd[chosen]
    unmatched, out = found < 0, np.broadcast_to(outside[:, None, order], found.shape)
    if not len(objects):
        return Matches(detections[order], scores[order], found, out, counted)
    passes = np.where(unmatched, out, np.take_along_axis(ignored[:, None], found, axis=2))
    return Matches(detections[order], scores[order], np.where(unmatched, -1, objects[found]), passes, counted)
