"""Small annotation files in which each pixel of each mask is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 24, 37


def rectangle(top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def compressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def uncompressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    flat = mask.ravel(order="F").astype(np.int8)
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def polygon(top: int, left: int, bottom: int, right: int) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def document() -> dict[str, Any]:
    """Return two videos with ids that have gaps; masks in every form."""
    box, other = rectangle(3, 5, 17, 30), rectangle(0, 0, 6, 37)
    return {
        "info": {"description": "test"},
        "videos": [
            {"id": 40, "height": HEIGHT, "width": WIDTH, "file_names": ["b/0.png", "b/1.png", "b/deep/2.png"]},
            {"id": 7, "height": HEIGHT, "width": WIDTH, "length": 2, "file_names": ["a0.png", "a1.png"]},
        ],
        "categories": [{"id": 30, "name": "fish"}, {"id": 4, "name": "bird"}],
        "annotations": [
            {"id": 5, "video_id": 7, "category_id": 30, "segmentations": [None, compressed(box)], "iscrowd": 0},
            {
                "id": 9,
                "video_id": 40,
                "category_id": 4,
                "segmentations": [uncompressed(box), None, compressed(other)],
                "occlusion": ["severe_occlusion", None, "no_occlusion"],
            },
            {"id": 11, "video_id": 40, "category_id": 30, "segmentations": [polygon(2, 4, 10, 20), [], None]},
            {"id": 12, "video_id": 7, "category_id": 4, "segmentations": [compressed(other), None], "iscrowd": 1},
        ],
    }


def write(folder: Path, content: dict[str, Any], name: str = "instances.json", *, sort_keys: bool = False) -> Path:
    path = folder / name
    path.write_text(json.dumps(content, sort_keys=sort_keys), encoding="utf-8")
    return path


def write_images(root: Path, content: dict[str, Any]) -> None:
    """Write every frame as a PNG that says which video (red) and frame (green) it is."""
    for video in content["videos"]:
        for index, name in enumerate(video["file_names"]):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (video["width"], video["height"]), (video["id"], index, 200)).save(target)
