"""Small data sets for the tests of the evaluation: rectangles that move."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.annotations.youtube_vis import load_youtube_vis

HEIGHT, WIDTH = 24, 32
Box = tuple[int, int, int, int]


def rectangle(box: Box | None, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any] | None:
    """Run lengths of a box (left, top, right, bottom), or None."""
    if box is None:
        return None
    mask = np.zeros((height, width), np.uint8, order="F")
    mask[box[1] : box[3], box[0] : box[2]] = 1
    encoded = coco_mask.encode(mask)
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def moving(left: int, top: int, *, size: int = 8, step: int = 1, frames: int = 10) -> list[dict[str, Any] | None]:
    """A square that moves to the right."""
    return [rectangle((left + frame * step, top, left + frame * step + size, top + size)) for frame in range(frames)]


def data_set(
    tracks: list[dict[str, Any]],
    *,
    videos: int = 1,
    frames: int = 10,
    categories: int = 3,
    height: int = HEIGHT,
    width: int = WIDTH,
) -> dict[str, Any]:
    """The document of an annotation file."""
    return {
        "videos": [
            {
                "id": number,
                "height": height,
                "width": width,
                "file_names": [f"v{number}/{frame:03d}.jpg" for frame in range(frames)],
            }
            for number in range(1, videos + 1)
        ],
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, categories + 1)],
        "annotations": [{"id": number, **track} for number, track in enumerate(tracks, start=1)],
    }


def annotation(masks: list[Any], category: int = 1, video: int = 1, **others: Any) -> dict[str, Any]:
    return {"video_id": video, "category_id": category, "iscrowd": 0, "segmentations": masks, **others}


def detection(masks: list[Any], category: int = 1, score: float = 0.9, video: int = 1) -> dict[str, Any]:
    return {"video_id": video, "category_id": category, "score": score, "segmentations": masks}


def load(document: dict[str, Any], folder: Path) -> VideoAnnotations:
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return load_youtube_vis(path)


def as_results(document: dict[str, Any], score: float = 0.9) -> list[dict[str, Any]]:
    """The annotated objects as if they were detections."""
    return [
        detection(track["segmentations"], track["category_id"], score, track["video_id"])
        for track in document["annotations"]
        if not track["iscrowd"]
    ]
