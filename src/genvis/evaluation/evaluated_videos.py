"""Scores of videos in memory, as training's validation and the experiments have them, by the same evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genvis.categories import Categories
from genvis.data.annotations.builder import AnnotationBuilder
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.evaluation.evaluate import evaluate
from genvis.evaluation.evaluation_report import EvaluationReport


class EvaluatedVideo(NamedTuple):
    """One video, or a frame as a video of length 1, with its true and its found objects.

    Attributes:
        size: Height and width in pixels.
        length: Number of frames.
        truth: Annotated objects as YouTube-VIS files have them: ``category_id`` and ``segmentations``.
        found: Detections as results files have them: ``category_id``, ``score`` and ``segmentations``.
    """

    size: tuple[int, int]
    length: int
    truth: list[dict[str, Any]]
    found: list[dict[str, Any]]


def evaluate_videos(
    videos: Sequence[EvaluatedVideo], *, categories: Categories, identity: bool = False
) -> EvaluationReport:
    """Score videos as the YouTube-VIS server does, in this process alone.

    Args:
        videos: In any order; equal scores keep it.
        categories: Those of the objects and detections.
        identity: Also compute tracking metrics, which need the extra ``eval``.
    """
    annotations, results = annotations_and_results(videos, categories, name=Path("validation set"))
    return evaluate(results, annotations, identity=identity, workers=1)


def annotations_and_results(
    videos: Sequence[EvaluatedVideo], categories: Categories, *, name: Path
) -> tuple[VideoAnnotations, list[dict[str, Any]]]:
    """Return the truth of videos as read from an annotation file, and what was found as in a results file.

    Args:
        videos: In any order; they are numbered from 1.
        categories: Those of the objects and detections.
        name: Of the annotations, for messages.
    """
    builder = AnnotationBuilder(name)
    results = []
    for number, video in enumerate(videos, 1):
        record = {"id": number, "height": video.size[0], "width": video.size[1]}
        builder.add_video(record, [f"{number:05d}/{frame:05d}.jpg" for frame in range(video.length)])
    for number, video in enumerate(videos, 1):
        for track in video.truth:
            record = {"video_id": number, "category_id": track["category_id"]}
            builder.add_track(record, video_key="video_id", segmentations=track["segmentations"])
        results += [{**entry, "video_id": number} for entry in video.found]
    return builder.build(categories), results
