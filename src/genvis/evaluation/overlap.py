"""How much detected tracks overlap annotated ones, exactly, without looking at every pair in every frame.

The IoU of two tracks is the sum of their intersections over the sum of their unions over all frames of the video.
Intersections come from pycocotools, many frames and pairs at once. Pairs that cannot reach the IoU that is asked for
are told by areas and boxes and skipped.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from genvis.data.segmentation import RunLengths
from genvis.evaluation.tracks import TrackMasks

# Frames handed to the C library at a time: enough to forget the cost of a call, few enough to keep its table small.
_FRAMES_PER_CALL = 6


@dataclass(frozen=True)
class Overlap:
    """The overlap of D detections with G annotated objects in one video of T frames.

    Attributes:
        iou: (D, G) float64, 0 to 1: sum of intersections over sum of unions; 0 for pairs that were ruled out.
        intersections: (T, D, G) int64 pixels, if every pair was computed, else None.
    """

    iou: NDArray[np.float64]
    intersections: NDArray[np.int64] | None


def full_overlap(detected: TrackMasks, annotated: TrackMasks) -> Overlap:
    """Compute every pair in every frame."""
    comparison = _Comparison(detected, annotated, np.ones((len(detected), len(annotated)), np.bool_))
    intersections = np.zeros((detected.length, len(detected), len(annotated)), np.int64)
    for frames in _spread(detected.length):
        intersections[frames] = comparison.intersections(frames)
    return Overlap(_iou(detected, annotated, intersections.sum(axis=0)), intersections)


def overlap_from(detected: TrackMasks, annotated: TrackMasks, pairs: NDArray[np.bool_], *, least: float) -> Overlap:
    """Compute the IoU of those pairs that can reach a value.

    Args:
        detected: D tracks.
        annotated: G tracks of the same video.
        pairs: (D, G) bool, the pairs of interest.
        least: Smallest IoU of interest. Every IoU of at least this is exact; smaller ones may be given as 0.
    """
    # In a frame that has not been looked at, an intersection is at most the smaller of both areas.
    bounds = np.minimum(detected.areas.T[:, :, None], annotated.areas.T[:, None])
    areas = detected.areas.sum(axis=1)[:, None] + annotated.areas.sum(axis=1)
    intersections, rest = np.zeros(pairs.shape, np.int64), bounds.sum(axis=0)
    comparison = _Comparison(detected, annotated, pairs)
    for frames in _spread(detected.length):
        most = intersections + rest
        wanted = comparison.pairs & (most > 0) & (most >= least * (areas - most))
        if not np.array_equal(wanted, comparison.pairs):
            comparison = _Comparison(detected, annotated, wanted)
        if not wanted.any():
            break
        intersections += comparison.intersections(frames).sum(axis=0)
        rest -= bounds[frames].sum(axis=0)
    return Overlap(_iou(detected, annotated, np.where(comparison.pairs, intersections, 0)), None)


def _spread(length: int) -> list[NDArray[np.int64]]:
    """Divide frames into parts for one call each, such that already the first ones tell much about the video."""
    parts = -(-length // _FRAMES_PER_CALL)
    order = np.argsort([f"{part:b}"[::-1].ljust(16, "0") for part in range(parts)], kind="stable")
    return [np.arange(part, length, parts) for part in order]


def _iou(detected: TrackMasks, annotated: TrackMasks, intersections: NDArray[np.int64]) -> NDArray[np.float64]:
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

    def __init__(self, detected: TrackMasks, annotated: TrackMasks, pairs: NDArray[np.bool_]) -> None:
        self.pairs = pairs
        self._detected = detected
        self._annotated = annotated
        self._rows, self._columns = np.flatnonzero(pairs.any(axis=1)), np.flatnonzero(pairs.any(axis=0))
        self._row_groups, self._column_groups = _groups(pairs)

    def intersections(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (F, D, G) int64, pixels in common in F frames; exact for the pairs, for others perhaps 0."""
        result = np.zeros((len(frames), *self.pairs.shape), np.int64)
        left = self._masks(self._detected, self._rows, self._row_groups, frames)
        right = self._masks(self._annotated, self._columns, self._column_groups, frames)
        if left.masks and right.masks:
            # For a crowd the library divides the intersection by the area of the detection, which is known.
            share = coco_mask.iou(left.masks, right.masks, [1] * len(right.masks))
            first, second = np.nonzero(share > 0)
            place, row, column = left.places[first], left.tracks[first], right.tracks[second]
            result[place, row, column] = np.rint(share[first, second] * self._detected.areas[row, frames[place]])
        return result

    def _masks(
        self, tracks: TrackMasks, chosen: NDArray[np.int64], groups: NDArray[np.int64], frames: NDArray[np.int64]
    ) -> "_Tagged":
        places, which = np.nonzero(tracks.areas[np.ix_(chosen, frames)].T)
        rows = chosen[which]
        tags = places * len(self._detected) + groups[rows]
        sizes = [[tracks.height, tracks.width + tag] for tag in range(len(frames) * len(self._detected))]
        masks: list[RunLengths] = [
            {"size": sizes[tag], "counts": tracks.counts[row][frame] or b""}
            for tag, row, frame in zip(tags.tolist(), rows.tolist(), frames[places].tolist(), strict=True)
        ]
        return _Tagged(masks, rows, places)


class _Tagged(NamedTuple):
    """Masks for one call of the library, with the track of each and its place among the frames."""

    masks: list[RunLengths]
    tracks: NDArray[np.int64]
    places: NDArray[np.int64]


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
