"""Small data sets for the tests: one in order, and one with every kind of fault."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 48, 64


def rectangle(left: int, top: int, width: int, height: int) -> NDArray[np.bool_]:
    """Return a mask of the sample's size with a filled rectangle."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + height, left : left + width] = True
    return mask


def compressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask as a JSON file holds it."""
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def annotation(identifier: int, video: int, category: int, masks: list[NDArray[np.bool_] | None]) -> dict[str, Any]:
    """Return a YouTube-VIS annotation with boxes and areas."""
    boxes, areas = [], []
    for mask in masks:
        encoded = None if mask is None else coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        boxes.append(None if encoded is None else coco_mask.toBbox(encoded).tolist())
        areas.append(None if encoded is None else int(coco_mask.area(encoded)))
    return {
        "id": identifier,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "segmentations": [None if mask is None else compressed(mask) for mask in masks],
        "bboxes": boxes,
        "areas": areas,
    }


def good_content() -> dict[str, Any]:
    """Return two videos of 4 and 3 frames with three objects: one moves, one leaves and returns, one is polygons."""
    moving = annotation(7, 1, 1, [rectangle(4 + 6 * t, 6, 14, 10) for t in range(4)])
    leaving = annotation(8, 1, 2, [rectangle(40, 30, 10, 8), None, None, rectangle(42, 30, 10, 8)])
    polygons = annotation(9, 4, 2, [rectangle(10, 10, 20, 20)] * 3)
    polygons["segmentations"] = [[[10, 10, 30, 10, 30, 30, 10, 30]] for _ in range(3)]
    return {
        "info": {"description": "sample"},
        "videos": [
            video(1, [f"one/{t:05d}.jpg" for t in range(4)]),
            video(4, [f"two/{t:05d}.png" for t in range(3)]),
        ],
        "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "kite"}],
        "annotations": [moving, leaving, polygons],
    }


def video(identifier: int, names: list[str]) -> dict[str, Any]:
    """Return the entry of a video of the sample's size."""
    return {"id": identifier, "height": HEIGHT, "width": WIDTH, "length": len(names), "file_names": names}


def write_images(root: Path, content: dict[str, Any]) -> None:
    """Write a noisy image for every name of a file."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for entry in content["videos"]:
        for name in entry["file_names"]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise).save(root / name)


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def break_everything(root: Path) -> tuple[Path, dict[str, int]]:
    """Write a data set with every kind of fault that a YouTube-VIS file can have.

    Args:
        root: An empty folder; gets ``annotations.json`` and ``images/``.

    Returns:
        The annotation file, and how often each kind of problem is in it.
    """
    content = good_content()
    images = root / "images"
    # One more video with faults of files and one with faults of its entry, then the images of all.
    files = video(10, [f"files/{t}.{'jpg' if t < 4 else 'png'}" for t in range(6)])
    content["videos"].append(files)
    write_images(images, content)
    (images / "files/0.jpg").unlink()
    (images / "files/1.jpg").write_bytes(b"not an image")
    whole = (images / "files/2.jpg").read_bytes()
    (images / "files/2.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (WIDTH * 2, HEIGHT)).save(images / "files/3.jpg")
    (root / "outside.png").write_bytes((images / "files/5.png").read_bytes())
    (images / "files/5.png").unlink()
    (images / "files/5.png").symlink_to(root / "outside.png")

    content["videos"] += [
        {"id": 1, "height": HEIGHT, "width": 0, "file_names": ["../secret.png"]},  # duplicate id, size, path
        {"id": "12", "height": HEIGHT, "width": WIDTH, "length": 5, "file_names": ["one/00000.jpg"] * 2},
        {"id": 13, "height": HEIGHT, "width": WIDTH, "file_names": []},
        "not a video",
    ]
    content["categories"] += [{"id": 2, "name": "Kite"}, {"id": 5}, {"id": 6, "name": "wheel"}]

    def broken(identifier: int, **fields: Any) -> dict[str, Any]:
        return {**annotation(identifier, 4, 1, [patch(identifier)] * 3), **fields}

    def patch(identifier: int) -> NDArray[np.bool_]:
        return rectangle(1 + 5 * (identifier - 20), 40, 4, 4)

    content["annotations"] += [
        broken(20, video_id=99),
        broken(21, category_id=99),
        broken(20),  # duplicate id; the same object as 25 below
        broken(22, segmentations=[compressed(patch(22))] * 2),
        broken(23, segmentations=[None, None, None], bboxes=None, areas=None),
        broken(24, segmentations="all"),
        broken(25, segmentations=[compressed(patch(20))] * 3, bboxes=[[1, 40, 4, 4]], areas=None),
        broken(
            26,
            segmentations=[
                {"size": [WIDTH, HEIGHT], "counts": compressed(np.ones((WIDTH, HEIGHT), bool))["counts"]},
                {"size": [HEIGHT, WIDTH], "counts": [10, 20, 30]},
                {"size": [HEIGHT, WIDTH], "counts": "o\x7f"},
            ],
        ),
        broken(27, segmentations=[[[500, 500, 600, 500, 600, 600]], [[1, 2, 3]], [[1, 2, 3, "x", 5, 6]]]),
        broken(
            28,
            segmentations=[compressed(patch(28)), compressed(np.zeros((HEIGHT, WIDTH), bool)), None],
            bboxes=None,
            areas=None,
        ),
        broken(
            29,
            iscrowd=1,
            segmentations=[compressed(rectangle(0, 0, 5, 5)), compressed(rectangle(0, 0, 5, 5)), None],
            bboxes=[[0, 0, 50, 5], [3, 3, 0, 0], [0, 0, 5, 5]],
            areas=[2500, 25, None],
        ),
        broken(30, segmentations=[compressed(rectangle(7, 40, 3, 4))] * 3, bboxes=None, areas=None, iscrowd="no"),
        broken(31, bboxes={"first": 1}, segmentations=[compressed(rectangle(50, 20, 4, 4))] + [None] * 2, areas=None),
    ]
    expected = {
        "bad-entry": 1,
        "bad-id": 1,
        "bad-size": 1,
        "bad-file-names": 1,
        "bad-length": 1,
        "bad-category-name": 1,
        "bad-segmentations": 1,
        "bad-crowd": 1,
        "bad-frame-list": 1,
        "duplicate-video-id": 1,
        "duplicate-annotation-id": 1,
        "duplicate-category-id": 1,
        "duplicate-category-name": 1,
        "unknown-category": 1,
        "unknown-video": 1,
        "mask-count": 1,
        "frame-list-count": 1,
        "escaping-path": 1,
        "repeated-frame": 1,
        "shared-frame": 1,
        "unused-category": 2,
        "empty-video": 2,
        "crowd": 1,
        "unreadable-mask": 3,
        "mask-size": 1,
        "mask-sum": 1,
        "outside-frame": 1,
        "empty-mask": 1,
        "empty-track": 1,
        "one-frame-track": 2,
        "bad-box": 1,
        "box-mismatch": 1,
        "box-without-mask": 1,
        "area-mismatch": 1,
        "overlap": 1,
        "annotated-twice": 1,
        "missing-image": 1,
        "unreadable-image": 1,
        "truncated-image": 1,
        "image-size": 1,
        "mixed-sizes": 1,
        "link-out-of-root": 1,
    }
    return write_json(root / "annotations.json", content), expected
