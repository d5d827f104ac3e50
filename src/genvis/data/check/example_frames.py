"""Contact sheet of a check: frames of the data set with the masks drawn in, one colour per object."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genvis.data.check.records import AnnotationRecords, Layout, TrackEntry, VideoEntry
from genvis.data.check.structure_checks import escapes_root
from genvis.errors import InputError
from genvis.image_files import opened_image, to_rgb
from genvis.masks import MaskError, read_mask
from genvis.video.drawing.instances import DrawingStyle, draw_instances
from genvis.video.drawing.tiles import Tile, TileRow, lay_out, save_picture

FRAME_FILL = "#2a2e37"
CELL_WIDTH = 320
LARGEST_CELL_HEIGHT = 320

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Cell:
    """One frame to draw."""

    video: VideoEntry
    tracks: list[TrackEntry]
    frame: int
    caption: str


def draw_contact_sheet(
    records: AnnotationRecords, root: Path | None, path: Path, *, most_videos: int = 8, frames_per_video: int = 5
) -> int:
    """Draw frames of evenly chosen videos with their masks, and save the picture.

    A frame whose image is missing is drawn grey with its masks; a mask that cannot be read is left out and counted in
    the caption.

    Args:
        records: What was read of the annotation file.
        root: The folder that file names start from; None draws masks on grey.
        path: The picture to write; it appears when it is complete.
        most_videos: How many videos (rows), or rows of images, at the most.
        frames_per_video: How many frames, evenly over the part in which there are objects.

    Returns:
        The number of frames drawn; 0, and no file, if there is nothing to draw.
    """
    names = {category.id: category.name or f"category {category.id}" for category in records.categories}
    rows = [
        TileRow([_draw_cell(cell, names, root) for cell in cells], heading)
        for heading, cells in _rows(records, most_videos, frames_per_video)
    ]
    if not rows:
        return 0
    save_picture(path, lay_out(rows))
    return sum(len(row.tiles) for row in rows)


def _rows(records: AnnotationRecords, most_rows: int, columns: int) -> list[tuple[str, list[_Cell]]]:
    """Return a heading and the cells for each row: one video a row, or images side by side."""
    tracks_of_video: dict[int | None, list[TrackEntry]] = defaultdict(list)
    for track in records.tracks:
        tracks_of_video[track.video_id].append(track)
    videos = [video for video in records.videos if video.height and video.width]
    # Those with objects say more; without any annotation at all, the frames alone are shown.
    videos = [video for video in videos if tracks_of_video.get(video.id)] or videos
    if records.layout is Layout.COCO:
        chosen = _evenly(videos, most_rows * columns)
        cells = [
            _Cell(video, tracks_of_video[video.id], 0, f"{video.where} · {(video.file_names or ('',))[0] or '?'}")
            for video in chosen
        ]
        starts = range(0, len(cells), columns)
        return [
            (f"examples {start + 1} to {min(start + columns, len(cells))}", cells[start : start + columns])
            for start in starts
        ]
    rows = [_video_row(video, tracks_of_video[video.id], columns) for video in _evenly(videos, most_rows)]
    return [(heading, cells) for heading, cells in rows if cells]  # a file may name no frame of a video


def _video_row(video: VideoEntry, tracks: list[TrackEntry], columns: int) -> tuple[str, list[_Cell]]:
    length = len(video.file_names or ()) or max((len(track.segmentations or ()) for track in tracks), default=0)
    shown = [
        frame
        for frame in range(length)
        if any(frame < len(track.segmentations or ()) and (track.segmentations or ())[frame] for track in tracks)
    ]
    folder = str(Path((video.file_names or ("",))[0] or "").parent)
    heading = " · ".join(
        [
            video.where,
            *([folder] if folder != "." else []),
            f"{video.width}x{video.height}",
            f"{length} frame{'s' * (length != 1)}",
            f"{len(tracks)} object{'s' * (len(tracks) != 1)}",
        ]
    )
    frames = _evenly(shown or list(range(length)), columns)
    return heading, [_Cell(video, tracks, frame, f"frame {frame}") for frame in frames]


def _evenly(items: list[_T], most: int) -> list[_T]:
    if len(items) <= most:
        return items
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, most)]


def _draw_cell(cell: _Cell, names: dict[int | None, str], root: Path | None) -> Tile:
    """Draw one frame with its masks, at the size of a cell and the video's aspect."""
    height, width = cell.video.height or 1, cell.video.width or 1
    scale = min(CELL_WIDTH / width, LARGEST_CELL_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    frame, problem = _load(cell, root, size)
    masks, colors, labels, unreadable = _masks(cell, names, size)
    style = DrawingStyle(fill=0.45, ids=False)
    drawn = draw_instances(frame, masks=masks, ids=colors, labels=labels, style=style)
    unread = f"{unreadable} mask{'s' * (unreadable != 1)} unreadable" if unreadable else ""
    warning = " · ".join(remark for remark in (problem, unread) if remark)
    return Tile(Image.fromarray(drawn), cell.caption, warning)


def _load(cell: _Cell, root: Path | None, size: tuple[int, int]) -> tuple[NDArray[np.uint8], str]:
    """Return the frame as (H, W, 3) RGB at the cell's size, and what is wrong with it, if anything."""
    empty = np.array(Image.new("RGB", size, FRAME_FILL))
    names = cell.video.file_names or ()
    name = names[cell.frame] if cell.frame < len(names) else None
    if root is None:
        return empty, ""
    path = None if name is None or escapes_root(name) else root / name.replace("\\", "/")
    if path is None or not path.is_file():
        return empty, "image missing"
    try:
        with opened_image(path) as image:
            image.draft("RGB", (2 * size[0], 2 * size[1]))  # decodes a JPEG at a fraction of its size
            picture = Image.fromarray(to_rgb(image)).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    except InputError:  # The check of images reports it.
        return empty, "image unreadable"
    return np.asarray(picture), ""


def _masks(
    cell: _Cell, names: dict[int | None, str], size: tuple[int, int]
) -> tuple[list[NDArray[np.bool_]], list[int], list[str], int]:
    """Return the cell's masks at its size, their objects' colours and labels, and how many could not be read."""
    masks, colors, labels, unreadable = [], [], [], 0
    for index, track in enumerate(cell.tracks):
        segmentations = track.segmentations or []
        segmentation = segmentations[cell.frame] if cell.frame < len(segmentations) else None
        try:
            encoded = read_mask(segmentation, height=cell.video.height or 1, width=cell.video.width or 1)
        except MaskError:
            unreadable += 1
            continue
        if encoded is None:
            continue
        mask = np.asarray(Image.fromarray(encoded.decode()).resize(size, Image.Resampling.NEAREST))
        if mask.any():
            masks.append(mask)
            colors.append(index + 1)
            name = names.get(track.category_id, "unknown category")
            labels.append(f"{track.id} {name}" + (" (crowd)" if track.crowd else ""))
    return masks, colors, labels, unreadable
