"""Label maps, in which a pixel belongs to one object at most: folders of PNG files, and overlaps."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from genvis.data.annotations.video_annotations import Video, VideoAnnotations
from genvis.data.convert.tracks import Remarks, unique_names
from genvis.errors import InputError
from genvis.masks import RLEMask, encode_mask
from genvis.video.sources.image_folders import natural_key

OVERLAP_REMARK = "Pixels that belonged to more than one object, and went to the smallest of them: {n}."
CROWD_REMARK = "Crowds that became regions to ignore: {n}."


def sequence_folders(root: Path) -> list[tuple[str, list[Path]]]:
    """Return the videos of a folder of PNG files, each with its files in natural order.

    Args:
        root: A folder with a folder for each video, or the folder of one video. Folders that DAVIS, YouTube-VOS and
            MOTS put in between (``Annotations``, ``480p``, ``instances``) may be there or not.

    Raises:
        InputError: If there are no PNG files.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder '{root}'.")
    own = png_files(root)
    if own:
        return [(root.name, own)]
    found = [(folder.name, files) for folder in sorted(root.iterdir(), key=natural_key) if (files := png_files(folder))]
    if found:
        return found
    for between in ("Annotations", "annotations", "instances", "480p", "Full-Resolution"):
        if (root / between).is_dir():
            return sequence_folders(root / between)
    raise InputError(f"'{root}' has no folders with PNG files, one for each video.")


def png_files(folder: Path) -> list[Path]:
    """Return the PNG files of a folder in natural order; none if it is no folder."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.suffix.lower() == ".png" and not path.name.startswith("."))
    return sorted((path for path in files if path.is_file()), key=natural_key)


def masks_of(label_map: NDArray[np.integer], ignore: frozenset[int]) -> dict[int, RLEMask]:
    """Return the mask of every number of a label map, but 0 and those to ignore.

    Args:
        label_map: (H, W) numbers of the objects, 0 for the background.
        ignore: Numbers that are no objects.

    Returns:
        Number -> mask.
    """
    result = {}
    # Counting is far quicker than the sorting of np.unique.
    for number in np.flatnonzero(np.bincount(label_map.ravel())).tolist():
        if number == 0 or number in ignore:
            continue
        mask = encode_mask(label_map == number)
        if mask is not None:
            result[number] = mask
    return result


def paint(
    annotations: VideoAnnotations, index: int, frame: int, numbers: Sequence[int], *, ignore: int, remarks: Remarks
) -> NDArray[np.int32]:
    """Return a label map of masks that may overlap; the smallest is in front, so that it is not hidden.

    Args:
        annotations: The videos.
        index: Position of the video.
        frame: The frame.
        numbers: The number of each of the video's tracks.
        ignore: The number of those that are behind all others: regions to ignore.
        remarks: Counts the pixels by which objects had to be cut.

    Returns:
        (H, W) int32, 0 where there is nothing.
    """
    height, width = annotations.video(index).height, annotations.video(index).width
    masks: list[tuple[int, RLEMask]] = []
    for position, number in enumerate(numbers):
        mask = annotations.mask(index, position, frame)
        if mask is not None:
            masks.append((number, mask))
    masks.sort(key=lambda item: (item[0] != ignore, -item[1].area))
    label_map = np.zeros((height, width), np.int32)
    lost = 0
    for number, mask in masks:
        pixels = mask.decode()
        if number != ignore:
            lost += int(((label_map != 0) & (label_map != ignore) & pixels).sum())
        label_map[pixels] = number
    remarks.add(OVERLAP_REMARK, lost)
    return label_map


def video_names(annotations: VideoAnnotations) -> list[str]:
    """Return a name for each video, safe as the name of a folder: that of its images' folder, or its id."""
    names = []
    for index in range(len(annotations)):
        video = annotations.video(index)
        folders = {PurePosixPath(name.replace("\\", "/")).parent for name in video.file_names}
        folder = folders.pop() if len(folders) == 1 else PurePosixPath()
        names.append("_".join(folder.parts) or f"video_{video.id}")
    return unique_names(names)


def frame_stems(video: Video) -> list[str]:
    """Return a name for each frame: that of its image without the ending, or its number where names repeat."""
    stems = [PurePosixPath(name.replace("\\", "/")).stem for name in video.file_names]
    if len({stem.lower() for stem in stems}) == len(stems) and unique_names(stems) == stems:
        return stems
    return [f"{frame:05d}" for frame in range(len(stems))]
