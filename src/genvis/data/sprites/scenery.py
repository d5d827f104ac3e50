"""Scenery of OpenMoji's plants, rocks, houses and clouds: pale on the background, and in front as occluders."""

from dataclasses import dataclass, replace

import numpy as np

from genvis.data.sprites.backgrounds import Background
from genvis.data.sprites.compositing import blend, place
from genvis.data.sprites.difficulty import Difficulty
from genvis.data.sprites.styles import Look, Style

GROUND_PROPS = "🌲🌳🌴🌵🌷🌻🍄🪨🌾🌼🌱🌿🏠🛖⛺🌺"
SKY_PROPS = "☁"
FOREGROUND_PROPS = "🌲🌳🌴🌵🪨🌻🌷🌾"


@dataclass(frozen=True)
class Prop:
    """A piece of scenery in front of everything.

    Attributes:
        look: Its look; the label is -1.
        x: Of its centre, pixels in the background's picture: it moves with the camera.
        y: Likewise.
        size: The longer side, pixels.
        flipped: Whether it is mirrored.
    """

    look: Look
    x: float
    y: float
    size: float
    flipped: bool


def _draw_prop(generator: np.random.Generator, glyphs: str, *, x: float, y: float, size: float) -> Prop:
    glyph = glyphs[int(generator.integers(len(glyphs)))]
    style = Style(hue=float(generator.uniform(-14.0, 14.0)), saturation=float(generator.uniform(0.7, 1.0)))
    return Prop(Look(-1, glyph, "scenery", style), x, y, size, bool(generator.random() < 0.5))


def scatter_scenery(generator: np.random.Generator, background: Background, *, height: int) -> Background:
    """Return the background with some pale scenery painted on its lower half, smaller towards the horizon.

    Args:
        generator: The random stream.
        background: The background; it is not changed.
        height: Height of the frames, pixels.
    """
    picture = background.picture.copy()
    canvas_height, canvas_width = picture.shape[:2]
    # From the horizon to the viewer, so that the nearer hides the farther.
    for depth in np.sort(generator.random(int(generator.integers(3, 9)))):
        size = (0.10 + 0.16 * float(depth)) * height
        x, y = float(generator.uniform(0.0, canvas_width)), canvas_height * (0.42 + 0.42 * float(depth))
        prop = _draw_prop(generator, GROUND_PROPS, x=x, y=y, size=size)
        _paint(picture, prop, opacity=0.5)
    for _ in range(int(generator.integers(0, 3))):
        x, y = generator.uniform(0.0, canvas_width), generator.uniform(0.08, 0.25) * canvas_height
        prop = _draw_prop(generator, SKY_PROPS, x=x, y=y, size=generator.uniform(0.12, 0.3) * height)
        white = replace(prop.look, style=Style(saturation=0.0))
        _paint(picture, replace(prop, look=white), opacity=0.35)
    return replace(background, picture=picture)


def _paint(picture: np.ndarray, prop: Prop, *, opacity: float) -> None:
    patch = place(
        prop.look, x=prop.x, y=prop.y, size=prop.size, heading=1.0 if prop.flipped else -1.0, bounds=picture.shape[:2]
    )
    if patch is not None:
        blend(picture, patch, opacity=opacity)


def draw_foreground(
    generator: np.random.Generator, difficulty: Difficulty, *, height: int, width: int
) -> tuple[Prop, ...]:
    """Draw the scenery in front of everything, in the coordinates of the background's picture."""
    count = int(generator.integers(difficulty.foreground[0], difficulty.foreground[1] + 1))
    props = []
    for _ in range(count):
        size = float(generator.uniform(0.35, 0.7)) * height
        # Rooted near the lower edge, wherever the camera looks.
        x, y = float(generator.uniform(0.15, 1.15)) * width, float(generator.uniform(1.1, 1.3)) * height - 0.5 * size
        props.append(_draw_prop(generator, FOREGROUND_PROPS, x=x, y=y, size=size))
    return tuple(props)
