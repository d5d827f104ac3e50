"""Annotation file read as it is: whatever is wrong becomes a finding, and the rest is read all the same."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from genvis.data.check.findings import Findings, Kind, Severity
from genvis.errors import InputError
from genvis.files import read_json_object
from genvis.json_values import is_text, shown, whole_number
from genvis.masks import MaskError, check_frame_size

ANNOTATION_FILE = "an object with 'videos', 'annotations' and 'categories'"

BAD_LIST = Kind("bad-list", Severity.ERROR, "a part of the file is not a list")
BAD_ENTRY = Kind("bad-entry", Severity.ERROR, "an entry of a list is not an object with fields")
BAD_ID = Kind("bad-id", Severity.ERROR, "an id is missing or not a whole number")
NO_ANNOTATION_ID = Kind(
    "no-annotation-id", Severity.WARNING, "an annotation has no id", "It gets its place in the file as its id."
)
BAD_SIZE = Kind("bad-size", Severity.ERROR, "height or width is missing, no whole number, or not possible")
BAD_FILE_NAMES = Kind("bad-file-names", Severity.ERROR, "the list of image files is missing, empty or holds no names")
BAD_LENGTH = Kind("bad-length", Severity.ERROR, "'length' is not the number of image files")
BAD_CATEGORY_NAME = Kind("bad-category-name", Severity.ERROR, "a category has no name, or one that is no text")
BAD_SEGMENTATIONS = Kind("bad-segmentations", Severity.ERROR, "the masks of an annotation are missing or not a list")
BAD_CROWD = Kind("bad-crowd", Severity.WARNING, "'iscrowd' is neither 0 nor 1", "It is read as 0.")
BAD_PER_FRAME_LIST = Kind("bad-frame-list", Severity.ERROR, "boxes or areas are there but not as a list, one a frame")
NO_ANNOTATIONS = Kind(
    "no-annotations", Severity.NOTE, "the file has no annotations", "It can be predicted on, not trained or scored on."
)
TRACKED_COCO = Kind(
    "tracked-coco",
    Severity.NOTE,
    "these COCO images are frames of videos, with a track id per mask",
    "`genvis data convert from-coco` makes a video file of them.",
)


class Layout(StrEnum):
    """The kinds of file that can be checked."""

    YOUTUBE_VIS = "YouTube-VIS / OVIS"
    COCO = "COCO instances"


@dataclass(frozen=True)
class CategoryEntry:
    """One category as the file has it; None stands for what is missing or unusable."""

    where: str
    id: int | None
    name: str | None


@dataclass(frozen=True)
class VideoEntry:
    """One video, or one image of a COCO file as a video of one frame."""

    where: str
    id: int | None
    height: int | None
    width: int | None
    file_names: tuple[str | None, ...] | None


@dataclass(frozen=True)
class TrackEntry:
    """One annotation: the masks of one object in all frames of its video."""

    where: str
    id: int | None
    video_id: int | None
    category_id: int | None
    segmentations: list[Any] | None
    boxes: list[Any] | None
    areas: list[Any] | None
    crowd: bool


@dataclass(frozen=True)
class AnnotationRecords:
    """All that could be read of an annotation file."""

    path: Path
    layout: Layout
    categories: list[CategoryEntry]
    videos: list[VideoEntry]
    tracks: list[TrackEntry]


def read_records(path: Path, findings: Findings) -> AnnotationRecords:
    """Read a YouTube-VIS, OVIS or COCO instances file tolerantly.

    Args:
        path: The JSON file.
        findings: Takes what is wrong with the structure.

    Returns:
        What could be read.

    Raises:
        InputError: If the file is not JSON at all, or nothing like an annotation file.
    """
    content = read_json_object(path, expected=ANNOTATION_FILE)
    layout = _layout(path, content)
    video_key = "videos" if layout is Layout.YOUTUBE_VIS else "images"
    categories = [_category(entry, where, findings) for entry, where in _entries(content, "categories", findings)]
    videos = [_video(entry, where, layout, findings) for entry, where in _entries(content, video_key, findings)]
    if content.get("annotations") is None:
        findings.add(NO_ANNOTATIONS, "'annotations' is absent or null, as in the public validation and test files")
        tracks = []
    else:
        entries = _entries(content, "annotations", findings)
        tracks = [_track(entry, where, layout, findings) for entry, where in entries]
        tracked = sum("track_id" in entry or "instance_id" in entry for entry, _ in entries)
        if layout is Layout.COCO and tracked:
            findings.add(TRACKED_COCO, f"{tracked} of {len(entries)} annotations have a track id")
    return AnnotationRecords(path, layout, categories, videos, tracks)


def _layout(path: Path, content: dict[str, Any]) -> Layout:
    # A file with both is COCO with a frame per image, whose videos only group the images.
    if content.get("images") or ("images" in content and "videos" not in content):
        return Layout.COCO
    if "videos" in content:
        return Layout.YOUTUBE_VIS
    keys = ", ".join(f"'{key}'" for key in list(content)[:6]) or "nothing"
    raise InputError(f"'{path}' has neither 'videos' (YouTube-VIS, OVIS) nor 'images' (COCO); it has {keys}.")


def _entries(content: dict[str, Any], key: str, findings: Findings) -> list[tuple[dict[str, Any], str]]:
    """Return the entries of a list with their place in words, for example 'videos[3]'."""
    values = content.get(key)
    if not isinstance(values, list):
        findings.add(BAD_LIST, f"'{key}' is {_named(values)}")
        return []
    entries = []
    for index, value in enumerate(values):
        if isinstance(value, dict):
            entries.append((value, f"{key}[{index}]"))
        else:
            findings.add(BAD_ENTRY, f"{key}[{index}] is {_named(value)}")
    return entries


def _named(value: Any) -> str:
    return "absent or null" if value is None else f"a {type(value).__name__}"


def _identifier(entry: dict[str, Any], key: str, where: str, findings: Findings) -> int | None:
    value = whole_number(entry.get(key))
    if value is not None:
        return value
    findings.add(BAD_ID, f"{where}: '{key}' is {shown(entry[key])}" if key in entry else f"{where}: no '{key}'")
    return None


def _category(entry: dict[str, Any], where: str, findings: Findings) -> CategoryEntry:
    identifier = _identifier(entry, "id", where, findings)
    name = entry.get("name")
    if not is_text(name) or not name.strip():
        findings.add(BAD_CATEGORY_NAME, f"{where} (id {identifier}): 'name' is {shown(name)}")
        name = None
    return CategoryEntry(f"category {identifier}" if identifier is not None else where, identifier, name)


def _video(entry: dict[str, Any], where: str, layout: Layout, findings: Findings) -> VideoEntry:
    identifier = _identifier(entry, "id", where, findings)
    if identifier is not None:
        where = f"{'image' if layout is Layout.COCO else 'video'} {identifier}"
    height, width = whole_number(entry.get("height")), whole_number(entry.get("width"))
    try:
        if height is None or width is None:
            raise MaskError(f"'height' is {shown(entry.get('height'))}, 'width' is {shown(entry.get('width'))}")
        check_frame_size(height, width)
    except MaskError as error:
        findings.add(BAD_SIZE, f"{where}: {error}")
        height = width = None
    key = "file_names" if layout is Layout.YOUTUBE_VIS else "file_name"
    names = entry.get(key)
    names = names if layout is Layout.YOUTUBE_VIS else [names]
    file_names: tuple[str | None, ...] | None = None
    if not isinstance(names, list) or not names:
        findings.add(BAD_FILE_NAMES, f"{where}: '{key}' is {_named(names) if names != [] else 'empty'}")
    else:
        file_names = tuple(name if is_text(name) and name else None for name in names)
        bad = [name for name, kept in zip(names, file_names, strict=True) if kept is None]
        if bad:
            findings.add(BAD_FILE_NAMES, f"{where}: {len(bad)} of {len(names)} are no names, first {shown(bad[0])}")
        length = entry.get("length", len(names))
        if layout is Layout.YOUTUBE_VIS and length != len(names):
            findings.add(BAD_LENGTH, f"{where}: 'length' is {shown(length)}, but it names {len(names)} image files")
    return VideoEntry(where, identifier, height, width, file_names)


def _track(entry: dict[str, Any], where: str, layout: Layout, findings: Findings) -> TrackEntry:
    identifier = None
    if "id" in entry:
        identifier = _identifier(entry, "id", where, findings)
    else:
        findings.add(NO_ANNOTATION_ID, where)
    if identifier is not None:
        where = f"annotation {identifier}"
    plural = layout is Layout.YOUTUBE_VIS
    key = "segmentations" if plural else "segmentation"
    segmentations = entry.get(key) if plural else [entry.get(key)]
    if not isinstance(segmentations, list):
        hint = "; it has 'segmentation', as COCO has" if plural and "segmentation" in entry else ""
        findings.add(BAD_SEGMENTATIONS, f"{where}: '{key}' is {_named(segmentations)}{hint}")
        segmentations = None
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        findings.add(BAD_CROWD, f"{where}: 'iscrowd' is {shown(crowd)}")
    lists: list[list[Any] | None] = []
    for per_frame in ("bboxes", "areas") if plural else ("bbox", "area"):
        value = entry.get(per_frame)
        if value is not None and plural and not isinstance(value, list):
            findings.add(BAD_PER_FRAME_LIST, f"{where}: '{per_frame}' is {_named(value)}")
            value = None
        lists.append(value if value is None or plural else [value])
    video_key = "video_id" if plural else "image_id"
    return TrackEntry(
        where=where,
        id=identifier,
        video_id=_identifier(entry, video_key, where, findings),
        category_id=_identifier(entry, "category_id", where, findings),
        segmentations=segmentations,
        boxes=lists[0],
        areas=lists[1],
        crowd=crowd == 1,
    )
