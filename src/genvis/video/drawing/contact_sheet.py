"""A whole video on one picture: frames spread evenly over a stream whose length nobody knows."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from genvis.errors import InputError
from genvis.files import atomic_file
from genvis.video.drawing.labels import font
from genvis.video.sources.source import RGBImage

GROUND = (22, 24, 29)
CAPTION = (176, 182, 194)
TITLE = (240, 242, 246)
GAP = 12
CAPTION_SIZE = 15
TITLE_SIZE = 20
LARGEST_ZOOM = 3.0
SMALLEST_TILE = 120
# Room for a caption below a narrow frame.
SMALLEST_SLOT = 180
# How many times more frames than the sheet shows are kept at most: the more, the more even is the choice.
RESERVE = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """A frame that was kept.

    Attributes:
        position: How many frames were added before it.
        caption: Its time and place.
        image: The frame at the size of a tile.
    """

    position: int
    caption: str
    image: Image.Image


class ContactSheet:
    """Collects evenly spread frames of a stream in bounded memory, and tiles them with their times.

    Every frame is kept at first; whenever four times as many as needed are there, every second one goes and from then
    on only every second, fourth, ... frame is taken. Before drawing on a frame, ask ``wants_next``.

    Args:
        tiles: How many frames the sheet shows.
        columns: Tiles side by side.
        width: Width of the sheet in pixels; less if its frames are narrow or few.
        title: First line of the sheet; empty for none.

    Attributes:
        kept: The frames that may still be shown.

    Raises:
        InputError: If a number is too small.
    """

    def __init__(self, *, tiles: int = 12, columns: int = 4, width: int = 1600, title: str = "") -> None:
        if tiles < 1 or columns < 1 or (width - GAP) // columns - GAP < SMALLEST_TILE:
            raise InputError(f"A contact sheet of {tiles} tiles in {columns} columns does not fit {width} pixels.")
        self.title = title
        self._tiles = tiles
        self._columns = columns
        self._tile_width = (width - GAP) // columns - GAP
        self._stride = 1
        self._seen = 0
        self.kept: list[Tile] = []
        self._fitted: set[tuple[int, int]] = set()

    @property
    def wants_next(self) -> bool:
        """Whether the next frame will be kept; its picture is not looked at otherwise."""
        return self._seen % self._stride == 0

    def __len__(self) -> int:
        return min(self._tiles, len(self.kept))

    def add(self, image: RGBImage | None, *, time: float, index: int) -> None:
        """Take the next frame.

        Args:
            image: (H, W, 3) uint8 RGB; may be None if ``wants_next`` is False.
            time: Its seconds, for the caption.
            index: Its place in the source, for the caption.

        Raises:
            InputError: If the sheet wants the frame and there is none.
        """
        position, is_wanted = self._seen, self.wants_next
        self._seen += 1
        if not is_wanted:
            return
        if image is None:
            raise InputError("The contact sheet wants this frame: ask `wants_next` before leaving one out.")
        tile = Image.fromarray(self.fit(image))
        self.kept.append(Tile(position, f"{clock_time(time)}   frame {index}", tile))
        if len(self.kept) >= RESERVE * self._tiles:
            self.kept = self.kept[::2]
            self._stride *= 2

    def render(self) -> RGBImage:
        """Return the sheet, (H, W, 3) uint8 RGB.

        Raises:
            InputError: If no frame was added.
        """
        chosen = self.chosen()
        if not chosen:
            raise InputError("A contact sheet needs at least one frame.")
        columns = min(self._columns, len(chosen))
        tile_height = max(tile.image.height for tile in chosen)
        row_height = tile_height + CAPTION_SIZE + 2 * GAP
        top = TITLE_SIZE + 2 * GAP if self.title else GAP
        slot = max(SMALLEST_SLOT, *(tile.image.width for tile in chosen))
        width = columns * (slot + GAP) + GAP
        sheet = Image.new("RGB", (width, top + ceil(len(chosen) / columns) * row_height), GROUND)
        draw = ImageDraw.Draw(sheet)
        if self.title:
            draw.text((GAP, GAP), _shortened(self.title, width - 2 * GAP, draw), fill=TITLE, font=font(TITLE_SIZE))
        for place, tile in enumerate(chosen):
            left = GAP + place % columns * (slot + GAP)
            upper = top + place // columns * row_height
            sheet.paste(tile.image, (left, upper + tile_height - tile.image.height))
            draw.text((left, upper + tile_height + 4), tile.caption, fill=CAPTION, font=font(CAPTION_SIZE))
        return np.array(sheet)

    def save(self, path: str | Path) -> None:
        """Write the sheet as PNG; it appears whole or not at all.

        Raises:
            InputError: If no frame was added, or the file cannot be written.
        """
        picture = Image.fromarray(self.render())
        with atomic_file(path) as temporary:
            picture.save(temporary, format="PNG")

    def chosen(self) -> list[Tile]:
        """Return the tiles that the sheet shows now, evenly spread."""
        if len(self.kept) <= self._tiles:
            return self.kept
        places = np.rint(np.linspace(0, len(self.kept) - 1, self._tiles)).astype(int)
        return [self.kept[place] for place in places]

    def fit(self, image: RGBImage) -> RGBImage:
        """Return a frame at the size of a tile; labels drawn on that are legible, unlike ones drawn before."""
        height, width = image.shape[:2]
        # Portrait frames must not make the sheet endless: a tile is at most as high as it is wide.
        scale = min(self._tile_width / max(width, height), LARGEST_ZOOM if max(width, height) > 40 else 8.0)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if (height, width) in self._fitted or size == (width, height):
            return image
        self._fitted.add((size[1], size[0]))
        sampling = Image.Resampling.LANCZOS if scale <= 1 else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(image).resize(size, sampling))


def clock_time(seconds: float) -> str:
    """Return seconds as ``0:07.25`` or ``1:02:03.50``."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    short = f"{minutes:02d}" if hours else str(minutes)
    return (f"{hours}:" if hours else "") + f"{short}:{rest // 100:02d}.{rest % 100:02d}"


def _shortened(text: str, width: int, draw: ImageDraw.ImageDraw) -> str:
    while len(text) > 1 and draw.textlength(text, font=font(TITLE_SIZE)) > width:
        text = text[:-2].rstrip() + "…"
    return text
