"""A whole video on one picture: frames spread evenly over a stream whose length nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from genvis.errors import InputError
from genvis.video.drawing.tiles import GAP, Tile, TileRow, lay_out, save_picture
from genvis.video.sources.source import RGBImage

T = TypeVar("T")

LARGEST_ZOOM = 3.0
SMALLEST_TILE = 120
# How many times more frames than the sheet shows are kept at most: the more, the more even is the choice.
RESERVE = 4


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """A frame that may be shown.

    Attributes:
        position: How many frames were added before it.
        tile: The frame at the size of a tile, with its time and place.
    """

    position: int
    tile: Tile


class ContactSheet:
    """Collects evenly spread frames of a stream in bounded memory, and tiles them with their times.

    Every frame is kept at first; whenever four times as many as needed are there, every second one goes and from then
    on only every second, fourth, ... frame is taken. Before drawing on a frame, ask ``wants_next``.

    Args:
        tiles: How many frames the sheet shows.
        columns: Tiles side by side.
        width: Width of the sheet in pixels; less if its frames are narrow or few.
        title: First line of the sheet; empty for none.
        frames: How many frames will be added, where that is known: then only those that the sheet shows are wanted.

    Attributes:
        kept: The frames that may still be shown.

    Raises:
        InputError: If a number is too small.
    """

    def __init__(
        self, *, tiles: int = 12, columns: int = 4, width: int = 1600, title: str = "", frames: int | None = None
    ) -> None:
        if tiles < 1 or columns < 1 or (width - GAP) // columns - GAP < SMALLEST_TILE:
            raise InputError(f"A contact sheet of {tiles} tiles in {columns} columns does not fit {width} pixels.")
        self.title = title
        self._tiles = tiles
        self._columns = columns
        self._tile_width = (width - GAP) // columns - GAP
        self._stride = 1
        self._seen = 0
        self.kept: list[KeptFrame] = []
        self._fitted: set[tuple[int, int]] = set()
        self._shown = None if frames is None else set(shown_positions(frames, tiles=tiles))

    @property
    def wants_next(self) -> bool:
        """Whether the next frame will be kept; its picture is not looked at otherwise."""
        return self._seen % self._stride == 0 if self._shown is None else self._seen in self._shown

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
        tile = Tile(Image.fromarray(self.fit(image)), f"{clock_time(time)}   frame {index}")
        self.kept.append(KeptFrame(position, tile))
        if len(self.kept) >= RESERVE * self._tiles:
            self.kept = self.kept[::2]
            self._stride *= 2

    def render(self) -> RGBImage:
        """Return the sheet, (H, W, 3) uint8 RGB.

        Raises:
            InputError: If no frame was added.
        """
        tiles = [frame.tile for frame in self.chosen()]
        rows = [tiles[first : first + self._columns] for first in range(0, len(tiles), self._columns)]
        return lay_out([TileRow(row, heading="" if place else self.title) for place, row in enumerate(rows)])

    def save(self, path: str | Path) -> None:
        """Write the sheet as PNG; it appears whole or not at all.

        Raises:
            InputError: If no frame was added.
            OutputError: If the file cannot be written.
        """
        save_picture(path, self.render())

    def chosen(self) -> list[KeptFrame]:
        """Return the tiles that the sheet shows now, evenly spread."""
        return evenly_spread(self.kept, self._tiles)

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


def shown_positions(frames: int, *, tiles: int) -> list[int]:
    """Return which of so many frames a sheet shows that does not know how many will come.

    Args:
        frames: How many are added.
        tiles: How many the sheet shows.
    """
    stride = 1
    while -(-frames // stride) >= RESERVE * tiles:
        stride *= 2
    return evenly_spread(range(0, frames, stride), tiles)


def evenly_spread(values: Sequence[T], count: int) -> list[T]:
    """Return so many of the values, the first and the last among them; all if there are no more."""
    if len(values) <= count:
        return list(values)
    places = np.rint(np.linspace(0, len(values) - 1, count)).astype(int)
    return [values[place] for place in places.tolist()]


def clock_time(seconds: float) -> str:
    """Return seconds as ``0:07.25`` or ``1:02:03.50``."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    short = f"{minutes:02d}" if hours else str(minutes)
    return (f"{hours}:" if hours else "") + f"{short}:{rest // 100:02d}.{rest % 100:02d}"
