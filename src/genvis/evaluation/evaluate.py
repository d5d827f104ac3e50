"""The evaluation: results and annotations in, a report out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from genvis.data.video_annotations import VideoAnnotations
from genvis.evaluation.average_precision import ClassScores, mean, score_class
from genvis.evaluation.comparison import VideoComparison, compare
from genvis.evaluation.error_analysis import ErrorAnalysis
from genvis.evaluation.identity import IdentityEvaluation
from genvis.evaluation.matching import Matches
from genvis.evaluation.report import AveragePrecision, CategoryScore, EvaluationReport, VideoScore
from genvis.evaluation.results import Results, load_results
from genvis.evaluation.subsets import SIZES, Subset

LIMITS = (1, 10, 100)
"""Recall is given for so many best detections of a class in a video."""

_SUBSETS = tuple(Subset)
_AP50, _AP75 = 0, 5


def evaluate(
    results: str | Path | Sequence[Mapping[str, Any]],
    annotations: str | Path | VideoAnnotations,
    *,
    errors: bool = False,
    identity: bool = False,
    score_threshold: float = 0.3,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationReport:
    """Score results against annotations as the YouTube-VIS and OVIS servers do.

    Args:
        results: A results file of the servers' format (JSON), or the list that it holds.
        annotations: An annotation file of YouTube-VIS or OVIS, or of the same format, or what was read from one.
        errors: Also find out which kind of error costs how much average precision; takes about twice as long.
        identity: Also compute tracking metrics: HOTA, IDF1, identity switches.
        score_threshold: Leave out detections with a lower score from the tracking metrics, which have no use for them.
        progress: Called with the number of videos done and of all videos.

    Returns:
        The report. All scores are from 0 to 1.

    Raises:
        InputError: If a file cannot be read, or the results do not fit the annotations.
        MissingExtraError: If tracking metrics are asked for and trackeval is not installed.
    """
    if not isinstance(annotations, VideoAnnotations):
        annotations = VideoAnnotations.load(annotations)
    analysis = ErrorAnalysis() if errors else None
    tracking = IdentityEvaluation(score_threshold) if identity else None
    detections = load_results(results, annotations)
    classes = len(annotations.label_set)
    matches: list[list[Matches]] = [[] for _ in range(classes)]
    scores: dict[int, VideoScore] = {}
    # Detections of equal score rank by video id, as in the reference.
    for done, video in enumerate(np.argsort(annotations.video_ids, kind="stable").tolist()):
        if progress is not None:
            progress(done, len(annotations))
        comparison = compare(annotations, detections, video, all_pairs=errors or identity)
        for label, found in comparison.matches.items():
            matches[label].append(found)
        scores[video] = _video_score(annotations, comparison)
        if analysis is not None:
            analysis.add(comparison)
        if tracking is not None:
            tracking.add(comparison)
    if progress is not None:
        progress(len(annotations), len(annotations))
    class_scores = [score_class(found, subsets=len(_SUBSETS), limits=LIMITS) for found in matches]
    return EvaluationReport(
        results=detections.name,
        annotations=str(annotations.path),
        video_count=len(annotations),
        object_count=int((~annotations.track_crowds).sum()),
        detection_count=len(detections),
        scores=_average_precision(class_scores),
        categories=_categories(annotations, detections, class_scores),
        videos=tuple(scores[video] for video in range(len(annotations))),
        errors=analysis.costs() if analysis is not None else (),
        identity=tracking.scores() if tracking is not None else None,
    )


def _average_precision(scores: Sequence[ClassScores]) -> AveragePrecision:
    precision = np.array([score.average_precision for score in scores])  # (classes, subsets, thresholds)
    recall = np.array([score.recall for score in scores])  # (classes, subsets, thresholds, limits)
    ap = {subset: mean(precision[:, place]) for place, subset in enumerate(_SUBSETS)}
    ar = {subset: mean(recall[:, _SUBSETS.index(subset), :, -1]) for subset in SIZES}
    return AveragePrecision(
        ap=ap[Subset.ALL],
        ap50=mean(precision[:, 0, _AP50]),
        ap75=mean(precision[:, 0, _AP75]),
        ap_small=ap[Subset.SMALL],
        ap_medium=ap[Subset.MEDIUM],
        ap_large=ap[Subset.LARGE],
        ar1=mean(recall[:, 0, :, 0]),
        ar10=mean(recall[:, 0, :, 1]),
        ar100=mean(recall[:, 0, :, 2]),
        ar_small=ar[Subset.SMALL],
        ar_medium=ar[Subset.MEDIUM],
        ar_large=ar[Subset.LARGE],
        ap_slightly_occluded=ap[Subset.SLIGHTLY_OCCLUDED],
        ap_moderately_occluded=ap[Subset.MODERATELY_OCCLUDED],
        ap_heavily_occluded=ap[Subset.HEAVILY_OCCLUDED],
    )


def _categories(
    annotations: VideoAnnotations, results: Results, scores: Sequence[ClassScores]
) -> tuple[CategoryScore, ...]:
    classes = len(annotations.label_set)
    objects = np.bincount(annotations.track_labels[~annotations.track_crowds], minlength=classes)
    labels = [detection.label for video in results.detections for detection in video]
    detections = np.bincount(np.array(labels, np.int64), minlength=classes)
    return tuple(
        CategoryScore(
            category_id=annotations.label_set.category_ids[label],
            name=annotations.label_set.labels[label],
            objects=int(objects[label]),
            detections=int(detections[label]),
            ap=mean(score.average_precision[0]),
            ap50=mean(score.average_precision[0, [_AP50]]),
            ap75=mean(score.average_precision[0, [_AP75]]),
            ar10=mean(score.recall[0, :, 1]),
        )
        for label, score in enumerate(scores)
    )


def _video_score(annotations: VideoAnnotations, comparison: VideoComparison) -> VideoScore:
    alone = [score_class([found], subsets=1, limits=()).average_precision for found in comparison.matches.values()]
    video = annotations.video(comparison.video)
    folder = PurePosixPath(video.file_names[0]).parent
    return VideoScore(
        video_id=video.id,
        name=str(folder) if folder.name else f"video {video.id}",
        objects=int((~comparison.crowd).sum()),
        found=sum(int(found.right[0, _AP50].sum()) for found in comparison.matches.values()),
        detections=len(comparison.scores),
        ap=mean(np.array(alone)),
    )
