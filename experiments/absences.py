"""Re-identification: which objects keep their track id over an absence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_tools
from scipy.optimize import linear_sum_assignment

from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.masks import mask_areas

BOUNDS = (1, 5, 10, 20, 40, 80)
"""Frames from which an absence is counted in the next group: 1-4, 5-9, ... 80 and more."""

VISIBLE_PIXELS = 40
"""Pixels from which on an object counts as visible: of a sprite of 1,000 pixels, less is a foot or an ear."""
_FOUND = 0.5
"""IoU from which on a track follows an object in a frame."""
_NEAR = 6
"""Frames before and after an absence in which the object must be found for its track id to be known."""


@dataclass
class Absences:
    """How absences of each length ended, one entry per group of `BOUNDS`.

    Attributes:
        kept: The object came back with its track id.
        changed: It came back with another one.
        lost: It came back and was not found.
    """

    kept: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BOUNDS), np.int64))
    changed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BOUNDS), np.int64))
    lost: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BOUNDS), np.int64))

    @classmethod
    def total(cls, parts: "Sequence[Absences]") -> "Absences":
        """Return the sum."""
        result = cls()
        for part in parts:
            result.kept += part.kept
            result.changed += part.changed
            result.lost += part.lost
        return result

    def document(self) -> list[dict[str, int]]:
        """Return the counts as plain data."""
        return [
            {"from": start, "kept": int(kept), "changed": int(changed), "lost": int(lost)}
            for start, kept, changed, lost in zip(BOUNDS, self.kept, self.changed, self.lost, strict=True)
        ]


class Absence(NamedTuple):
    """An object is not visible from frame ``start`` to before ``stop``."""

    start: int
    stop: int


def absences_of(visible: NDArray[np.bool_]) -> Iterator[Absence]:
    """Find the absences of an object that is seen before and afterwards, given where it is visible, (T,)."""
    seen = np.flatnonzero(visible)
    for before, after in pairwise(seen.tolist()):
        if after > before + 1:
            yield Absence(before + 1, after)


def count_absences(video: EvaluatedVideo, *, least_score: float) -> Absences:
    """Count how the absences of a video ended; those before which no track followed the object are left out.

    Args:
        video: Truth and results.
        least_score: Tracks with a lower score are ignored.
    """
    found = [entry["segmentations"] for entry in video.found if entry["score"] >= least_score]
    truth = [entry["segmentations"] for entry in video.truth]
    holders = tracks_held(truth, found, length=video.length)
    result = Absences()
    for masks, held in zip(truth, holders, strict=True):
        for absence in absences_of(_areas(masks) >= VISIBLE_PIXELS):
            before = _last(held[max(0, absence.start - _NEAR) : absence.start])
            after = _last(held[absence.stop : absence.stop + _NEAR][::-1])
            if before < 0:
                continue
            group = int(np.searchsorted(BOUNDS, absence.stop - absence.start, side="right")) - 1
            counts = result.lost if after < 0 else result.kept if after == before else result.changed
            counts[group] += 1
    return result


def tracks_held(
    truth: Sequence[Sequence[dict[str, Any] | None]],
    found: Sequence[Sequence[dict[str, Any] | None]],
    *,
    length: int,
) -> NDArray[np.int64]:
    """Match objects and tracks in every frame by their masks.

    Args:
        truth: For N objects T RLEs or None.
        found: For tracks likewise.
        length: T.

    Returns:
        (N, T): the track that follows each object, -1 for none.
    """
    holders = np.full((len(truth), length), -1, np.int64)
    for frame in range(length):
        objects = [place for place, masks in enumerate(truth) if masks[frame] is not None]
        tracks = [place for place, masks in enumerate(found) if masks[frame] is not None]
        if not objects or not tracks:
            continue
        detected, annotated = [found[place][frame] for place in tracks], [truth[place][frame] for place in objects]
        iou = np.asarray(mask_tools.iou(detected, annotated, [0] * len(annotated)))
        rows, columns = linear_sum_assignment(np.where(iou >= _FOUND, iou, 0.0), maximize=True)
        for row, column in zip(rows, columns, strict=True):
            if iou[row, column] >= _FOUND:
                holders[objects[column], frame] = tracks[row]
    return holders


def _areas(masks: Sequence[dict[str, Any] | None]) -> NDArray[np.int64]:
    areas = np.zeros(len(masks), np.int64)
    there = [place for place, mask in enumerate(masks) if mask is not None]
    areas[there] = mask_areas([mask for mask in masks if mask is not None])
    return areas


def _last(held: NDArray[np.int64]) -> int:
    """Return the last track of some frames, -1 if there is none."""
    known = held[held >= 0]
    return int(known[-1]) if known.size else -1
