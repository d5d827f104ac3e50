"""YouTube-VIS files, written track by track: what every conversion to this project's own format ends with."""

import json
from pathlib import Path
from typing import Any

from genvis.data.convert.tracks import ConvertedDataset, ConvertedTrack, ConvertedVideo
from genvis.errors import InputError
from genvis.files import atomic_file, make_folder

MOST_PLACES = 100_000_000
"""Most places for masks, which a file has for each object and frame: 1.5 GB of nothing but "null"."""


def write_youtube_vis(dataset: ConvertedDataset, path: Path) -> None:
    """Write a data set as a YouTube-VIS file; the file appears when it is complete.

    Masks are written as compressed RLE, with their boxes and areas. Ids of the source are kept where they are
    unique over the file; otherwise videos, and objects, are numbered from 1.

    Args:
        dataset: The videos.
        path: The JSON file to write.

    Raises:
        InputError: If there is no video to write, or a file would not hold it.
    """
    if not dataset.videos:
        raise InputError("There is no video to write: the input holds none.")
    video_ids = _unique_or_numbered([video.id for video in dataset.videos])
    tracks = [
        (video, identifier, track) for video, identifier in _with_ids(dataset, video_ids) for track in video.tracks
    ]
    track_ids = _unique_or_numbered([track.id for _, _, track in tracks])
    places = sum(len(video.file_names) for video, _, _ in tracks)
    if places > MOST_PLACES:
        raise InputError(
            f"The videos have {len(tracks):,} objects and so many frames that a YouTube-VIS file would have {places:,} "
            f"places for masks, more than {MOST_PLACES:,}; cut the videos into shorter ones."
        )
    head = {
        "info": {"description": "converted by genvis"},
        "videos": [
            {
                "id": identifier,
                "name": video.name,
                "height": video.height,
                "width": video.width,
                "length": len(video.file_names),
                "file_names": list(video.file_names),
            }
            for video, identifier in _with_ids(dataset, video_ids)
        ],
        "categories": [
            {"id": category.id, "name": category.name, "supercategory": "object"} for category in dataset.categories
        ],
    }
    make_folder(path.parent)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(_compact(head).removesuffix("}") + ',"annotations":[')
        for index, (video, video_id, track) in enumerate(tracks):
            annotation = _annotation(video, video_id, track, track_ids[index])
            file.write(("," if index else "") + _compact(annotation))
        file.write("]}")


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _with_ids(dataset: ConvertedDataset, ids: list[int]) -> list[tuple[ConvertedVideo, int]]:
    return list(zip(dataset.videos, ids, strict=True))


def _unique_or_numbered(ids: list[int | None]) -> list[int]:
    known = [identifier for identifier in ids if identifier is not None]
    if len(known) == len(ids) == len(set(known)):
        return known
    return list(range(1, len(ids) + 1))


def _annotation(video: ConvertedVideo, video_id: int, track: ConvertedTrack, track_id: int) -> dict[str, Any]:
    length = len(video.file_names)
    segmentations: list[dict[str, Any] | None] = [None] * length
    boxes: list[list[float] | None] = [None] * length
    areas: list[int | None] = [None] * length
    for frame, mask in track.masks.items():
        segmentations[frame] = mask.to_coco()
        boxes[frame] = [float(side) for side in mask.box]
        areas[frame] = mask.area
    return {
        "id": track_id,
        "video_id": video_id,
        "category_id": track.category_id,
        "iscrowd": int(track.crowd),
        "height": video.height,
        "width": video.width,
        "length": length,
        "segmentations": segmentations,
        "bboxes": boxes,
        "areas": areas,
    }
