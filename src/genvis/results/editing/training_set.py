"""From a corrected result to a training set: its frames as images, its tracks in an annotation file."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genvis.data.convert.frame_files import extract_frames
from genvis.data.convert.tracks import safe_name
from genvis.errors import InputError
from genvis.files import make_folder, read_json_object, write_json
from genvis.json_values import whole_number
from genvis.masks import RLEMask
from genvis.results.types import Track, VideoResult
from genvis.video.sources.opening import open_source

_REMEDY = "`genvis data check` lists everything that is wrong"


@dataclass(frozen=True)
class AppendedVideo:
    """What was added to an annotation file.

    Attributes:
        annotations: The file.
        images: The folder that its file names start from.
        name: Name of the video, which is the name of its folder of images.
        frames: Images of the video.
        objects: Tracks that were added.
        masks: Masks of these.
        new_categories: Names of the categories that the file did not have.
        replaced: Whether the video was there already.
    """

    annotations: Path
    images: Path
    name: str
    frames: int
    objects: int
    masks: int
    new_categories: tuple[str, ...]
    replaced: bool

    @property
    def commands(self) -> tuple[str, ...]:
        """What trains on the file: typed one after the other."""
        words = ["genvis", "data", "prepare", str(self.annotations), "--images", str(self.images)]
        recipes = [f"{self.annotations.stem}_{stage}.yaml" for stage in ("detector", "genvis")]
        train = [["genvis", "train", str(self.annotations.parent / recipe)] for recipe in recipes]
        return tuple(shlex.join(command) for command in (words, *train))


def append_to_annotations(
    result: VideoResult,
    annotations: str | Path,
    *,
    images: str | Path,
    video: str | Path,
    name: str | None = None,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AppendedVideo:
    """Add a corrected result to a YouTube-VIS file that `genvis data prepare` and `genvis train` read.

    The frames of the result are written as JPEG images into a folder of ``images``. Categories are matched by name; one
    that the file does not have is added. All other content of the file stays as it is.

    Args:
        result: The corrected result. Tracks that are never visible are left out.
        annotations: The YouTube-VIS file; it is made if it does not exist.
        images: The folder that the file names of the file start from; made if it does not exist.
        video: The video that was segmented.
        name: Name for the video; None takes that of the result.
        replace: Take the place of the video's annotations where it is in the file already.
        progress: Called with the number of frames written, and their total.

    Returns:
        What was added, and the commands that train on the file.

    Raises:
        InputError: If the file is damaged or holds the video already, or the video is another one than that of the
            result.
        OutputError: If a file cannot be written.
    """
    path, root = Path(annotations), Path(images)
    name = safe_name(name or result.name)
    content = _read(path)
    numbers = [stamp.index for stamp in result.frames]
    if not numbers:
        raise InputError(f"'{result.name}' has no frame to train on.")
    file_names = [f"{name}/{number:06d}.jpg" for number in numbers]
    earlier = _videos_with(content, set(file_names))
    if earlier and not replace:
        raise InputError(
            f"'{path}' has the frames of '{name}' already: say that they are to be replaced, or give another name."
        )
    if any(set(video_entry["file_names"]) != set(file_names) for video_entry in earlier):
        raise InputError(f"'{path}' has a video '{name}' of other frames: give another name.")
    _check_video(result, Path(video))
    make_folder(root)
    extract_frames(Path(video), root / name, numbers, progress=progress)
    video_id = _next_id(content, "videos") if not earlier else earlier[0]["id"]
    if earlier:
        content["annotations"] = [one for one in content["annotations"] if one.get("video_id") != video_id]
    else:
        content["videos"].append(
            {
                "id": video_id,
                "name": name,
                "height": result.height,
                "width": result.width,
                "length": len(file_names),
                "file_names": file_names,
            }
        )
    tracks = [track for track in result.tracks if track.frames_seen]
    new = _add_categories(content, tracks)
    ids = {entry["name"]: entry["id"] for entry in content["categories"]}
    first_id = _next_id(content, "annotations")
    for number, track in enumerate(tracks, start=first_id):
        content["annotations"].append(_annotation(track, number, video_id=video_id, category_id=ids[track.label]))
    make_folder(path.parent)
    write_json(path, content)
    return AppendedVideo(
        annotations=path,
        images=root,
        name=name,
        frames=len(file_names),
        objects=len(tracks),
        masks=sum(track.frames_seen for track in tracks),
        new_categories=new,
        replaced=bool(earlier),
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"info": {"description": "corrected results"}, "videos": [], "categories": [], "annotations": []}
    content = read_json_object(path, expected="an object with 'videos', 'annotations' and 'categories'")
    for key, field in (("videos", "file_names"), ("categories", "name"), ("annotations", "video_id")):
        entries = content.get(key)
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and field in entry and whole_number(entry.get("id", 0)) is not None
            for entry in entries
        ):
            raise InputError(f"'{path}' is no YouTube-VIS file, or damaged in '{key}': {_REMEDY}.")
    if not all(isinstance(entry["file_names"], list) for entry in content["videos"]):
        raise InputError(f"'{path}' has a video without file names: {_REMEDY}.")
    return content


def _videos_with(content: dict[str, Any], names: set[str]) -> list[dict[str, Any]]:
    return [entry for entry in content["videos"] if names & set(map(str, entry["file_names"]))]


def _check_video(result: VideoResult, video: Path) -> None:
    with open_source(video) as source:
        if source.is_live:
            raise InputError(f"'{video}' is live: give the file that was segmented.")
        frame = next(iter(source), None)
    if frame is None or (frame.height, frame.width) != (result.height, result.width):
        size = "none" if frame is None else f"{frame.width}x{frame.height}"
        raise InputError(
            f"The frames of '{video}' are {size}, those of the result {result.width}x{result.height}: this is another "
            "video."
        )


def _next_id(content: dict[str, Any], key: str) -> int:
    return max((int(entry.get("id", 0)) for entry in content[key]), default=0) + 1


def _add_categories(content: dict[str, Any], tracks: list[Track]) -> tuple[str, ...]:
    """Add the categories that are missing; they keep their id where it is free."""
    known = {entry["name"] for entry in content["categories"]}
    new = {track.label: track.category_id for track in tracks if track.label not in known}
    for label, category_id in new.items():
        taken = {entry["id"] for entry in content["categories"]}
        identifier = _next_id(content, "categories") if category_id in taken or category_id < 1 else category_id
        content["categories"].append({"id": identifier, "name": label, "supercategory": "object"})
    return tuple(new)


def _annotation(track: Track, number: int, *, video_id: int, category_id: int) -> dict[str, Any]:
    seen = [mask if mask is not None and mask.area else None for mask in track.masks]
    return {
        "id": number,
        "video_id": video_id,
        "category_id": category_id,
        "iscrowd": 0,
        "segmentations": [None if mask is None else mask.to_coco() for mask in seen],
        "bboxes": [None if mask is None else _box(mask) for mask in seen],
        "areas": [None if mask is None else mask.area for mask in seen],
    }


def _box(mask: RLEMask) -> list[float]:
    return [float(side) for side in mask.box]
