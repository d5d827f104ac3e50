"""The contact sheet of a check: frames of the data set with the masks drawn in, one colour per object."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from genvis.data.check.records import AnnotationRecords, Layout, TrackRecord, VideoRecord
from genvis.data.check.structure import escapes_root
from genvis.errors import InputError
from genvis.image_files import opened_image
from genvis.masks import MaskError, read_mask

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

BACKGROUND = "#16181d"
FRAME_FILL = "#2a2e37"
TEXT = "#e9ecf2"
FAINT = "#9aa3b2"
WARNING = "#ffb454"

_T = TypeVar("_T")

CELL_WIDTH = 320
LARGEST_CELL_HEIGHT = 320
MARGIN = 16
GAP = 8
CAPTION = 18
HEADING = 30


@dataclass(frozen=True)
class _Cell:
    """One frame to draw."""

    video: VideoRecord
    tracks: list[TrackRecord]
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
    from PIL import Image, ImageDraw

    from genvis.files import atomic_file, make_folder

    rows = _rows(records, most_videos, frames_per_video)
    if not rows:
        return 0
    names = {category.id: category.name or f"category {category.id}" for category in records.categories}
    pictures = [[_draw_cell(cell, names, root) for cell in cells] for _, cells in rows]
    heights = [HEADING + CAPTION + max(picture.height for picture in row) + MARGIN for row in pictures]
    width = 2 * MARGIN + frames_per_video * (CELL_WIDTH + GAP) - GAP
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    y = MARGIN
    for (heading, cells), row, height in zip(rows, pictures, heights, strict=True):
        _draw_fitted(draw, (MARGIN, y), heading, width=width - 2 * MARGIN, colour=TEXT, font_size=17)
        for column, (cell, picture) in enumerate(zip(cells, row, strict=True)):
            x = MARGIN + column * (CELL_WIDTH + GAP)
            sheet.paste(picture, (x, y + HEADING))
            caption_at = (x, y + HEADING + picture.height + 2)
            _draw_fitted(draw, caption_at, cell.caption, width=CELL_WIDTH, colour=FAINT, font_size=12)
        y += height
    make_folder(path.parent)
    with atomic_file(path) as partial:
        sheet.save(partial, format="PNG")
    return sum(map(len, pictures))


def _rows(records: AnnotationRecords, most_rows: int, columns: int) -> list[tuple[str, list[_Cell]]]:
    """Return a heading and the cells for each row: one video a row, or images side by side."""
    tracks_of_video: dict[int | None, list[TrackRecord]] = defaultdict(list)
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
    return [_video_row(video, tracks_of_video[video.id], columns) for video in _evenly(videos, most_rows)]


def _video_row(video: VideoRecord, tracks: list[TrackRecord], columns: int) -> tuple[str, list[_Cell]]:
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


def _draw_cell(cell: _Cell, names: dict[int | None, str], root: Path | None) -> "Image.Image":
    """Draw one frame with its masks; the size is that of a cell at the video's aspect."""
    import supervision as sv
    from PIL import Image

    from genvis.video.drawing.palette import identity_color

    height, width = cell.video.height or 1, cell.video.width or 1
    scale = min(CELL_WIDTH / width, LARGEST_CELL_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scene, problem = _load(cell, root, size)
    masks, indices, labels, unreadable = _masks(cell, names, size)
    if masks:
        stack = np.stack(masks)
        detections = sv.Detections(xyxy=sv.mask_to_xyxy(stack).astype(np.float32), mask=stack)
        identities = [identity_color(index + 1) for index in range(len(cell.tracks))]
        colours = sv.ColorPalette([sv.Color(*colour) for colour in identities])
        on_colours = sv.ColorPalette([sv.Color.from_hex(_text_on(colour)) for colour in identities])
        lookup = np.array(indices)
        scene = sv.MaskAnnotator(colours, opacity=0.45).annotate(scene, detections, custom_color_lookup=lookup)
        scene = sv.PolygonAnnotator(colours, thickness=2).annotate(scene, detections, custom_color_lookup=lookup)
        labeller = sv.RichLabelAnnotator(
            colours,
            text_color=on_colours,
            font_size=12,
            text_padding=3,
            text_position=sv.Position.CENTER_OF_MASS,
            border_radius=3,
            smart_position=True,
        )
        scene = labeller.annotate(scene, detections, labels=labels, custom_color_lookup=lookup)
    picture = Image.fromarray(np.ascontiguousarray(scene[..., ::-1]))  # supervision draws in BGR
    remarks = [problem] if problem else []
    if unreadable:
        remarks.append(f"{unreadable} mask{'s' * (unreadable != 1)} unreadable")
    if remarks:
        _draw_remark(picture, " · ".join(remarks))
    return picture


def _text_on(colour: tuple[int, int, int]) -> str:
    red, green, blue = colour
    return "#101218" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _load(cell: _Cell, root: Path | None, size: tuple[int, int]) -> tuple[NDArray[np.uint8], str]:
    """Return the frame as (H, W, 3) BGR at the cell's size, and what is wrong with it, if anything."""
    from PIL import Image, ImageOps

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
            pixels = np.asarray(
                ImageOps.exif_transpose(image).convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
            )
    except InputError:  # The check of images reports it.
        return empty, "image unreadable"
    return np.ascontiguousarray(pixels[..., ::-1]), ""


def _masks(
    cell: _Cell, names: dict[int | None, str], size: tuple[int, int]
) -> tuple[list[NDArray[np.bool_]], list[int], list[str], int]:
    """Return the cell's masks at its size, their objects' indices and labels, and how many could not be read."""
    from PIL import Image

    masks, indices, labels, unreadable = [], [], [], 0
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
            indices.append(index)
            name = names.get(track.category_id, "unknown category")
            labels.append(f"{track.id} {name}" + (" (crowd)" if track.crowd else ""))
    return masks, indices, labels, unreadable


def _draw_remark(picture: "Image.Image", text: str) -> None:
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13)
    left, top, right, bottom = draw.textbbox((8, 6), text, font=font)
    draw.rounded_rectangle((left - 5, top - 4, right + 5, bottom + 4), 4, fill=BACKGROUND)
    draw.text((8, 6), text, fill=WARNING, font=font)


def _draw_fitted(
    draw: "ImageDraw.ImageDraw", at: tuple[int, int], text: str, *, width: int, colour: str, font_size: int
) -> None:
    """Draw text that is cut in the middle where it is wider than ``width``."""
    from PIL import ImageFont

    font = ImageFont.load_default(font_size)
    keep = len(text)
    shown = text
    while keep > 8 and draw.textlength(shown, font=font) > width:
        keep -= 1
        shown = f"{text[: keep // 2]}…{text[len(text) - keep // 2 :]}"
    draw.text(at, shown, fill=colour, font=font)
