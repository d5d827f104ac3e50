"""How much detected tracks overlap annotated ones, exactly, without looking at every pair in every frame.

The IoU of two tracks is the sum of their intersections over the sum of their unions over all frames of the video.
Intersections come from pycocotools, many frames and pairs at once. Pairs that cannot reach the IoU that is asked for
are told by areas and boxes and skipped.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from genvis.evaluation.metrics.video_masks import VideoMasks

# Frames handed to the C library at a time: enough to forget the cost of a call, few enough to keep its table small.
_FRAMES_PER_CALL = 6
# Pairs that are ruled out are dropped once no more than this share is left.
_WORTHWHILE = 0.8


@dataclass(frozen=True)
class Overlap:
    """The overlap of D detections with G annotated objects in one video of T frames.

    Attributes:
        iou: (D, G) float64, 0 to 1: sum of intersections over sum of unions.
        intersections: (T, D, G) int64 pixels.
    """

    iou: NDArray[np.float64]
    intersections: NDArray[np.int64]


def full_overlap(detected: VideoMasks, annotated: VideoMasks) -> Overlap:
    """Compute every pair in every frame."""
    comparison = _Comparison(detected, annotated, np.ones((len(detected), len(annotated)), np.bool_))
    intersections = np.zeros((detected.length, len(detected), len(annotated)), np.int64)
    for frames in _spread(detected.length):
        intersections[frames] = comparison.intersections(frames)
    return Overlap(_iou(detected, annotated, intersections.sum(axis=0)), intersections)


def iou_from(detected: VideoMasks, annotated: VideoMasks, least: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the IoU of those pairs that can reach a value.

    Args:
        detected: D tracks.
        annotated: G tracks of the same video.
        least: (D, G) float64, the smallest IoU of interest of each pair, above 0; infinite where there is none.

    Returns:
        (D, G) float64: the IoU where it is at least ``least``, elsewhere something below that.
    """
    # In a frame that has not been looked at, an intersection is at most the smaller of both areas.
    bounds = np.minimum(detected.areas.T[:, :, None], annotated.areas.T[:, None])
    areas = detected.areas.sum(axis=1)[:, None] + annotated.areas.sum(axis=1)
    intersections, most = np.zeros(least.shape, np.int64), bounds.sum(axis=0)
    # No IoU exceeds 1; infinity times nothing would not be a number.
    reach = np.minimum(least, 2.0)
    wanted = (most > 0) & (most >= reach * (areas - most))
    comparison = _Comparison(detected, annotated, wanted)
    for frames in _spread(detected.length):
        left = np.count_nonzero(wanted)
        if left == 0:
            break
        if left < _WORTHWHILE * np.count_nonzero(comparison.pairs):
            comparison = _Comparison(detected, annotated, wanted)
        seen = comparison.intersections(frames).sum(axis=0)
        intersections += seen
        most += seen - bounds[frames].sum(axis=0)
        wanted = wanted & (most >= reach * (areas - most))
    return _iou(detected, annotated, np.where(wanted, intersections, 0))


def _spread(length: int) -> list[NDArray[np.int64]]:
    """Divide frames into parts for one call each, such that already the first ones tell much about the video."""
    parts = -(-length // _FRAMES_PER_CALL)
    order = np.argsort([f"{part:b}"[::-1].ljust(16, "0") for part in range(parts)], kind="stable")
    return [np.arange(part, length, parts) for part in order]


def _iou(detected: VideoMasks, annotated: VideoMasks, intersections: NDArray[np.int64]) -> NDArray[np.float64]:
    unions = detected.areas.sum(axis=1)[:, None] + annotated.areas.sum(axis=1) - intersections
    return intersections / np.maximum(unions, 1)


class _Comparison:
    """Compares pairs of tracks, some frames at a time.

    pycocotools compares all masks of one list with all of another, but only those of equal size, and it looks at the
    width for nothing else. So each frame, and each group of tracks that have to do with one another, is given a width
    of its own: one call then computes several frames, and nothing that is not wanted.

    Args:
        detected: D tracks.
        annotated: G tracks of the same video.
        pairs: (D, G) bool, the pairs to compare.
    """

    def __init__(self, detected: VideoMasks, annotated: VideoMasks, pairs: NDArray[np.bool_]) -> None:
        self.pairs = pairs
        row_groups, column_groups = _groups(pairs)
        self._left = _Side(detected, np.flatnonzero(pairs.any(axis=1)), row_groups, len(pairs))
        self._right = _Side(annotated, np.flatnonzero(pairs.any(axis=0)), column_groups, len(pairs))

    def intersections(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (F, D, G) int64, pixels in common in F frames; exact for the pairs, for others perhaps 0."""
        result = np.zeros((len(frames), *self.pairs.shape), np.int64)
        left, right = self._left.masks(frames), self._right.masks(frames)
        if left and right:
            # For a crowd the library divides the intersection by the area of the detection, which is known.
            share = coco_mask.iou(left, right, [1] * len(right))
            first, second = np.nonzero(share > 0)
            place, row = (numbers[first] for numbers in self._left.cells(frames))
            column = self._right.cells(frames)[1][second]
            result[place, row, column] = np.rint(share[first, second] * self._left.tracks.areas[row, frames[place]])
        return result


class _Side:
    """The detections, or the objects, that a comparison is about.

    Args:
        tracks: All tracks of the kind.
        chosen: (n,) int64, those to compare.
        groups: One number per track, below ``group_count``: only tracks of one group are compared.
    """

    def __init__(
        self, tracks: VideoMasks, chosen: NDArray[np.int64], groups: NDArray[np.int64], group_count: int
    ) -> None:
        self.tracks = tracks
        self._chosen = chosen
        self._counts = [tracks.counts[track] for track in chosen.tolist()]
        self._sizes = [
            [[tracks.height, tracks.width + place * group_count + group] for group in groups[chosen].tolist()]
            for place in range(_FRAMES_PER_CALL)
        ]

    def masks(self, frames: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the masks in at most as many frames as go into a call, frame by frame."""
        return [
            {"size": size, "counts": counts[frame]}
            for frame, sizes in zip(frames.tolist(), self._sizes, strict=False)
            for counts, size in zip(self._counts, sizes, strict=True)
            if counts[frame] is not None
        ]

    def cells(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the place among the frames, and the track, of each of :meth:`masks`."""
        places, rows = np.nonzero(self.tracks.present[self._chosen][:, frames].T)
        return places, self._chosen[rows]


def _groups(pairs: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for D rows and G columns the number of the connected group of ``pairs`` (D, G) that each is in."""
    none = pairs.shape[0]
    rows = np.arange(none)
    while True:
        # The smallest number spreads from rows to columns and back. SciPy's sparse graphs take 50 times as long here.
        columns = np.where(pairs, rows[:, None], none).min(axis=0, initial=none)
        spread = np.minimum(rows, np.where(pairs, columns, none).min(axis=1, initial=none))
        if np.array_equal(spread, rows):
            return rows, columns
        rows = spread
