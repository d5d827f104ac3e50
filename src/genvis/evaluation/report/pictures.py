"""Pictures for the report: annotated objects and detections side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.samples.frames import image_path, read_frame
from genvis.evaluation.metrics.comparison import VideoComparison, compare
from genvis.evaluation.metrics.video_masks import VideoMasks
from genvis.evaluation.results_file import Results
from genvis.masks import RLEMask
from genvis.video.drawing.instances import DrawingStyle, draw_instances, scaled_mask

# The longer side of a picture, in pixels.
_SIDE = 560
_QUALITY = 82
_STYLE = DrawingStyle(fill=0.45, ids=False)


@dataclass(frozen=True)
class FramePictures:
    """One frame of a video, twice.

    Attributes:
        frame: Its index.
        truth: JPEG with the annotated objects.
        detections: JPEG with the detections; one that finds an object has the object's colour.
    """

    frame: int
    truth: bytes
    detections: bytes


def draw_video(
    annotations: VideoAnnotations,
    results: Results,
    video: int,
    images: Path,
    *,
    frames: int = 3,
    score_threshold: float = 0.3,
) -> tuple[FramePictures, ...]:
    """Draw some frames of a video, spread evenly over those in which there is an object.

    Args:
        annotations: The annotations.
        results: The detections.
        video: Position of the video.
        images: The folder that the file names start from.
        frames: How many frames.
        score_threshold: Detections that find no object are drawn if they score at least this.

    Raises:
        InputError: If an image is missing or does not fit the annotations.
    """
    comparison = compare(annotations, results, video, all_pairs=False)
    finds = _finds(comparison)
    objects = len(comparison.object_labels)
    shown = [
        place
        for place in np.argsort(-comparison.scores, kind="stable").tolist()
        if place in finds or comparison.scores[place] >= score_threshold
    ]
    labels = annotations.categories.names
    names = annotations.video(video).file_names
    pictures = []
    for frame in _spread(comparison.annotated, frames):
        path = image_path(images, names[frame], named_by=annotations.path)
        height, width = annotations.sizes[video].tolist()
        image = _scaled(read_frame(path, height=height, width=width))
        truth = _draw(
            image,
            comparison.annotated,
            range(objects),
            frame,
            ids=[place + 1 for place in range(objects)],
            labels=[labels[label] + (" (crowd)" if crowd else "") for label, crowd in _classes(comparison)],
            scores=None,
        )
        detections = _draw(
            image,
            comparison.detected,
            shown,
            frame,
            ids=[finds[place] + 1 if place in finds else objects + 1 + rank for rank, place in enumerate(shown)],
            labels=[labels[comparison.detection_labels[place]] for place in shown],
            scores=[min(max(float(comparison.scores[place]), 0.0), 1.0) for place in shown],
        )
        pictures.append(FramePictures(frame, truth, detections))
    return tuple(pictures)


def _classes(comparison: VideoComparison) -> list[tuple[int, bool]]:
    return list(zip(comparison.object_labels.tolist(), comparison.crowd.tolist(), strict=True))


def _finds(comparison: VideoComparison) -> dict[int, int]:
    """Return for each detection that finds an object at an IoU of 0.5 that object."""
    finds = {}
    for matches in comparison.matches.values():
        for place, chosen in zip(matches.detections.tolist(), matches.objects[0, 0].tolist(), strict=True):
            if chosen >= 0:
                finds[place] = chosen
    return finds


def _spread(tracks: VideoMasks, count: int) -> list[int]:
    """Return some frames in which there are objects, or any, if there are none; not the very first and last."""
    seen = np.flatnonzero((tracks.areas > 0).any(axis=0)) if len(tracks) else np.arange(0)
    frames = seen if len(seen) else np.arange(tracks.length)
    places = (np.arange(count) + 0.5) / count * len(frames)
    return sorted({int(frames[int(place)]) for place in places})


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture at the report's size: labels that are drawn on that are legible."""
    scale = _SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _draw(
    image: NDArray[np.uint8],
    tracks: VideoMasks,
    chosen: Sequence[int],
    frame: int,
    *,
    ids: Sequence[int],
    labels: Sequence[str],
    scores: Sequence[float] | None,
) -> bytes:
    """Return the picture with the masks of some tracks as JPEG."""
    visible = [place for place, track in enumerate(chosen) if tracks.counts[track][frame] is not None]
    counts = [tracks.counts[chosen[place]][frame] for place in visible]
    dense = [RLEMask(tracks.height, tracks.width, one).decode() for one in counts if one is not None]
    drawn = draw_instances(
        image,
        masks=[scaled_mask(mask, *image.shape[:2]) for mask in dense],
        ids=[ids[place] for place in visible],
        labels=[labels[place] for place in visible],
        scores=None if scores is None else [scores[place] for place in visible],
        style=_STYLE,
    )
    buffer = BytesIO()
    Image.fromarray(drawn).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
