"""A small sound data set in every annotation format that is read: the files that campaigns damage."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from tests.robustness.sample_videos import HEIGHT, WIDTH, picture

FRAMES = 3


def square(left: int, top: int, side: int = 12) -> NDArray[np.bool_]:
    """Return a mask with a filled square."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def compressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a compressed RLE."""
    return {"size": [HEIGHT, WIDTH], "counts": coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()}


def uncompressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an uncompressed RLE, which begins with background."""
    flat = np.concatenate(([0], mask.ravel(order="F"), [2])).astype(int)
    changes = np.flatnonzero(np.diff(flat))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(changes, prepend=0).tolist()}


def youtube_vis() -> dict[str, Any]:
    """Return two videos with three objects; masks as polygons, compressed and uncompressed RLE."""
    moving = [square(4 + 4 * frame, 8) for frame in range(FRAMES)]
    still = [square(40, 30), square(40, 30)]
    segmentations = (
        [compressed(mask) for mask in moving],
        [uncompressed(moving[0]), None, uncompressed(moving[2])],
        [[[40, 30, 52, 30, 52, 42, 40, 42]], [[40, 30, 52, 30, 52, 42, 40, 42.5]]],
    )
    masks = (moving, [moving[0], None, moving[2]], still)
    annotations = []
    for number, (shapes, pixels) in enumerate(zip(segmentations, masks, strict=True), start=1):
        boxes = [None if mask is None else coco_mask.toBbox(_encoded(mask)).tolist() for mask in pixels]
        annotation: dict[str, Any] = {
            "id": number,
            "video_id": 1 if number < 3 else 2,
            "category_id": number % 2 + 1,
            "iscrowd": 0,
            "height": HEIGHT,
            "width": WIDTH,
            "segmentations": shapes,
            "bboxes": boxes,
            "areas": [None if mask is None else int(mask.sum()) for mask in pixels],
        }
        if number == 2:
            annotation["occlusion"] = ["no_occlusion", None, "severe_occlusion"]
        annotations.append(annotation)
    return {
        "info": {"description": "sample"},
        "licenses": [{"id": 1, "name": "none"}],
        "videos": [_video(1, "one", FRAMES, "jpg"), _video(2, "two", 2, "png")],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog", "supercategory": "animal"}],
        "annotations": annotations,
    }


def results() -> list[dict[str, Any]]:
    """Return results for `youtube_vis`, in the format of its server."""
    found = [
        {"video_id": 1, "category_id": 2, "score": 0.9, "segmentations": [compressed(square(4, 8))] * FRAMES},
        {"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": [None, compressed(square(8, 8)), None]},
        {"video_id": 2, "category_id": 2, "score": 0.25, "segmentations": [compressed(square(38, 30))] * 2},
    ]
    return [{**entry, "segmentations": list(entry["segmentations"])} for entry in found]  # type: ignore[call-overload]


def coco() -> dict[str, Any]:
    """Return images of two videos with track ids."""
    images, annotations = [], []
    for video, frames in ((1, FRAMES), (2, 2)):
        for frame in range(frames):
            name = f"{'one' if video == 1 else 'two'}/{frame:05d}.{'jpg' if video == 1 else 'png'}"
            number = len(images) + 1
            images.append(
                {
                    "id": number,
                    "file_name": name,
                    "height": HEIGHT,
                    "width": WIDTH,
                    "video_id": video,
                    "frame_id": frame,
                }
            )
            mask = square(4 + 4 * frame, 8)
            shape: Any = compressed(mask) if frame else [[4, 8, 16, 8, 16, 20, 4, 20]]
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "segmentation": shape,
                    "bbox": [4 + 4 * frame, 8, 12, 12],
                    "area": 144,
                    "attributes": {"track_id": 5, "occluded": False},
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "videos": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
        "categories": [{"id": 1, "name": "person", "supercategory": ""}],
    }


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>5</id><name>task</name><size>3</size><mode>interpolation</mode>
<start_frame>0</start_frame><stop_frame>2</stop_frame><frame_filter>step=1</frame_filter>
<labels><label><name>car</name><attributes></attributes></label><label><name>person</name><attributes><attribute>
<name>who</name><values>a</values></attribute></attributes></label></labels>
<original_size><width>64</width><height>48</height></original_size><source>street.mp4</source></task>
<dumped>2026-01-01 00:00:00</dumped></meta>
<track id="0" label="car" source="manual"><polygon frame="0" keyframe="1" outside="0" occluded="0"
 points="4.00,4.00;12.00,4.00;12.00,12.00;4.00,12.00" z_order="0"></polygon><polygon frame="2" keyframe="1" outside="0"
 occluded="1" points="6.00,4.00;14.00,4.00;14.00,12.00" z_order="1"></polygon></track>
<track id="1" label="person" source="manual" group_id="3"><mask frame="1" keyframe="1" outside="0"
 occluded="0" rle="2, 4, 4, 4, 6" left="30" top="20" width="5" height="4" z_order="0">
<attribute name="who">a</attribute></mask></track>
<track id="2" label="car" source="manual"><box frame="0" keyframe="1" outside="0" occluded="0" xtl="20.0" ytl="20.0"
 xbr="30.0" ybr="31.5" z_order="0"></box><ellipse frame="1" keyframe="1" outside="0" occluded="0" cx="30" cy="30" rx="5"
 ry="4" rotation="30.0" z_order="0"></ellipse><box frame="2" keyframe="1" outside="1" occluded="0" xtl="20.0" ytl="20.0"
 xbr="30.0" ybr="31.5" rotation="10" z_order="0"></box></track>
</annotations>
"""


