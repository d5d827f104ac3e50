"""Video AP on held-out samples, by the evaluation that scores results files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_tools

from genvis.categories import Categories
from genvis.data.annotations.builder import AnnotationBuilder
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.samples.sample import VideoSample
from genvis.evaluation import EvaluationReport, evaluate
from genvis.inference.segmenter import VideoSegmenter
from genvis.results.formats.export import youtube_vis_entries


class VideoRecord(NamedTuple):
    """One held-out video: its truth and its results in the form of YouTube-VIS files, but for the video's number."""

    size: tuple[int, int]
    length: int
    truth: list[dict[str, Any]]
    found: list[dict[str, Any]]


def video_record(sample: VideoSample, segmenter: VideoSegmenter) -> VideoRecord:
    """Segment a video as at inference and return truth and results.

    Args:
        sample: The whole video.
        segmenter: Of the model in question.
    """
    frames = sample.frames.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    found = youtube_vis_entries(segmenter.segment(frames, overlaps="keep"), 0)
    ids = segmenter.categories.ids
    truth = [
        {"category_id": ids[label], "segmentations": [_encoded(mask) if mask.any() else None for mask in masks]}
        for label, masks in zip(sample.labels.tolist(), sample.masks.cpu().numpy(), strict=True)
    ]
    return VideoRecord((frames.shape[1], frames.shape[2]), len(frames), truth, found)


def evaluate_videos(videos: Sequence[VideoRecord], *, labels: Categories, identity: bool = False) -> EvaluationReport:
    """Score held-out videos as the YouTube-VIS server does.

    Args:
        videos: At least one record.
        labels: The classes.
        identity: Also compute tracking metrics, which need the extra ``eval``.
    """
    results = [{**entry, "video_id": number} for number, video in enumerate(videos, 1) for entry in video.found]
    return evaluate(results, _annotations(videos, labels), identity=identity)


def _annotations(videos: Sequence[VideoRecord], labels: Categories) -> VideoAnnotations:
    builder = AnnotationBuilder(Path("held-out"))
    for number, video in enumerate(videos, 1):
        record = {"id": number, "height": video.size[0], "width": video.size[1]}
        builder.add_video(record, [f"{number:05d}/{frame:05d}.jpg" for frame in range(video.length)])
    for number, video in enumerate(videos, 1):
        for track in video.truth:
            record = {"video_id": number, "category_id": track["category_id"]}
            builder.add_track(record, video_key="video_id", segmentations=track["segmentations"])
    return builder.build(labels)


def _encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded: dict[str, Any] = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded
