"""One video's detections beside its annotated objects: overlaps and matches, from which everything else is counted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.data.video_annotations import VideoAnnotations
from genvis.evaluation.matching import IOU_THRESHOLDS, Matches, match
from genvis.evaluation.overlap import Overlap, full_overlap, iou_from
from genvis.evaluation.results import Results
from genvis.evaluation.subsets import membership, occlusion_scores
from genvis.evaluation.tracks import TrackMasks, annotated_masks, detected_masks

MOST_DETECTIONS = 100
"""How many detections of a class in a video take part, the best ones."""


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
    detected: TrackMasks
    annotated: TrackMasks
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

    Raises:
        InputError: If a detected mask has more pixels than its frame.
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
    iou = (
        iou_from(detected, annotated, labels[:, None] == object_labels, least=float(IOU_THRESHOLDS[0]))
        if overlap is None
        else overlap.iou
    )
    matches = {}
    for label in np.union1d(labels, object_labels).tolist():
        mine, objects = np.flatnonzero(labels == label), np.flatnonzero(object_labels == label)
        matches[label] = match(
            iou[np.ix_(mine, objects)],
            scores[mine],
            detections=mine,
            objects=objects,
            crowd=crowd[objects],
            ignored=members.ignored[:, objects],
            outside=members.outside[:, mine],
            most_detections=MOST_DETECTIONS,
        )
    return VideoComparison(video, detected, annotated, labels, scores, object_labels, crowd, overlap, matches)