def write_data_set(folder: Path) -> None:
    """Write the data set in every format, with its images."""
    for name, frames, ending in (("one", FRAMES, "jpg"), ("two", 2, "png")):
        for frame in range(frames):
            path = folder / "images" / name / f"{frame:05d}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(frame)).save(path)
    _write_json(folder / "instances.json", youtube_vis())
    _write_json(folder / "results.json", results())
    _write_json(folder / "coco.json", coco())
    (folder / "annotations.xml").write_text(CVAT, encoding="utf-8")
    with zipfile.ZipFile(folder / "cvat.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", CVAT)
        archive.write(folder / "images/one/00000.jpg", "images/frame_000000.jpg")
    _write_mots(folder)
    _write_label_maps(folder)


def _write_mots(folder: Path) -> None:
    lines = []
    for frame in range(FRAMES):
        counts = compressed(square(4 + 4 * frame, 8))["counts"]
        lines += [
            f"{frame} 1001 1 {HEIGHT} {WIDTH} {counts}",
            f"{frame} 2005 2 {HEIGHT} {WIDTH} {compressed(square(40, 30))['counts']}",
        ]
    (folder / "mots_txt").mkdir()
    (folder / "mots_txt/one.txt").write_text("\n".join(lines) + "\n")
    (folder / "mots_txt/labels.txt").write_text("car\npedestrian\n")
    place = folder / "mots_png/one"
    place.mkdir(parents=True)
    for frame in range(FRAMES):
        labels = np.zeros((HEIGHT, WIDTH), np.uint16)
        labels[square(4 + 4 * frame, 8)] = 1001
        labels[square(40, 30)] = 2005
        Image.fromarray(labels).save(place / f"{frame:06d}.png")


def _write_label_maps(folder: Path) -> None:
    place = folder / "davis/Annotations/one"
    place.mkdir(parents=True)
    for frame in range(FRAMES):
        labels = Image.fromarray(square(4 + 4 * frame, 8).astype(np.uint8) + 2 * square(40, 30).astype(np.uint8), "P")
        labels.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        labels.save(place / f"{frame:05d}.png")
    objects = {number: {"category": name, "frames": ["00000"]} for number, name in (("1", "dog"), ("2", "car"))}
    _write_json(folder / "davis/meta.json", {"videos": {"one": {"objects": objects}}})


def _video(number: int, name: str, frames: int, ending: str) -> dict[str, Any]:
    names = [f"{name}/{frame:05d}.{ending}" for frame in range(frames)]
    return {"id": number, "height": HEIGHT, "width": WIDTH, "length": frames, "file_names": names}


def _encoded(mask: NDArray[np.bool_]) -> Any:
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
