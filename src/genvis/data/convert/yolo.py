"""YOLO segmentation data sets: ``data.yaml``, images, and a text file of polygons for each image.

A line is ``class x y x y ...`` with corners in shares of width and height. Where the number of coordinates is odd, the
last one is a track id, as Ultralytics writes the labels of a tracked video: images of one folder whose names differ in
their last number only are then the frames of a video. Otherwise every image is a video of one frame, of which training
makes pseudo videos.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from genvis.data.convert.frame_files import image_size
from genvis.data.convert.tracks import (
    Category,
    ConvertedDataset,
    ConvertedTrack,
    ConvertedVideo,
    Remarks,
    unique_names,
)
from genvis.errors import InputError
from genvis.files import require_file
from genvis.image_files import is_image
from genvis.json_values import is_text, shown, whole_number
from genvis.masks import MaskError, RLEMask, draw_polygons, merge_masks
from genvis.video.sources.image_folders import natural_key

SPLITS = ("train", "val", "test")
_LARGEST_TEXT = 1 << 24


@dataclass(frozen=True)
class _Object:
    """One line of a label file."""

    category: int
    polygon: "np.ndarray[Any, np.dtype[np.float64]]"
    track_id: int | None


@dataclass
class _Labelled:
    """An image with its objects."""

    path: Path
    size: tuple[int, int]
    objects: list[_Object] = field(default_factory=list)


def read_yolo(
    path: Path,
    *,
    splits: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ConvertedDataset:
    """Read a YOLO segmentation data set.

    File names start from the folder of the data set: that which ``path`` in data.yaml names, or that of data.yaml.

    Args:
        path: data.yaml, or the folder that it is in.
        splits: Which of "train", "val" and "test" to read; None for all that there are.
        progress: Called with the number of images read, and their total.

    Raises:
        InputError: If a file is damaged or missing, or lies outside of the folder.
    """
    file = path / "data.yaml" if path.is_dir() else path
    content = _read_yaml(file)
    root = _root(file, content)
    names = _names(content, file)
    wanted = [split for split in SPLITS if content.get(split)] if splits is None else list(splits)
    for split in wanted:
        if not content.get(split):
            raise InputError(f"'{file}' has no images for '{split}'; it has {_listed(content)}.")
    images = list(dict.fromkeys(image for split in wanted for image in _images(content[split], root, file)))
    if not images:
        raise InputError(f"'{file}' names no images: does its 'path' fit? It is looked for in '{root}'.")
    remarks = Remarks()
    labelled = []
    for done, image in enumerate(images, start=1):
        labelled.append(_Labelled(image, image_size(image), list(_objects(image, root, len(names), remarks))))
        progress(done, len(images))
    objects = [one for image in labelled for one in image.objects]
    is_tracked = bool(objects) and all(one.track_id is not None for one in objects)
    groups = _by_video(labelled) if is_tracked else {str(image.path): [image] for image in labelled}
    if not is_tracked:
        remarks.add("Images without track ids, as videos of one frame: {n}.", len(labelled))
    titles = unique_names(Path(name).stem for name in groups)
    videos = tuple(_video(name, frames, root, file) for name, frames in zip(titles, groups.values(), strict=True))
    return ConvertedDataset(tuple(Category(*item) for item in names.items()), videos, remarks.sentences())


def _read_yaml(file: Path) -> Mapping[str, Any]:
    if require_file(file).stat().st_size > _LARGEST_TEXT:
        raise InputError(f"'{file}' is too large to be a data.yaml: is it the right file?")
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise InputError(f"'{file}' cannot be read as YAML ({reason}).") from None
    if not isinstance(content, dict):
        raise InputError(f"'{file}' is no data.yaml: it holds no names.")
    return content


def _root(file: Path, content: Mapping[str, Any]) -> Path:
    """Return the folder of the data set; where that of data.yaml is of another machine, the one that it lies in."""
    given = content.get("path")
    named = file.parent / given if is_text(given) else file.parent
    return (named if named.is_dir() else file.parent).resolve()


def _names(content: Mapping[str, Any], file: Path) -> dict[int, str]:
    """Return the names of the classes by category id, from 1 on."""
    names = content.get("names")
    pairs = list(enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else [])
    if not pairs or any(whole_number(key) is None or not is_text(name) for key, name in pairs):
        raise InputError(f"'{file}' has no list 'names' of its classes: {shown(names)}.")
    return {int(key) + 1: name for key, name in pairs}


def _images(place: Any, root: Path, file: Path) -> Iterator[Path]:
    """Yield the images of a split: of a folder, a text file of names, or a list of these."""
    places = place if isinstance(place, list) else [place]
    for one in places:
        if not is_text(one):
            raise InputError(f"'{file}' names {shown(one)} as a place of images.")
        found = _inside(root, one, file)
        if found.is_dir():
            yield from sorted((path for path in found.rglob("*") if path.is_file() and is_image(path)), key=natural_key)
        elif found.suffix == ".txt" and found.is_file():
            for line in found.read_text("utf-8", errors="replace").splitlines():
                if line.strip():
                    yield _inside(root, line.strip(), found)
        else:
            raise InputError(f"'{file}' names the images '{one}', which are not in '{root}'.")


def _inside(root: Path, name: str, file: Path) -> Path:
    found = (root / name).resolve()
    if not found.is_relative_to(root):
        raise InputError(f"'{file}' names '{name}', which is outside of '{root}': move it there.")
    return found


def _objects(image: Path, root: Path, classes: int, remarks: Remarks) -> Iterator[_Object]:
    parts = image.relative_to(root).parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts = (*parts[:last], "labels", *parts[last + 1 :])
    file = root.joinpath(*parts).with_suffix(".txt")
    if not file.is_file():
        remarks.add("Images without a label file, taken to be without objects: {n}.")
        return
    if file.stat().st_size > _LARGEST_TEXT:
        raise InputError(f"'{file}' is too large to be the labels of an image.")
    for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            raise InputError(f"Line {number} of '{file}' holds something that is no number.") from None
        if not np.isfinite(values).all() or not 0 <= values[0] < classes or values[0] % 1:
            raise InputError(f"Line {number} of '{file}' has {words[0]} as its class: there are 0 to {classes - 1}.")
        corners, track_id = values[1:], None
        if len(corners) % 2:
            corners, track_id = corners[:-1], int(corners[-1])
        if len(corners) < 6:
            remarks.add("Boxes left out, as a box does not say which pixels are the object's: {n}.")
            continue
        yield _Object(int(values[0]) + 1, corners.reshape(-1, 2), track_id)


def _by_video(images: Iterable[_Labelled]) -> dict[str, list[_Labelled]]:
    """Group images whose paths differ in their last number only."""
    groups: dict[str, list[_Labelled]] = defaultdict(list)
    for image in images:
        stem = re.sub(r"[_\- .]*\d+$", "", image.path.stem) or image.path.parent.name
        groups[str(image.path.parent / stem)].append(image)
    return {name: sorted(group, key=lambda image: natural_key(image.path)) for name, group in groups.items()}


def _video(name: str, frames: list[_Labelled], root: Path, file: Path) -> ConvertedVideo:
    sizes = {frame.size for frame in frames}
    if len(sizes) > 1:
        raise InputError(f"The images of video '{name}' of '{file}' have different sizes: {sorted(sizes)[:3]}.")
    height, width = sizes.pop()
    masks: dict[tuple[int, int], dict[int, RLEMask]] = defaultdict(dict)
    for place, frame in enumerate(frames):
        for number, one in enumerate(frame.objects, start=1):
            key = (number if one.track_id is None else one.track_id, one.category)
            try:
                mask = draw_polygons([one.polygon * (width, height)], height=height, width=width)
            except MaskError as error:
                raise InputError(f"A polygon of '{frame.path}' is wrong: {error}.") from None
            if mask is not None:
                before = masks[key].get(place)
                masks[key][place] = mask if before is None else merge_masks([before, mask])
    tracks = tuple(
        ConvertedTrack(number, category, found) for (number, category), found in sorted(masks.items()) if found
    )
    names = tuple(frame.path.relative_to(root).as_posix() for frame in frames)
    return ConvertedVideo(name, height, width, names, tracks)


def _listed(content: Mapping[str, Any]) -> str:
    return ", ".join(f"'{split}'" for split in SPLITS if content.get(split)) or "none"
