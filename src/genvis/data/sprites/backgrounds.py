"""Backgrounds: procedural landscapes, gradients, soft shapes and patterns, or pictures of the user's own.

A background is one picture, a little larger than the frame; a slow camera pan moves the frame over it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genvis.data.sprites.palettes import PALETTES, Palette
from genvis.errors import InputError
from genvis.image_files import read_image

Picture = NDArray[np.uint8]
Generator = np.random.Generator

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_MARGIN = 0.15  # of the frame's side, on all four sides: the room for the pan


@dataclass(frozen=True)
class Background:
    """A picture and the camera's way over it.

    Attributes:
        picture: (Hc, Wc, 3) uint8 RGB, larger than the frame.
        corners: (T, 2) x and y of the frame's top left corner in the picture, pixels, fractions allowed.
        landscape: Whether the picture has a sky above and ground below.
    """

    picture: Picture
    corners: NDArray[np.float64]
    landscape: bool = False

    def frame(self, index: int, *, height: int, width: int) -> Picture:
        """Return the (H, W, 3) part of the picture that frame ``index`` shows."""
        import cv2

        x, y = self.corners[index]
        centre = (float(x) + (width - 1) / 2.0, float(y) + (height - 1) / 2.0)
        return np.asarray(cv2.getRectSubPix(self.picture, (width, height), centre), dtype=np.uint8)


def draw_background(
    generator: Generator, *, height: int, width: int, length: int, images: tuple[Path, ...] = ()
) -> Background:
    """Draw a background and a camera pan.

    Args:
        generator: The random stream.
        height: Height of the frame, pixels.
        width: Width of the frame, pixels.
        length: T, the number of frames.
        images: Picture files to use instead of the procedural backgrounds.

    Raises:
        InputError: If a picture file cannot be read.
    """
    margin = np.array([round(_MARGIN * width), round(_MARGIN * height)])
    canvas_width, canvas_height = (np.array([width, height]) + 2 * margin).tolist()
    landscape = False
    if images:
        picture = _fitted(images[int(generator.integers(len(images)))], canvas_height, canvas_width)
        if generator.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
    else:
        painter = PAINTERS[int(generator.choice(len(PAINTERS), p=_PAINTER_WEIGHTS))]
        palette = PALETTES[int(generator.integers(len(PALETTES)))]
        landscape = painter is paint_hills
        picture = painter(generator, palette, canvas_height, canvas_width)
    # Two slow swings, each within the margin whatever the phase.
    periods = generator.uniform(90.0, 240.0, 2)
    phases = generator.uniform(0.0, 2.0 * np.pi, 2)
    times = np.arange(length)[:, None]
    corners = margin * (1.0 + generator.uniform(0.2, 1.0) * np.sin(2.0 * np.pi * times / periods + phases))
    return Background(picture, corners, landscape)


def image_files(folder: str | Path) -> tuple[Path, ...]:
    """Return the picture files below a folder, sorted by path.

    Raises:
        InputError: If the folder does not exist or holds no picture.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"There is no folder '{root}' with background pictures; name an existing folder.")
    found = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()))
    if not found:
        raise InputError(f"The folder '{root}' holds no background picture ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return found


@lru_cache(maxsize=64)
def _fitted(path: Path, height: int, width: int) -> Picture:
    """Read a picture, scale it to cover (height, width) and crop its centre."""
    from PIL import Image, ImageOps

    return np.array(ImageOps.fit(Image.fromarray(read_image(path)), (width, height)))


def _noise(generator: Generator, height: int, width: int, *, cells: int, octaves: int) -> NDArray[np.float32]:
    """Return (height, width) smooth value noise from 0 to 1; ``cells`` is the coarsest grid along the shorter side."""
    import cv2

    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        rows = cells * 2**octave * height // min(height, width) + 2
        columns = cells * 2**octave * width // min(height, width) + 2
        grid = generator.random((rows, columns), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    lowest, highest = float(total.min()), float(total.max())
    return np.asarray((total - lowest) / max(highest - lowest, 1e-6), dtype=np.float32)


def _ramp(colours: NDArray[np.float32], values: NDArray[np.float32]) -> Picture:
    """Map values 0..1 through colours (K, 3), interpolated, to (..., 3) uint8."""
    steps = np.linspace(0.0, 1.0, 256) * (len(colours) - 1)
    table = np.stack([np.interp(steps, np.arange(len(colours)), colours[:, channel]) for channel in range(3)], axis=-1)
    return np.asarray(table.astype(np.uint8)[(values * 255.0).astype(np.uint8)])


def _gradient(generator: Generator, colours: NDArray[np.float32], height: int, width: int) -> Picture:
    angle = generator.uniform(0.0, 2.0 * np.pi)
    x, y = np.linspace(-0.5, 0.5, width, dtype=np.float32), np.linspace(-0.5, 0.5, height, dtype=np.float32)
    values = np.float32(np.cos(angle)) * x[None] + np.float32(np.sin(angle)) * y[:, None]
    span = np.abs(np.cos(angle)) + np.abs(np.sin(angle))
    return _ramp(colours, np.clip(values / np.float32(span) + np.float32(0.5), 0.0, 1.0))


def paint_hills(generator: Generator, palette: Palette, height: int, width: int) -> Picture:
    """Paint a sky with a sun and rows of hills, paler the farther away."""
    import cv2

    shift = 4  # fractional bits of cv2's coordinates: smooth outlines
    sky = _ramp(palette.sky_colours, np.linspace(0.0, 1.0, height, dtype=np.float32))
    picture = np.ascontiguousarray(np.broadcast_to(sky[:, None], (height, width, 3)))
    sun = (int(generator.uniform(0.1, 0.9) * width), int(generator.uniform(0.1, 0.3) * height))
    cv2.circle(picture, sun, int(generator.uniform(0.06, 0.11) * height), palette.sun, -1, cv2.LINE_AA)
    rows = int(generator.integers(3, 6))
    x = np.arange(width + 1)
    for row in range(rows):
        depth = (row + 1) / rows
        waves = generator.uniform(0.6, 2.6, 3)[:, None] * 2.0 * np.pi * x / width
        swings = generator.uniform(0.2, 1.0, 3)[:, None] * np.sin(waves + generator.uniform(0, 2 * np.pi, 3)[:, None])
        ridge = height * (0.22 + 0.52 * row / rows + 0.045 * swings.sum(axis=0))
        outline = np.concatenate([np.stack([x, ridge], axis=1), [[width, height], [0, height]]])
        ground = palette.ground_colours
        colour = ground[0] + (ground[-1] - ground[0]) * depth
        cv2.fillPoly(picture, [(outline * 2**shift).astype(np.int32)], tuple(map(float, colour)), cv2.LINE_AA, shift)
    return picture


def paint_terrain(generator: Generator, palette: Palette, height: int, width: int) -> Picture:
    """Paint ground seen from above: bands of noise."""
    values = _noise(generator, height, width, cells=int(generator.integers(2, 5)), octaves=3)
    bands = int(generator.integers(4, 8))
    soft = np.float32(generator.uniform(0.0, 0.7))
    stepped = np.floor(values * bands) / bands
    return _ramp(palette.all_colours, np.clip(soft * values + (1 - soft) * stepped, 0.0, 1.0))


def paint_bokeh(generator: Generator, palette: Palette, height: int, width: int) -> Picture:
    """Paint translucent discs over a gradient."""
    import cv2

    picture = _gradient(generator, palette.sky_colours, height, width)
    colours = palette.all_colours
    for _ in range(int(generator.integers(2, 4))):
        layer = picture.copy()
        for _ in range(int(generator.integers(3, 7))):
            centre = (int(generator.integers(width)), int(generator.integers(height)))
            radius = int(generator.uniform(0.06, 0.26) * height)
            colour = colours[int(generator.integers(len(colours)))]
            cv2.circle(layer, centre, radius, tuple(map(float, colour)), -1, cv2.LINE_AA)
        cv2.addWeighted(layer, 0.5, picture, 0.5, 0.0, dst=picture)
    size = 2 * int(generator.uniform(0.0, 0.02) * height) + 1
    return np.asarray(cv2.blur(picture, (size, size)), dtype=np.uint8)


def paint_pattern(generator: Generator, palette: Palette, height: int, width: int) -> Picture:
    """Paint stripes, waves, checks or dots in two tones that lie close together."""
    angle = generator.uniform(0.0, np.pi)
    period = np.float32(generator.uniform(0.12, 0.3) * height)
    x = np.arange(width, dtype=np.float32)[None]
    y = np.arange(height, dtype=np.float32)[:, None]
    along = (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y) * np.float32(2.0 * np.pi) / period
    across = (np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x) * np.float32(2.0 * np.pi) / period
    kind = int(generator.integers(4))
    if kind == 0:
        wave = np.sin(along)
    elif kind == 1:
        wave = np.sin(along + np.sin(across))
    elif kind == 2:
        wave = np.sin(along) * np.sin(across) * 2.0
    else:
        wave = (np.cos(along) + np.cos(across) - 0.9) * 1.5
    # About one pixel of transition: clean edges without steps.
    sharpness = period / np.float32(2.0 * np.pi)
    weight = np.clip(0.5 + wave * sharpness, 0.0, 1.0).astype(np.float32) * np.float32(generator.uniform(0.3, 0.6))
    first = _gradient(generator, palette.sky_colours, height, width).astype(np.float32)
    second = palette.ground_colours[int(generator.integers(len(palette.ground_colours)))]
    return np.asarray(first + (second - first) * weight[..., None]).astype(np.uint8)


def paint_clouds(generator: Generator, palette: Palette, height: int, width: int) -> Picture:
    """Paint a gradient that soft noise runs through."""
    base = _gradient(generator, palette.sky_colours, height, width).astype(np.float32)
    veil = _noise(generator, height, width, cells=2, octaves=4)[..., None]
    veil = np.clip(veil * 2.4 - 0.9, 0.0, 1.0) * np.float32(0.7)
    return np.asarray(base + (palette.ground_colours[0] - base) * veil).astype(np.uint8)


PAINTERS: tuple[Callable[[Generator, Palette, int, int], Picture], ...] = (
    paint_hills,
    paint_terrain,
    paint_bokeh,
    paint_pattern,
    paint_clouds,
)
_PAINTER_WEIGHTS = (0.4, 0.18, 0.14, 0.14, 0.14)
