"""A video's result as JSON, and back without loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genvis.errors import InputError
from genvis.files import read_json_object, require_file
from genvis.masks import MaskError, RLEMask, read_masks
from genvis.results.types import FrameStamp, Track, VideoResult

RESULT_FILE = "result.json"
FORMAT = "genvis-video-result"
VERSION = 1


def to_json(result: VideoResult) -> dict[str, Any]:
    """Return everything in a result as a dictionary ready for JSON."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": result.name,
        "height": result.height,
        "width": result.width,
        "categories_name": result.categories_name,
        "problem": result.problem,
        "frames": {
            "index": [stamp.index for stamp in result.frames],
            "time": [stamp.time for stamp in result.frames],
            "name": [stamp.name for stamp in result.frames],
        },
        "tracks": [
            {
                "id": track.id,
                "label": track.label,
                "label_id": track.label_id,
                "category_id": track.category_id,
                "score": track.score,
                "segmentations": [None if mask is None else mask.to_coco() for mask in track.masks],
            }
            for track in result.tracks
        ],
    }


def from_json(document: Mapping[str, Any]) -> VideoResult:
    """Read what :func:`to_json` returned.

    Raises:
        InputError: If it is something else.
    """
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise InputError(f"This is no saved result: its 'format' is not '{FORMAT}'.")
    if document.get("version") != VERSION:
        raise InputError(f"This result has version {document.get('version')}; this program reads version {VERSION}.")
    try:
        stamps, height, width = document["frames"], int(document["height"]), int(document["width"])
        return VideoResult(
            name=str(document["name"]),
            height=height,
            width=width,
            frames=tuple(
                FrameStamp(index=int(index), time=float(time), name=str(name))
                for index, time, name in zip(stamps["index"], stamps["time"], stamps["name"], strict=True)
            ),
            tracks=tuple(_track(entry, height=height, width=width) for entry in document["tracks"]),
            categories_name=str(document.get("categories_name", document.get("label_set", ""))),
            problem=None if document["problem"] is None else str(document["problem"]),
        )
    except KeyError as error:
        raise InputError(f"The saved result lacks {error}.") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"The saved result is damaged: {error}") from None


def load(path: str | Path) -> VideoResult:
    """Read a saved result from its folder or JSON file.

    Raises:
        InputError: If there is none, or the file is damaged.
    """
    file = Path(path)
    if file.is_dir():
        file = file / RESULT_FILE
    if not file.exists():
        raise InputError(f"There is no result at '{file}'.")
    document = read_json_object(file, expected="a saved result")
    try:
        return from_json(document)
    except InputError as error:
        raise InputError(f"'{file}': {error}") from error


def holds_result(path: Path) -> bool:
    """Return whether a file says in its first line to be a saved result."""
    with require_file(path).open("rb") as file:
        return f'"{FORMAT}"'.encode() in file.read(200)


def _track(entry: Mapping[str, Any], *, height: int, width: int) -> Track:
    return Track(
        id=int(entry["id"]),
        label=str(entry["label"]),
        label_id=int(entry["label_id"]),
        category_id=int(entry["category_id"]),
        score=float(entry["score"]),
        masks=_masks(entry["segmentations"], height=height, width=width),
    )


def _masks(segmentations: Any, *, height: int, width: int) -> tuple[RLEMask | None, ...]:
    """Read the masks of a track together, which takes a fifth of the time of one after the other."""
    if not isinstance(segmentations, list) or not all(
        segmentation is None or isinstance(segmentation, Mapping) for segmentation in segmentations
    ):
        raise InputError("A mask cannot be read: it is no RLE.")
    try:
        masks = read_masks(segmentations, height=height, width=width)
    except MaskError as error:
        raise InputError(f"A mask cannot be read: {error}.") from None
    if all((mask is None) == (segmentation is None) for mask, segmentation in zip(masks, segmentations, strict=True)):
        return tuple(masks)
    empty = RLEMask.encode(np.zeros((height, width), np.bool_))  # A mask without a pixel stays one.
    return tuple(
        empty if mask is None and segmentation is not None else mask
        for mask, segmentation in zip(masks, segmentations, strict=True)
    )
