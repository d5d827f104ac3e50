"""Overlaps and matches of one video's detections and objects, from which everything else is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.evaluation.metrics.matching import Matcher, Matches
from genvis.evaluation.metrics.overlap import Overlap, full_overlap, iou_from
from genvis.evaluation.metrics.subsets import Membership, membership, occlusion_scores
from genvis.evaluation.metrics.video_masks import VideoMasks, annotated_masks, detected_masks
from genvis.evaluation.results_file import Results

MOST_DETECTIONS = 100
"""Detections of a class in a video that take part, the best ones."""


@dataclass(frozen=True)
class VideoComparison:
    """D detections and G annotated objects of one video, crowds included.

    Attributes:
        video: Position of the video.
        detected: Masks of the detections.
        annotated: Masks of the objects.
        detection_labels: (D,) int64, contiguous classes.
        scores: (D,) float64.
        object_labels: (G,) int64, contiguous classes.
        crowd: (G,) bool.
        overlap: Of all pairs, if that was asked for.
        matches: For each class with detections or objects, which detection finds which object.
    """

    video: int
    detected: VideoMasks
    annotated: VideoMasks
    detection_labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    object_labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    overlap: Overlap | None
    matches: Mapping[int, Matches]

    @property
    def full_overlap(self) -> Overlap:
        """The overlap of all pairs; needs a comparison that was made with it."""
        if self.overlap is None:
            raise ValueError("the comparison was made without the overlap of all pairs")
        return self.overlap


def compare(annotations: VideoAnnotations, results: Results, video: int, *, all_pairs: bool) -> VideoComparison:
    """Compare the detections in a video with its annotated objects.

    Args:
        annotations: The annotations.
        results: The detections.
        video: Position of the video.
        all_pairs: Compute the overlap of all pairs in all frames, as error analysis and tracking metrics need. Without
            it, only of pairs that can match, which is much faster.
    """
    detections = results.detections[video]
    detected, annotated = detected_masks(annotations, results, video), annotated_masks(annotations, video)
    tracks = annotations.tracks(video)
    labels = np.array([detection.label for detection in detections], np.int64)
    object_labels = np.array([track.label for track in tracks], np.int64)
    crowd = np.array([track.crowd for track in tracks], np.bool_)
    scores = np.array([detection.score for detection in detections], np.float64)
    members = membership(
        object_areas=annotated.mean_areas,
        detection_areas=detected.mean_areas,
        crowd=crowd,
        occlusion=occlusion_scores(annotations, video),
    )
    overlap = full_overlap(detected, annotated) if all_pairs else None
    ranking = np.argsort(-scores, kind="stable")
    classes = [
        _Class(ranking[labels[ranking] == label], np.flatnonzero(object_labels == label), crowd=crowd, members=members)
        for label in np.union1d(labels, object_labels)
    ]
    for turn in range(_TURNS):
        iou = overlap.iou if overlap is not None else _iou_of_turn(detected, annotated, classes, turn)
        for one in classes:
            one.matcher.add(iou[one.pairs(turn)])
    matches = {
        int(label): one.matcher.matches(one.ranked, scores[one.ranked], members.outside[:, one.ranked])
        for label, one in zip(np.union1d(labels, object_labels), classes, strict=True)
    }
    return VideoComparison(video, detected, annotated, labels, scores, object_labels, crowd, overlap, matches)


# Detections of a class choose in two turns, as many as there are objects in the first: what these have taken need not
# be compared with the rest.
_TURNS = 2


class _Class:
    """The detections, best first, and the objects of one class of a video."""

    def __init__(
        self, ranked: NDArray[np.int64], objects: NDArray[np.int64], *, crowd: NDArray[np.bool_], members: Membership
    ) -> None:
        self.ranked = ranked[:MOST_DETECTIONS]
        self.matcher = Matcher(objects, crowd=crowd[objects], ignored=members.ignored[:, objects])
        self._objects = objects
        self._turns = np.split(self.ranked, [len(objects)])

    def pairs(self, turn: int) -> tuple[NDArray[Any], ...]:
        """Return the index of a turn's detections and all objects of the class in an array of all pairs."""
        return np.ix_(self._turns[turn], self._objects)


def _iou_of_turn(
    detected: VideoMasks, annotated: VideoMasks, classes: Sequence[_Class], turn: int
) -> NDArray[np.float64]:
    """Return (D, G) float64 IoU, exact where a detection of this turn can take an object of its class."""
    least = np.full((len(detected), len(annotated)), np.inf)
    for one in classes:
        least[one.pairs(turn)] = one.matcher.least
    return iou_from(detected, annotated, least)
