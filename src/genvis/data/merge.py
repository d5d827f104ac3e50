"""Merge of annotation files into one data set: videos of YouTube-VIS or OVIS files, and single images of COCO files."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from genvis.errors import InputError
from genvis.files import make_folder, read_json_object, write_json
from genvis.json_values import whole_number

_REMEDY = "`genvis data check` lists everything that is wrong"


@dataclass(frozen=True)
class Merged:
    """A merged data set.

    Attributes:
        path: The file that was written.
        images: The folder that its file names start from; None if that of the files was not said.
        videos: Number of videos, single images included.
        stills: How many of them are single images.
        frames: Number of frames.
        tracks_of_category: Number of tracks for each category name.
        remarks: What had to be assumed, in sentences.
    """

    path: Path
    images: Path | None
    videos: int
    stills: int
    frames: int
    tracks_of_category: dict[str, int]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as a dictionary ready for JSON."""
        return {
            "path": str(self.path),
            "images": None if self.images is None else str(self.images),
            "videos": self.videos,
            "stills": self.stills,
            "frames": self.frames,
            "tracks_of_category": self.tracks_of_category,
            "remarks": list(self.remarks),
        }


def merge_annotations(paths: Sequence[Path], output: Path, *, images: Sequence[Path] = ()) -> Merged:
    """Merge annotation files: categories of the same name become one, ids are given anew, masks are copied as they are.

    An image of a COCO file becomes a video of one frame; training makes pseudo videos of it.

    Args:
        paths: YouTube-VIS, OVIS or COCO instances files (JSON).
        output: The YouTube-VIS file to write.
        images: The folder that the file names of each file start from, in the same order; file names then start from
            the folder that all of them are in. One folder is that of all files; none leaves the names as they are.

    Raises:
        InputError: If a file cannot be used, or two files annotate the same image: one of them would teach that the
            other's objects are background.
        OutputError: If the file cannot be written.
    """
    if len(images) not in (0, 1, len(paths)):
        raise InputError(
            f"There are {len(paths)} files but {len(images)} folders of images: give --images once, or once for each."
        )
    root, prefixes = _common_root(images, len(paths))
    merger = _Merger()
    for path, prefix in zip(paths, prefixes, strict=True):
        merger.add(path, prefix)
    make_folder(output.parent)
    write_json(output, merger.content())
    counts = Counter(annotation["category_id"] for annotation in merger.annotations)
    return Merged(
        path=output,
        images=root,
        videos=len(merger.videos),
        stills=sum(len(video["file_names"]) == 1 for video in merger.videos),
        frames=sum(len(video["file_names"]) for video in merger.videos),
        tracks_of_category={name: counts[identifier] for name, identifier in merger.categories.items()},
        remarks=merger.remarks(),
    )


def is_coco(content: Mapping[str, Any]) -> bool:
    """Whether the content of an annotation file is of COCO's kind: a list of images, and none of videos."""
    return "videos" not in content and isinstance(content.get("images"), list)


def _common_root(images: Sequence[Path], count: int) -> tuple[Path | None, list[str]]:
    """Return the folder that all folders of images are in, and the way from it to each."""
    if not images:
        return None, [""] * count
    for folder in images:
        if not folder.is_dir():
            raise InputError(
                f"There is no folder '{folder}': name the folder that the file names of the annotations start from."
            )
    if len(set(images)) == 1:
        return images[0], [""] * count
    try:
        root = Path(os.path.commonpath([folder.resolve() for folder in images]))
    except ValueError:  # Of two drives.
        raise InputError("The folders of images are on different drives: move them to one.") from None
    return root, [folder.resolve().relative_to(root).as_posix() for folder in images]


