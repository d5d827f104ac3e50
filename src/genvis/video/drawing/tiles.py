"""Pictures side by side in rows, with captions and headings: the layout of every contact sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from genvis.errors import InputError
from genvis.files import atomic_file, make_folder, printable
from genvis.video.drawing.labels import font
from genvis.video.sources.source import RGBImage

GROUND = (22, 24, 29)
CAPTION = (176, 182, 194)
WARNING = (255, 180, 84)
TITLE = (240, 242, 246)
GAP = 12
CAPTION_SIZE = 15
TITLE_SIZE = 20
# Room for a caption below a narrow picture.
SMALLEST_SLOT = 180


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        image: The picture at its final size.
        caption: Line below it.
        warning: What is wrong with it, after the caption in another colour.
    """

    image: Image.Image
    caption: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class TileRow:
    """Pictures side by side.

    Attributes:
        tiles: The pictures, from the left.
        heading: Line above them; empty for none.
    """

    tiles: Sequence[Tile]
    heading: str = ""


def lay_out(rows: Sequence[TileRow]) -> RGBImage:
    """Return rows of tiles as one picture, (H, W, 3) uint8 RGB; lines too long for it are cut in the middle.

    Raises:
        InputError: If there is no tile.
    """
    tiles = [tile for row in rows for tile in row.tiles]
    if not tiles:
        raise InputError("A contact sheet needs at least one frame.")
    slot = max(SMALLEST_SLOT, *(tile.image.width for tile in tiles))
    width = max(len(row.tiles) for row in rows) * (slot + GAP) + GAP
    heights = [max(tile.image.height for tile in row.tiles) for row in rows]
    total = GAP + sum(map(_heading_height, rows)) + sum(heights) + len(rows) * (CAPTION_SIZE + 2 * GAP)
    sheet = Image.new("RGB", (width, total), GROUND)
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        if row.heading:
            _write(draw, (GAP, top), row.heading, width=width - 2 * GAP, fill=TITLE, size=TITLE_SIZE)
        top += _heading_height(row)
        for place, tile in enumerate(row.tiles):
            left = GAP + place * (slot + GAP)
            sheet.paste(tile.image, (left, top + height - tile.image.height))
            at = left, top + height + 4
            used = _write(draw, at, tile.caption, width=slot, fill=CAPTION, size=CAPTION_SIZE)
            if tile.warning:
                at = left + used + CAPTION_SIZE, at[1]
                _write(draw, at, tile.warning, width=slot - used - CAPTION_SIZE, fill=WARNING, size=CAPTION_SIZE)
        top += height + CAPTION_SIZE + 2 * GAP
    return np.array(sheet)


def save_picture(path: str | Path, picture: RGBImage) -> None:
    """Write (H, W, 3) uint8 RGB as PNG; it appears whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    make_folder(Path(path).parent)
    with atomic_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _heading_height(row: TileRow) -> int:
    return TITLE_SIZE + GAP if row.heading else 0


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, *, width: int, fill: tuple[int, int, int], size: int
) -> int:
    """Write a line that is cut in the middle where it is wider than ``width``; return how wide it is."""
    text = printable(text)
    shown, keep = text, min(len(text), width)  # a character takes a pixel at least
    while keep > 1 and (len(shown) > width or draw.textlength(shown, font=font(size)) > width):
        keep -= 1
        shown = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
    draw.text(at, shown, fill=fill, font=font(size))
    return round(draw.textlength(shown, font=font(size)))
