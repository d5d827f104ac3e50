"""Average precision and recall as the YouTube-VIS evaluation defines them, from matched detections."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.evaluation.metrics.matching import IOU_THRESHOLDS, Matches

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
"""The recalls at which precision is read off."""


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, for S subsets of the objects, K IoU thresholds and R limits on detections per video.

    Attributes:
        average_precision: (S, K) float64, 0 to 1; NaN where a subset has no object.
        recall: (S, K, R) float64, 0 to 1; NaN where a subset has no object.
    """

    average_precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def average_precision(right: NDArray[np.bool_], wrong: NDArray[np.bool_], objects: int) -> NDArray[np.float64]:
    """Return the mean over 101 recalls of the best precision at that recall or more.

    Args:
        right: (K, N) bool, detections that find an object, best score first, at K IoU thresholds. No object is found
            twice.
        wrong: (K, N) bool, detections that find none; those that are neither are ignored.
        objects: How many objects there are to be found, at least 1.

    Returns:
        (K,) float64, 0 to 1. Recalls that are not reached count as precision 0.
    """
    thresholds, detections = right.shape
    if detections == 0:
        return np.zeros(thresholds)
    found = np.cumsum(right, axis=1)
    precision = found / np.maximum(np.cumsum(wrong, axis=1) + found, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # The place of each recall: one search in all rows at once, each row lifted above the one before.
    needed = np.searchsorted(np.arange(objects + 1) / objects, RECALL_LEVELS, side="left")
    rows = np.arange(thresholds)[:, None]
    places = np.searchsorted((found + rows * (objects + 1)).ravel(), needed + rows * (objects + 1), side="left")
    places -= rows * detections
    reached = places < detections
    return np.where(reached, np.take_along_axis(envelope, np.where(reached, places, 0), axis=1), 0.0).mean(axis=1)


def score_class(videos: Sequence[Matches], *, subsets: int, limits: Sequence[int]) -> ClassScores:
    """Return the scores of one class over some videos.

    Args:
        videos: The matches in each video that has objects or detections of the class, in the order of the video ids.
        subsets: S; the first S subsets of the matches are scored.
        limits: R numbers: recall when only so many best detections per video count.
    """
    shape = (subsets, len(IOU_THRESHOLDS))
    precision, recall = np.full(shape, np.nan), np.full((*shape, len(limits)), np.nan)
    if not videos:
        return ClassScores(precision, recall)
    objects = np.sum([matches.counted[:subsets] for matches in videos], axis=0)
    # Equal scores keep the order of the videos, as in the reference.
    order = np.argsort(-np.concatenate([matches.scores for matches in videos]), kind="stable")
    rank = np.concatenate([np.arange(len(matches.scores)) for matches in videos])[order]
    right = np.concatenate([matches.right[:subsets] for matches in videos], axis=2)[:, :, order]
    wrong = np.concatenate([matches.wrong[:subsets] for matches in videos], axis=2)[:, :, order]
    for subset in np.flatnonzero(objects).tolist():
        precision[subset] = average_precision(right[subset], wrong[subset], int(objects[subset]))
        for place, limit in enumerate(limits):
            recall[subset, :, place] = right[subset][:, rank < limit].sum(axis=1) / objects[subset]
    return ClassScores(precision, recall)


def mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the values that are not NaN, or None if there is none."""
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if valid.size else None
