"""Evaluation of results against annotations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.errors import InputError
from genvis.evaluation.error_analysis.error_costs import ErrorAnalysis, VideoErrors, find_errors
from genvis.evaluation.evaluation_report import AveragePrecision, CategoryScore, EvaluationReport, VideoScore
from genvis.evaluation.metrics.average_precision import ClassScores, mean, score_class
from genvis.evaluation.metrics.comparison import VideoComparison, compare
from genvis.evaluation.metrics.matching import Matches
from genvis.evaluation.metrics.subsets import SIZES, Subset
from genvis.evaluation.metrics.tracking import ClassResults, TrackingMetrics
from genvis.evaluation.parallel import map_videos, processors
from genvis.evaluation.results_file import Results, load_results

LIMITS = (1, 10, 100)
"""Numbers of detections of a category in a video, the best ones, for which recall is given."""

_SUBSETS = tuple(Subset)
_AP50, _AP75 = 0, 5

# A process that has fewer masks to look at takes longer to start than it saves.
_MASKS_PER_WORKER = 5000


def evaluate(
    results: str | Path | Sequence[Mapping[str, Any]] | Results,
    annotations: str | Path | VideoAnnotations,
    *,
    errors: bool = False,
    identity: bool = False,
    score_threshold: float = 0.3,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationReport:
    """Score results against annotations as the YouTube-VIS and OVIS servers do.

    Args:
        results: A results file of the servers' format (JSON), or the list that it holds, or what was read from either.
        annotations: An annotation file of YouTube-VIS or OVIS, or of the same format, or what was read from one.
        errors: Also compute how much average precision each kind of error costs; takes about twice as long.
        identity: Also compute tracking metrics: HOTA, IDF1, id switches.
        score_threshold: Leave out detections with a lower score from the tracking metrics, which have no use for them.
        workers: Processes to use, on Linux; 1 for none but this one. Default: one per processor if there is much to do.
        progress: Called with the number of videos done and of all videos.

    Returns:
        The report. All scores are from 0 to 1.

    Raises:
        InputError: If a file cannot be read, the results do not fit the annotations, or ``workers`` is less than 1.
        MissingExtraError: If tracking metrics are asked for and trackeval is not installed.
    """
    if workers is not None and workers < 1:
        raise InputError(f"The evaluation cannot have {workers} workers: give 1 or more.")
    if not isinstance(annotations, VideoAnnotations):
        annotations = load_youtube_vis(annotations)
    tracking = TrackingMetrics(score_threshold) if identity else None
    detections = results if isinstance(results, Results) else load_results(results, annotations)
    work = _VideoEvaluation(annotations, detections, errors=errors, tracking=tracking)
    # Detections of equal score rank by video id, as in the reference.
    order = np.argsort(annotations.video_ids, kind="stable").tolist()
    analysis = ErrorAnalysis()
    matches: list[list[Matches]] = [[] for _ in annotations.categories.names]
    scores: dict[int, VideoScore] = {}
    for done, outcome in enumerate(map_videos(work, order, workers=workers or _workers(detections)), start=1):
        scores[order[done - 1]] = outcome.score
        for label, found in outcome.matches.items():
            matches[label].append(found)
        if outcome.errors is not None:
            analysis.add(outcome.errors)
        if tracking is not None:
            tracking.add(outcome.tracking)
        if progress is not None:
            progress(done, len(annotations))
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
        errors=analysis.costs() if errors else (),
        identity=tracking.scores() if tracking is not None else None,
    )


@dataclass(frozen=True)
class _VideoOutcome:
    """Outcome of one video."""

    score: VideoScore
    matches: Mapping[int, Matches]
    errors: VideoErrors | None
    tracking: Mapping[int, ClassResults]


@dataclass(frozen=True)
class _VideoEvaluation:
    """Evaluates one video after the other."""

    annotations: VideoAnnotations
    results: Results
    errors: bool
    tracking: TrackingMetrics | None

    def __call__(self, video: int) -> _VideoOutcome:
        """Evaluate the video at a position."""
        all_pairs = self.errors or self.tracking is not None
        comparison = compare(self.annotations, self.results, video, all_pairs=all_pairs)
        return _VideoOutcome(
            score=_video_score(self.annotations, comparison),
            matches=comparison.matches,
            errors=find_errors(comparison) if self.errors else None,
            tracking=self.tracking.examine(comparison) if self.tracking is not None else {},
        )


def _workers(results: Results) -> int:
    """Return how many processes are worth while."""
    masks = sum(len(detection.counts) for video in results.detections for detection in video)
    return max(1, min(processors(), masks // _MASKS_PER_WORKER))


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
    classes = len(annotations.categories)
    objects = np.bincount(annotations.track_labels[~annotations.track_crowds], minlength=classes)
    labels = [detection.label for video in results.detections for detection in video]
    detections = np.bincount(np.array(labels, np.int64), minlength=classes)
    return tuple(
        CategoryScore(
            category_id=annotations.categories.ids[label],
            name=annotations.categories.names[label],
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
