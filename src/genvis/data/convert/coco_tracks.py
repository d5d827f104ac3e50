"""COCO files whose images are frames of videos and whose annotations carry a track id: from and to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.convert.tracks import (
    Category,
    ConvertedDataset,
    ConvertedTrack,
    ConvertedVideo,
    Remarks,
    unique_names,
)
from genvis.errors import InputError
from genvis.files import make_folder, read_json_object, write_json
from genvis.json_values import finite_number, is_text, shown, whole_number
from genvis.masks import MaskError, RLEMask, merge_masks, read_mask
from genvis.video.sources.image_folders import natural_key

IDENTITY_KEYS = ("track_id", "instance_id", "tracking_id")
"""Keys of the track id of an annotation, in itself or in its 'attributes'."""

CrowdMode = Literal["auto", "object", "keep"]

FRAME_KEYS = ("frame_id", "frame_index", "frame_number", "frame")
"""Keys of the order of the images of a video; without any, the names of the files tell it."""


@dataclass
class _Image:
    """One image with its place."""

    id: int
    file_name: str
    size: tuple[int, int]
    video: Any
    order: Any


@dataclass
class _Track:
    """One track while its annotations are read."""

    category_id: int
    crowd: bool
    masks: dict[int, RLEMask] = field(default_factory=dict)


class _CocoFile:
    """The entries of a file, with errors that name it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_json_object(path, expected="an object with 'images', as COCO files do")
        if not isinstance(content.get("images"), list):
            raise InputError(f"'{path}' has no list 'images', as COCO files have; is it the right kind of file?")
        self.content = content

    def entries(self, key: str) -> list[dict[str, Any]]:
        values = self.content.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self.error(f"'{key}' is not a list of objects")
        return values

    def whole(self, entry: Mapping[str, Any], key: str, where: str) -> int:
        found = whole_number(entry.get(key))
        if found is None:
            raise self.error(f"'{key}' of {where} is {shown(entry.get(key))}")
        return found

    def text(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        found = entry.get(key)
        if not (is_text(found) and found.strip()):
            raise self.error(f"'{key}' of {where} is {shown(found)}")
        return found

    def error(self, problem: str) -> InputError:
        return InputError(f"In '{self.path}', {problem}; `genvis data check` lists everything that is wrong.")


def read_coco_tracks(path: Path, *, identity: str | None = None, crowds: CrowdMode = "auto") -> ConvertedDataset:
    """Read a COCO file of video frames.

    Images belong to one video if they have the same ``video_id``, or else lie in the same folder. They are ordered by
    their frame number where they have one, or else by their names. Annotations of one image with the same track id
    are parts of one object.

    Args:
        path: The COCO file.
        identity: The key of the track id, in the annotations or their ``attributes``; None looks for "track_id",
            "instance_id" and "tracking_id".
        crowds: What becomes of masks with ``iscrowd`` 1: "object" takes them as objects, "keep" as crowds, which are
            not trained on or scored. "auto" takes them as objects where every mask is marked so, as in CVAT's export
            of masks.

    Returns:
        The videos; ids of categories, and of videos where the file has them, are kept.

    Raises:
        InputError: If the file is damaged, or its annotations have no track ids.
    """
    file = _CocoFile(path)
    remarks = Remarks()
    categories = tuple(
        Category(file.whole(entry, "id", "a category"), file.text(entry, "name", "a category"))
        for entry in file.entries("categories")
    )
    images = _images_by_video(file)
    place = {image.id: (video, frame) for video, frames in images.items() for frame, image in enumerate(frames)}
    category_ids = {category.id for category in categories}
    are_objects = _crowds_are_objects(file, crowds, remarks)
    tracks = _tracks(
        file, identity, are_objects, images=images, place=place, category_ids=category_ids, remarks=remarks
    )
    names = unique_names(_video_name(file, video, frames) for video, frames in images.items())
    videos = []
    for name, (video, frames) in zip(names, images.items(), strict=True):
        sizes = {image.size for image in frames}
        if len(sizes) > 1:
            raise file.error(f"the images of video '{name}' have different sizes: {sorted(sizes)[:3]}")
        height, width = sizes.pop()
        converted = tuple(
            ConvertedTrack(_number(key, index), track.category_id, dict(sorted(track.masks.items())), track.crowd)
            for index, (key, track) in enumerate(tracks[video].items(), start=1)
            if track.masks
        )
        file_names = tuple(image.file_name for image in frames)
        identifier = video if isinstance(video, int) else None
        videos.append(ConvertedVideo(name, height, width, file_names, converted, identifier))
    return ConvertedDataset(categories, tuple(videos), remarks.sentences())


def _crowds_are_objects(file: _CocoFile, crowds: CrowdMode, remarks: Remarks) -> bool:
    """Return whether masks that are marked as crowds are objects, and remark what becomes of them."""
    masks = [entry for entry in file.entries("annotations") if entry.get("segmentation")]
    marked = sum(entry.get("iscrowd") == 1 for entry in masks)
    if crowds == "object" or (crowds == "auto" and marked == len(masks)):
        remarks.add(
            "Masks marked as crowds (iscrowd 1), taken as objects: {n} (--crowds keep leaves them crowds).", marked
        )
        return True
    remarks.add(
        "Masks marked as crowds (iscrowd 1), which are not trained on or scored: {n} (--crowds object takes them as "
        "objects).",
        marked,
    )
    return False


def _number(key: str, index: int) -> int:
    # Ids in words are numbered; the writer sees to it that ids are unique over the file.
    return int(key) if key.isdecimal() and len(key) < 16 else index


def _images_by_video(file: _CocoFile) -> dict[Any, list[_Image]]:
    videos: dict[Any, list[_Image]] = defaultdict(list)
    seen = set()
    for entry in file.entries("images"):
        identifier = file.whole(entry, "id", "an image")
        where = f"image {identifier}"
        if identifier in seen:
            raise file.error(f"two images have the id {identifier}")
        seen.add(identifier)
        name = file.text(entry, "file_name", where)
        size = (file.whole(entry, "height", where), file.whole(entry, "width", where))
        video = entry.get("video_id")
        if whole_number(video) is not None:
            video = whole_number(video)
        elif not is_text(video):
            video = str(PurePosixPath(name.replace("\\", "/")).parent)
        number = next((found for key in FRAME_KEYS if (found := finite_number(entry.get(key))) is not None), None)
        videos[video].append(_Image(identifier, name, size, video, number))
    if not videos:
        raise file.error("there is no image")
    for images in videos.values():
        numbers = {image.order for image in images}
        if None in numbers or len(numbers) < len(images):
            images.sort(key=lambda image: natural_key(Path(image.file_name)))
        else:
            images.sort(key=lambda image: image.order)
    return videos


def _video_name(file: _CocoFile, video: Any, images: list[_Image]) -> str:
    for entry in file.entries("videos"):
        if entry.get("id") == video and is_text(entry.get("name")):
            return str(entry["name"])
    folder = PurePosixPath(images[0].file_name.replace("\\", "/")).parent
    return folder.name or (f"video_{video}" if isinstance(video, int) else file.path.stem)


def _identity(entry: Mapping[str, Any], identity: str | None) -> str | None:
    attributes = entry.get("attributes")
    for key in IDENTITY_KEYS if identity is None else (identity,):
        for holder in (entry, attributes):
            value = holder.get(key) if isinstance(holder, dict) else None
            number = whole_number(value)
            if number is not None:
                return str(number)
            if isinstance(value, str) and value:
                return value
    return None


def _tracks(
    file: _CocoFile,
    identity: str | None,
    crowds_are_objects: bool,
    images: Mapping[Any, list[_Image]],
    *,
    place: Mapping[int, tuple[Any, int]],
    category_ids: set[int],
    remarks: Remarks,
) -> dict[Any, dict[str, _Track]]:
    tracks: dict[Any, dict[str, _Track]] = {video: {} for video in images}
    annotations = file.entries("annotations")
    without = [entry for entry in annotations if _identity(entry, identity) is None]
    if without:
        looked = f"'{identity}'" if identity else ", ".join(f"'{key}'" for key in IDENTITY_KEYS)
        raise InputError(
            f"{len(without)} of the {len(annotations)} annotations of '{file.path}' have no track id ({looked}), first "
            f"annotation {shown(without[0].get('id'))}; name its key with --identity, or convert what tracks them."
        )
    for entry in annotations:
        where = f"annotation {shown(entry.get('id'))}"
        image_id = file.whole(entry, "image_id", where)
        if image_id not in place:
            raise file.error(f"{where} is of image {image_id}, which is not there")
        category = file.whole(entry, "category_id", where)
        if category not in category_ids:
            raise file.error(f"{where} is of category {category}, which is not there")
        video, frame = place[image_id]
        height, width = images[video][frame].size
        try:
            mask = read_mask(entry.get("segmentation"), height=height, width=width)
        except MaskError as error:
            raise file.error(f"the mask of {where} is wrong: {error}") from None
        if mask is None:
            remarks.add("Annotations without a mask, or with no pixel in it, left out: {n}.")
            continue
        key = _identity(entry, identity) or ""
        track = tracks[video].setdefault(key, _Track(category, entry.get("iscrowd") == 1 and not crowds_are_objects))
        if track.category_id != category:
            raise file.error(
                f"track {key} of the video of image {image_id} is of category {track.category_id} in one image and of "
                f"{category} in another"
            )
        if frame in track.masks:
            mask = merge_masks([track.masks[frame], mask])
            remarks.add("Annotations joined with another of the same image and track: {n}.")
        track.masks[frame] = mask
    return tracks


def write_coco_tracks(annotations: VideoAnnotations, path: Path) -> tuple[str, ...]:
    """Write videos as a COCO file with an image for each frame and the track id in every annotation.

    The track id is in ``track_id`` and, where CVAT and others look for it, in ``attributes``; it is the id of the
    annotation of the whole track. Images have ``video_id`` and ``frame_id``.

    Args:
        annotations: The videos.
        path: The JSON file to write; it appears when it is complete.

    Returns:
        Sentences about what could not be kept: none.
    """
    images: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    category_ids = annotations.categories.ids
    for index in range(len(annotations)):
        video = annotations.video(index)
        folder = PurePosixPath(video.file_names[0].replace("\\", "/")).parent
        videos.append({"id": video.id, "name": folder.name or f"video_{video.id}"})
        first_image = len(images) + 1
        for frame, name in enumerate(video.file_names):
            images.append(
                {
                    "id": first_image + frame,
                    "file_name": name,
                    "height": video.height,
                    "width": video.width,
                    "video_id": video.id,
                    "frame_id": frame,
                }
            )
        present = annotations.present(index)
        for position, track in enumerate(annotations.tracks(index)):
            for frame in present[position].nonzero()[0].tolist():
                mask = annotations.mask(index, position, frame)
                if mask is None:
                    continue
                entries.append(
                    {
                        "id": len(entries) + 1,
                        "image_id": first_image + frame,
                        "category_id": category_ids[track.label],
                        "track_id": track.id,
                        "attributes": {"track_id": track.id},
                        "iscrowd": int(track.crowd),
                        "segmentation": mask.to_coco(),
                        "bbox": [float(side) for side in mask.box],
                        "area": mask.area,
                    }
                )
    labels = zip(category_ids, annotations.categories.names, strict=True)
    content = {
        "info": {"description": "converted by genvis"},
        "videos": videos,
        "images": images,
        "categories": [{"id": identifier, "name": label, "supercategory": "object"} for identifier, label in labels],
        "annotations": entries,
    }
    make_folder(path.parent)
    write_json(path, content)
    return ()
