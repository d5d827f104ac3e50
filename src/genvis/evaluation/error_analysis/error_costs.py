"""Average precision that each kind of error costs.

The evaluation is repeated as if no error of one kind had been made, one kind at a time, at each of the ten IoU
thresholds: the costs are in points of AP. Detections with the error find their object, if no other detection does, and
vanish otherwise; missed objects need not be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genvis.evaluation.error_analysis.error_kinds import ErrorKind, explain, gather_evidence, number_of
from genvis.evaluation.evaluation_report import ErrorCost
from genvis.evaluation.metrics.average_precision import average_precision
from genvis.evaluation.metrics.comparison import VideoComparison
from genvis.evaluation.metrics.matching import IOU_THRESHOLDS


@dataclass(frozen=True)
class VideoErrors:
    """Outcomes of N detections at K IoU thresholds, and of M objects, crowds apart.

    Attributes:
        scores: (N,) float64.
        labels: (K, N) int64, contiguous classes.
        right: (K, N) bool.
        kinds: (K, N) int64, the number of the error, -1 where there is none.
        targets: (K, N, 2) int64, the objects that a detection with an error stands for, -1 for none.
        object_labels: (M,) int64, contiguous classes.
        found: (K, M) bool.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    right: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    targets: NDArray[np.int64]
    object_labels: NDArray[np.int64]
    found: NDArray[np.bool_]


class ErrorAnalysis:
    """Puts the errors in the videos of a data set together and computes what they cost."""

    def __init__(self) -> None:
        self._videos: list[VideoErrors] = []
        self._object_count = 0

    def add(self, video: VideoErrors) -> None:
        """Add a video; videos must come in the order of their ids."""
        targets = np.where(video.targets >= 0, video.targets + self._object_count, -1)
        self._videos.append(replace(video, targets=targets))
        self._object_count += len(video.object_labels)

    def costs(self) -> tuple[ErrorCost, ...]:
        """Return the kinds of errors, the most costly first."""
        outcomes = self._joined()
        missed = _missed(outcomes)
        none = np.zeros_like(missed)
        before = _mean_average_precision(outcomes, none)
        costs = []
        for kind in ErrorKind:
            if kind is ErrorKind.MISSED:
                after, count = _mean_average_precision(outcomes, missed), int(missed[0].sum())
            else:
                after = _mean_average_precision(_corrected(outcomes, number_of(kind)), none)
                count = int((outcomes.kinds[0] == number_of(kind)).sum())
            costs.append(ErrorCost(kind.label, kind.meaning, after - before, count))
        return tuple(sorted(costs, key=lambda cost: -cost.cost))

    def _joined(self) -> VideoErrors:
        """Return the outcomes of all videos, best score first; equal scores keep the order of the videos."""
        joined = _join(self._videos)
        order = np.argsort(-joined.scores, kind="stable")
        return replace(
            joined,
            scores=joined.scores[order],
            labels=joined.labels[:, order],
            right=joined.right[:, order],
            kinds=joined.kinds[:, order],
            targets=joined.targets[:, order],
        )


def find_errors(comparison: VideoComparison) -> VideoErrors:
    """Return the outcomes of the detections and objects of one video; the comparison must be of all pairs."""
    evidence = gather_evidence(comparison)
    objects = np.flatnonzero(~comparison.crowd)
    found = np.zeros((len(IOU_THRESHOLDS), len(comparison.crowd)), np.bool_)
    parts = []
    for matches in comparison.matches.values():
        right, wrong = matches.right[0], matches.wrong[0]
        threshold, rank = np.nonzero(right)
        found[threshold, matches.objects[0, threshold, rank]] = True
        kinds, targets = explain(evidence, matches.detections, wrong)
        labels = np.broadcast_to(comparison.detection_labels[matches.detections], right.shape)
        parts.append(
            replace(_nothing(), scores=matches.scores, labels=labels, right=right, kinds=kinds, targets=targets)
        )
    return replace(_join(parts), object_labels=comparison.object_labels[objects], found=found[:, objects])


def _join(parts: Sequence[VideoErrors]) -> VideoErrors:
    everything = [_nothing(), *parts]
    return VideoErrors(
        scores=np.concatenate([part.scores for part in everything]),
        labels=np.concatenate([part.labels for part in everything], axis=1),
        right=np.concatenate([part.right for part in everything], axis=1),
        kinds=np.concatenate([part.kinds for part in everything], axis=1),
        targets=np.concatenate([part.targets for part in everything], axis=1),
        object_labels=np.concatenate([part.object_labels for part in everything]),
        found=np.concatenate([part.found for part in everything], axis=1),
    )


def _nothing() -> VideoErrors:
    flags, numbers = np.zeros((len(IOU_THRESHOLDS), 0), np.bool_), np.zeros((len(IOU_THRESHOLDS), 0), np.int64)
    return VideoErrors(np.zeros(0), numbers, flags, numbers, numbers[..., None].repeat(2, 2), numbers[0], flags)


def _missed(outcomes: VideoErrors) -> NDArray[np.bool_]:
    """Return (K, M) bool: objects that are not found and that no detection with an error stands for."""
    explained = np.zeros_like(outcomes.found)
    threshold, detection, place = np.nonzero(outcomes.targets >= 0)
    explained[threshold, outcomes.targets[threshold, detection, place]] = True
    return ~outcomes.found & ~explained


def _corrected(outcomes: VideoErrors, kind: int) -> VideoErrors:
    """Return the outcomes without the errors of one kind."""
    labels, right, kinds = outcomes.labels.copy(), outcomes.right.copy(), outcomes.kinds.copy()
    taken = outcomes.found.copy()
    for threshold, detection in np.argwhere(kinds == kind).tolist():
        for target in outcomes.targets[threshold, detection].tolist():
            if target >= 0 and not taken[threshold, target]:
                taken[threshold, target] = right[threshold, detection] = True
                labels[threshold, detection] = outcomes.object_labels[target]
                break
    kinds[kinds == kind] = -1
    return replace(outcomes, labels=labels, right=right, kinds=kinds)


def _mean_average_precision(outcomes: VideoErrors, excused: NDArray[np.bool_]) -> float:
    """Return the mean over classes and thresholds when the objects in ``excused`` (K, M) need not be found."""
    values = []
    for threshold in range(len(IOU_THRESHOLDS)):
        labels, needed = outcomes.labels[threshold], outcomes.object_labels[~excused[threshold]]
        for label in np.unique(outcomes.object_labels).tolist():
            objects, mine = int((needed == label).sum()), labels == label
            right, wrong = outcomes.right[threshold, mine], outcomes.kinds[threshold, mine] >= 0
            # A class of which nothing remains to be found has no error left.
            values.append(average_precision(right[None], wrong[None], objects)[0] if objects else 1.0)
    return float(np.mean(values)) if values else 0.0