class _Merger:
    """Collects the records of one file after the other under new ids."""

    def __init__(self) -> None:
        self.categories: dict[str, int] = {}
        self.videos: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self._owner: dict[str, Path] = {}
        self._spellings: dict[str, str] = {}
        self._doubtful: list[str] = []

    def add(self, path: Path, prefix: str) -> None:
        content = read_json_object(path, expected="an object with 'videos' or 'images', 'annotations' and 'categories'")
        stills = is_coco(content)
        category_ids = {identifier: self._category(name) for identifier, name in _categories(content, path).items()}
        video_ids: dict[int, int] = {}
        for record in _records(content, "images" if stills else "videos", ("id",), path):
            if record["id"] in video_ids:
                raise InputError(f"'{path}' has the id {record['id']} twice; {_REMEDY}.")
            video_ids[record["id"]] = len(self.videos) + 1
            self.videos.append(self._video(record, path, prefix, is_still=stills))
        key = "image_id" if stills else "video_id"
        for record in _records(content, "annotations", (key, "category_id"), path):
            if record[key] not in video_ids or record["category_id"] not in category_ids:
                raise InputError(
                    f"An annotation of '{path}' is of {key} {record[key]} and category {record['category_id']}, which "
                    f"are not both in the file; {_REMEDY}."
                )
            annotation = _as_track(record) if stills else dict(record)
            annotation |= {
                "id": len(self.annotations) + 1,
                "video_id": video_ids[record[key]],
                "category_id": category_ids[record["category_id"]],
            }
            self.annotations.append(annotation)

    def content(self) -> dict[str, Any]:
        """Return the content of the merged file."""
        return {
            "info": {"description": "merged by genvis"},
            "videos": self.videos,
            "categories": [
                {"id": identifier, "name": name, "supercategory": "object"}
                for name, identifier in self.categories.items()
            ],
            "annotations": self.annotations,
        }

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should look at."""
        return tuple(
            f"'{name}' and '{self._spellings[name.lower()]}' stay two categories: rename one if they are the same."
            for name in self._doubtful
        )

    def _category(self, name: str) -> int:
        if name not in self.categories:
            self.categories[name] = len(self.categories) + 1
            if self._spellings.setdefault(name.lower(), name) != name:
                self._doubtful.append(name)
        return self.categories[name]

    def _video(self, record: Mapping[str, Any], path: Path, prefix: str, *, is_still: bool) -> dict[str, Any]:
        given = [record.get("file_name")] if is_still else record.get("file_names")
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            raise InputError(f"The record {record['id']} of '{path}' has no file names; {_REMEDY}.")
        names = [str(PurePosixPath(prefix, name)) for name in given]
        for name in names:
            if self._owner.setdefault(name, path) != path:
                raise InputError(
                    f"'{name}' is annotated in '{self._owner[name]}' and in '{path}', so that each would teach "
                    "the other's objects as background: annotate it in one file, or give each file its folder "
                    "with --images."
                )
        kept = {} if is_still else dict(record)
        return kept | {
            "id": len(self.videos) + 1,
            "height": record.get("height"),
            "width": record.get("width"),
            "length": len(names),
            "file_names": names,
        }


def _as_track(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of one image as a track of one frame."""
    return {
        "iscrowd": record.get("iscrowd", 0),
        "segmentations": [record.get("segmentation")],
        "bboxes": [record.get("bbox")],
        "areas": [record.get("area")],
    }


def _categories(content: Mapping[str, Any], path: Path) -> dict[int, str]:
    records = _records(content, "categories", ("id",), path)
    for record in records:
        if not isinstance(record.get("name"), str):
            raise InputError(f"The category {record['id']} of '{path}' has no name; {_REMEDY}.")
    return {record["id"]: record["name"] for record in records}


def _records(content: Mapping[str, Any], key: str, fields: Sequence[str], path: Path) -> list[dict[str, Any]]:
    records = content.get(key)
    if not isinstance(records, list):
        raise InputError(f"'{path}' has no list '{key}'; {_REMEDY}.")
    for index, record in enumerate(records):
        if not isinstance(record, dict) or not all(whole_number(record.get(field)) is not None for field in fields):
            raise InputError(f"{key}[{index}] of '{path}' has no {' and '.join(fields)}; {_REMEDY}.")
    return records
