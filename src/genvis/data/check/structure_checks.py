"""Checks of references: ids, categories, videos, lists with one entry per frame, file names."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from genvis.data.check.findings import Findings, Kind, Severity
from genvis.data.check.records import AnnotationRecords, CategoryEntry, Layout, TrackEntry, VideoEntry

DUPLICATE_VIDEO = Kind("duplicate-video-id", Severity.ERROR, "two videos (or images) have the same id")
DUPLICATE_ANNOTATION = Kind("duplicate-annotation-id", Severity.ERROR, "two annotations have the same id")
DUPLICATE_CATEGORY = Kind("duplicate-category-id", Severity.ERROR, "two categories have the same id")
DUPLICATE_NAME = Kind("duplicate-category-name", Severity.WARNING, "two categories have the same name")
NO_CATEGORIES = Kind("no-categories", Severity.ERROR, "the file names no categories")
NO_VIDEOS = Kind("no-videos", Severity.ERROR, "the file names no videos (or images)")
UNKNOWN_CATEGORY = Kind(
    "unknown-category", Severity.ERROR, "an annotation is of a category that the file does not define"
)
UNKNOWN_VIDEO = Kind("unknown-video", Severity.ERROR, "an annotation is of a video that the file does not define")
MASK_COUNT = Kind("mask-count", Severity.ERROR, "an annotation has not one mask (or null) for each frame of its video")
FRAME_LIST_COUNT = Kind("frame-list-count", Severity.WARNING, "boxes or areas are not one for each frame of the video")
ESCAPING_PATH = Kind(
    "escaping-path",
    Severity.ERROR,
    "a file name leads out of the image folder",
    "Names must be relative, with forward slashes and without '..'.",
)
REPEATED_FRAME = Kind("repeated-frame", Severity.WARNING, "a video names the same image file twice")
SHARED_FRAME = Kind(
    "shared-frame",
    Severity.WARNING,
    "an image file belongs to two videos",
    "Keep both in the same part when splitting, or the validation score will be too good.",
)
UNUSED_CATEGORY = Kind("unused-category", Severity.NOTE, "a category has no annotation")
EMPTY_VIDEO = Kind("empty-video", Severity.NOTE, "a video (or image) has no annotation")
ALL_CROWDS = Kind(
    "all-crowds",
    Severity.WARNING,
    "every annotation is marked as a crowd",
    "Crowds are not trained on or scored. CVAT marks all masks of a COCO export so: `genvis data convert from-coco` "
    "takes them as objects; else set 'iscrowd' to 0.",
)
CROWD = Kind("crowd", Severity.NOTE, "an annotation is marked as a crowd", "Crowds are not trained on or scored.")


def check_structure(records: AnnotationRecords, findings: Findings) -> None:
    """Check ids, references and lengths of a file.

    Args:
        records: What was read of the file.
        findings: Takes what is wrong.
    """
    _check_categories(records.categories, findings)
    if not records.videos:
        findings.add(NO_VIDEOS, f"'{'images' if records.layout is Layout.COCO else 'videos'}' is empty")
    _check_duplicates(records.videos, DUPLICATE_VIDEO, findings)
    _check_duplicates(records.tracks, DUPLICATE_ANNOTATION, findings)
    _check_file_names(records.videos, findings)
    _check_references(records, findings)


def _check_categories(categories: list[CategoryEntry], findings: Findings) -> None:
    if not categories:
        findings.add(NO_CATEGORIES, "'categories' is empty or absent")
    _check_duplicates(categories, DUPLICATE_CATEGORY, findings)
    ids_of_name: dict[str, list[int | None]] = {}
    for category in categories:
        if category.name is not None:
            ids_of_name.setdefault(category.name.strip().lower(), []).append(category.id)
    for name, ids in ids_of_name.items():
        if len(ids) > 1:
            findings.add(DUPLICATE_NAME, f"'{name}' is the name of categories {', '.join(map(str, ids))}")


def _check_duplicates(
    records: Iterable[VideoEntry | TrackEntry | CategoryEntry], kind: Kind, findings: Findings
) -> None:
    for identifier, count in Counter(record.id for record in records).items():
        if count > 1 and identifier is not None:
            findings.add(kind, f"id {identifier} is used {count} times")


def _check_file_names(videos: list[VideoEntry], findings: Findings) -> None:
    owner: dict[str, str] = {}
    for video in videos:
        names = [name for name in video.file_names or () if name is not None]
        for name, count in Counter(names).items():
            if count > 1:
                findings.add(REPEATED_FRAME, f"{video.where}: '{name}' is there {count} times", count - 1)
            if escapes_root(name):
                findings.add(ESCAPING_PATH, f"{video.where}: '{name}'")
            first = owner.setdefault(name, video.where)
            if first != video.where:
                findings.add(SHARED_FRAME, f"'{name}' is in {first} and in {video.where}")


def escapes_root(name: str) -> bool:
    """Return whether a file name of a data file is absolute or climbs above the image folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    return "\0" in name or not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]


def _check_references(records: AnnotationRecords, findings: Findings) -> None:
    category_ids = {category.id for category in records.categories}
    lengths: dict[int | None, int | None] = {}
    for video in records.videos:
        lengths.setdefault(video.id, len(video.file_names) if video.file_names else None)
    word = "image" if records.layout is Layout.COCO else "video"
    if records.tracks and all(track.crowd for track in records.tracks):
        findings.add(ALL_CROWDS, f"{len(records.tracks)} of {len(records.tracks)} annotations")
    for track in records.tracks:
        if track.crowd:
            findings.add(CROWD, track.where)
        if track.category_id is not None and track.category_id not in category_ids:
            findings.add(UNKNOWN_CATEGORY, f"{track.where}: category {track.category_id}")
        if track.video_id is not None and track.video_id not in lengths:
            findings.add(UNKNOWN_VIDEO, f"{track.where}: {word} {track.video_id}")
        length = lengths.get(track.video_id)
        if length is None or records.layout is Layout.COCO:
            continue
        if track.segmentations is not None and len(track.segmentations) != length:
            text = f"{track.where}: {len(track.segmentations)} masks for the {length} frames of video {track.video_id}"
            findings.add(MASK_COUNT, text)
        for name, values in (("boxes", track.boxes), ("areas", track.areas)):
            if values is not None and len(values) != length:
                findings.add(FRAME_LIST_COUNT, f"{track.where}: {len(values)} {name} for {length} frames")
    _check_unused(records, findings)


def _check_unused(records: AnnotationRecords, findings: Findings) -> None:
    if not records.tracks:
        return
    used_categories = {track.category_id for track in records.tracks}
    for category in records.categories:
        if category.id is not None and category.id not in used_categories:
            findings.add(UNUSED_CATEGORY, f"{category.id} '{category.name}'" if category.name else category.where)
    used_videos = {track.video_id for track in records.tracks}
    for video in records.videos:
        if video.id is not None and video.id not in used_videos:
            findings.add(EMPTY_VIDEO, video.where)
