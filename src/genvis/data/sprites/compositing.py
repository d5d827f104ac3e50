"""Drawing: a sprite warped into its own bounding box, and blended over what is there."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.data.sprites.styles import Look, raster_size, styled_raster

OPAQUE = 128
"""A pixel belongs to a sprite where the sprite's alpha is at least this, of 255."""


class Patch(NamedTuple):
    """A sprite in place: the part of it that lies in the frame.

    Attributes:
        colours: (h, w, 3) uint8 RGB, premultiplied by alpha.
        alpha: (h, w) uint8.
        top: The frame's row of the patch's first row.
        left: The frame's column of the patch's first column.
    """

    colours: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    top: int
    left: int

    @property
    def area(self) -> tuple[slice, slice]:
        """The rows and columns of the frame that the patch covers."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


# A look lives as long as its video: the cache needs to hold one video's looks, not more.
@lru_cache(maxsize=48)
def _raster(look: Look, size: int) -> NDArray[np.uint8]:
    return styled_raster(look, size)


def place(
    look: Look,
    *,
    x: float,
    y: float,
    size: float,
    bounds: tuple[int, ...],
    angle: float = 0.0,
    heading: float = -1.0,
    light: float = 1.0,
) -> Patch | None:
    """Warp a sprite to where it stands; only its bounding box inside the frame is computed.

    Args:
        look: What it looks like.
        x: Of its centre, pixels.
        y: Of its centre, pixels.
        size: The longer side of the glyph before the style's stretch, pixels.
        bounds: (H, W) of the frame.
        angle: Radians, clockwise on the screen.
        heading: -1..1: to the left or the right, and how much of the width shows.
        light: 0..1, brightness.

    Returns:
        The patch, or None where the sprite is outside the frame.
    """
    import cv2

    raster = _raster(look, raster_size(size))
    rows, columns = raster.shape[:2]
    scale = size / max(rows, columns)
    side = 1.0 if (heading > 0) == look.faces_right else -1.0
    scale_x = side * max(abs(heading), 0.45) * scale * look.style.stretch
    scale_y = scale / look.style.stretch
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    a, b, c, d = cosine * scale_x, -sine * scale_y, sine * scale_x, cosine * scale_y
    half_width = 0.5 * (abs(a) * columns + abs(b) * rows) + 1.0
    half_height = 0.5 * (abs(c) * columns + abs(d) * rows) + 1.0
    left, right = max(0, int(x - half_width)), min(bounds[1], int(x + half_width) + 2)
    top, bottom = max(0, int(y - half_height)), min(bounds[0], int(y + half_height) + 2)
    if left >= right or top >= bottom:
        return None
    centre_x, centre_y = (columns - 1) / 2.0, (rows - 1) / 2.0
    warp = np.array(
        [[a, b, x - left - a * centre_x - b * centre_y], [c, d, y - top - c * centre_x - d * centre_y]],
        dtype=np.float64,
    )
    patch = cv2.warpAffine(raster, warp, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    colours, alpha = patch[..., :3], patch[..., 3]
    if light < 1.0:
        colours = cv2.convertScaleAbs(colours, alpha=light)
    return Patch(np.asarray(colours, dtype=np.uint8), np.asarray(alpha, dtype=np.uint8), top, left)


def blend(image: NDArray[np.uint8], patch: Patch, *, opacity: float = 1.0) -> None:
    """Blend a patch over an image (H, W, 3) uint8, in place."""
    rows, columns = patch.area
    below = image[rows, columns]
    weight = np.uint16(round(256 * opacity))
    kept = (np.uint16(255 * 256) - patch.alpha * weight)[..., None] // np.uint16(256)
    above = patch.colours if opacity == 1.0 else (patch.colours * weight >> np.uint16(8)).astype(np.uint8)
    below[...] = above + ((below * kept + np.uint16(127)) // np.uint16(255)).astype(np.uint8)


def cast_shadow(image: NDArray[np.uint8], patch: Patch, *, size: float, strength: float) -> None:
    """Darken the image below and to the right of a sprite, in place.

    Args:
        image: (H, W, 3) uint8.
        patch: The sprite, before it is blended.
        size: The sprite's longer side, pixels.
        strength: 0..1, how dark the shadow is.
    """
    import cv2

    offset = max(1, round(0.06 * size))
    kernel = 2 * offset + 1
    height, width = patch.alpha.shape
    top, left = patch.top + offset, patch.left + offset // 2
    bottom, right = min(image.shape[0], top + height + offset), min(image.shape[1], left + width + offset)
    if top >= bottom or left >= right:
        return
    wide = np.zeros((height + offset, width + offset), dtype=np.uint8)
    wide[:height, :width] = patch.alpha
    blurred = np.asarray(cv2.blur(wide, (kernel, kernel), borderType=cv2.BORDER_CONSTANT), dtype=np.uint8)
    soft = blurred[: bottom - top, : right - left]
    kept = (np.uint16(256) - (soft * np.uint16(round(256 * strength)) >> np.uint16(8)))[..., None]
    below = image[top:bottom, left:right]
    below[...] = (below * kept) >> np.uint16(8)
