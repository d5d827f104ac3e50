"""Styles: how a glyph is recoloured and stretched, so that no two sprites need look the same.

A look is a glyph in a style. Training has no style in common with the other two splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genvis.data.sprites.glyphs import ALL_LABELS, CATEGORIES, FACING_RIGHT, RASTER_SIZES, Split, glyph_raster

_NATURAL_HUES = (-12.0, 5.0)  # degrees: faces must not turn green
_IDENTITY = np.eye(3)
_GREY = np.full((3, 3), 1.0 / 3.0)
_TURN = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / np.sqrt(3.0)
_LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))


@dataclass(frozen=True)
class Style:
    """A recolouring and a stretch.

    Attributes:
        hue: Rotation of the hue, degrees. Black, white and grey stay what they are.
        saturation: Factor of the saturation; 0 is grey.
        tint: Factors of red, green and blue, at most 1: the colour that white turns into.
        stretch: Width factor; the height is divided by it.
    """

    hue: float = 0.0
    saturation: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    stretch: float = 1.0

    def colour_matrix(self) -> NDArray[np.float64]:
        """Return the (3, 3) matrix that maps RGB to RGB."""
        angle = np.deg2rad(self.hue)
        # Rotation about the grey axis, then towards luma for the saturation, then the tint.
        rotation = np.cos(angle) * _IDENTITY + (1.0 - np.cos(angle)) * _GREY + np.sin(angle) * _TURN
        saturation = self.saturation * _IDENTITY + (1.0 - self.saturation) * _LUMA
        return np.asarray(np.array(self.tint)[:, None] * (saturation @ rotation))


_TRAINING = {
    "natural": Style(),
    "vivid": Style(saturation=1.3),
    "sunny": Style(hue=14, tint=(1.0, 0.97, 0.78)),
    "autumn": Style(hue=-16, tint=(1.0, 0.86, 0.72), stretch=1.06),
    "ash": Style(saturation=0.45, tint=(0.86, 0.86, 0.88)),
    "moss": Style(hue=38, tint=(0.86, 0.96, 0.78), stretch=0.94),
    "berry": Style(hue=-48, tint=(1.0, 0.85, 0.92)),
    "ocean": Style(hue=170, saturation=0.9, tint=(0.82, 0.94, 1.0), stretch=0.96),
    "dusk": Style(hue=-20, tint=(0.84, 0.80, 0.96), stretch=1.04),
    "mint": Style(hue=100, saturation=0.8, tint=(0.84, 1.0, 0.93)),
    "slim": Style(hue=6, stretch=0.88),
    "stout": Style(hue=-6, stretch=1.14),
}
_HELD_OUT = {
    "peach": Style(hue=-28, saturation=0.9, tint=(1.0, 0.9, 0.84), stretch=0.98),
    "lilac": Style(hue=-70, saturation=0.8, tint=(0.93, 0.86, 1.0), stretch=1.08),
    "olive": Style(hue=24, saturation=0.85, tint=(0.92, 0.92, 0.7), stretch=0.92),
    "frost": Style(hue=10, saturation=0.7, tint=(0.86, 0.93, 1.0), stretch=1.1),
    "honey": Style(hue=4, saturation=1.15, tint=(1.0, 0.92, 0.66), stretch=0.9),
}
STYLES: dict[Split, dict[str, Style]] = {"train": _TRAINING, "validation": _HELD_OUT, "novel": _HELD_OUT}


@dataclass(frozen=True)
class Look:
    """Looks of one object all through its video.

    Attributes:
        label: Class index from 0 in the order of OVIS; -1 for scenery, which is not annotated.
        glyph: One character of OpenMoji.
        style_name: The name of the style in `STYLES` that ``style`` was made from.
        style: The style, with this object's own small deviation.
    """

    label: int
    glyph: str
    style_name: str
    style: Style

    @property
    def faces_right(self) -> bool:
        """Whether the glyph is drawn looking to the right."""
        return self.glyph in FACING_RIGHT


def draw_look(generator: np.random.Generator, *, split: Split, labels: Sequence[int] = ALL_LABELS) -> Look:
    """Draw a look of a split: a category, one of its glyphs, a style with a small deviation.

    Args:
        generator: The random stream.
        split: ``"train"``, ``"validation"`` (styles that training lacks) or ``"novel"`` (glyphs too, where there are).
        labels: The class indices to draw one from, all alike.

    Returns:
        The look. The style's hue is damped and bounded where the category has a natural colour.
    """
    label = labels[int(generator.integers(len(labels)))]
    category = tuple(CATEGORIES.values())[label]
    glyphs = category.glyphs(split)
    names = tuple(STYLES[split])
    name = names[int(generator.integers(len(names)))]
    deviation = generator.uniform(-1.0, 1.0, 2)
    style = STYLES[split][name]
    hue = style.hue if category.any_hue else float(np.clip(0.4 * style.hue, *_NATURAL_HUES))
    style = replace(style, hue=hue + 3.0 * deviation[0], stretch=style.stretch * (1.0 + 0.012 * deviation[1]))
    return Look(label, glyphs[int(generator.integers(len(glyphs)))], name, style)


def look_alike(look: Look, generator: np.random.Generator) -> Look:
    """Return a look of the same class that is easily confused: the very same, a little off in hue, or in shape."""
    kind = int(generator.integers(3))
    sign = 1.0 if generator.random() < 0.5 else -1.0
    if kind == 1:
        return replace(look, style=replace(look.style, hue=look.style.hue + sign * generator.uniform(8.0, 18.0)))
    if kind == 2:
        return replace(look, style=replace(look.style, stretch=look.style.stretch * (1.0 + sign * 0.07)))
    return look


def raster_size(pixels: float) -> int:
    """Return the raster size to draw a sprite of ``pixels`` from: the next larger one, or the largest."""
    return next((size for size in RASTER_SIZES if size >= pixels), RASTER_SIZES[-1])


def styled_raster(look: Look, size: int) -> NDArray[np.uint8]:
    """Return the glyph of a look, recoloured but not stretched.

    Args:
        look: The look.
        size: The longer side in pixels, one of `RASTER_SIZES`.

    Returns:
        (h, w, 4) uint8 RGBA with premultiplied alpha.
    """
    import cv2

    raster = glyph_raster(look.glyph, size)
    matrix = np.zeros((4, 4), dtype=np.float32)
    matrix[:3, :3] = look.style.colour_matrix()
    matrix[3, 3] = 1.0
    coloured = np.asarray(cv2.transform(raster, matrix), dtype=np.uint8)
    # A premultiplied colour is never above its alpha.
    np.minimum(coloured[..., :3], coloured[..., 3:], out=coloured[..., :3])
    return coloured
