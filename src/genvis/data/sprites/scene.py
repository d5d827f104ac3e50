"""One generated video as a small plan: who is in it, how they move, over what; no frame is drawn yet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genvis.data.sprites.backgrounds import Background, draw_background
from genvis.data.sprites.difficulty import Difficulty
from genvis.data.sprites.glyphs import ALL_LABELS, SPLITS, Split, glyph_raster
from genvis.data.sprites.motion import Motion, draw_motion
from genvis.data.sprites.scenery import Prop, draw_foreground, scatter_scenery
from genvis.data.sprites.styles import Look, draw_look, look_alike


@dataclass(frozen=True)
class Scene:
    """The plan of one video: any frame of it can be drawn, in any order.

    Attributes:
        height: Height of the frames, pixels.
        width: Width of the frames, pixels.
        length: T, the number of frames.
        looks: One per object, N of them.
        motion: The paths of the N objects.
        background: The picture behind them and the camera's pan.
        foreground: Scenery in front of everything; it hides objects and is not annotated.
        light: (T, 3) factors of red, green and blue of the whole frame.
    """

    height: int
    width: int
    length: int
    looks: tuple[Look, ...]
    motion: Motion
    background: Background
    foreground: tuple[Prop, ...]
    light: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class indices from 0, in the order of OVIS."""
        return np.array([look.label for look in self.looks], dtype=np.int64)


def draw_scene(
    *,
    seed: int,
    split: Split,
    index: int,
    difficulty: Difficulty,
    height: int,
    width: int,
    length: int,
    labels: tuple[int, ...] = ALL_LABELS,
    backgrounds: tuple[Path, ...] = (),
) -> Scene:
    """Draw the plan of video ``index``; equal arguments give the same plan, whatever was drawn before.

    Args:
        seed: The data set's seed, 0 or more.
        split: ``"train"``, ``"validation"`` (other styles) or ``"novel"`` (other styles, and glyphs where there are).
        index: The number of the video in its data set, 0 or more.
        difficulty: How hard it is.
        height: Height of the frames, pixels.
        width: Width of the frames, pixels.
        length: T, the number of frames.
        labels: The class indices that objects are drawn from.
        backgrounds: Picture files to use instead of the procedural backgrounds.
    """
    generator = np.random.default_rng([seed, SPLITS.index(split), index])
    count = int(generator.integers(difficulty.objects[0], difficulty.objects[1] + 1))
    looks: list[Look] = []
    for _ in range(count):
        if looks and generator.random() < difficulty.look_alikes:
            looks.append(look_alike(looks[int(generator.integers(len(looks)))], generator))
        else:
            looks.append(draw_look(generator, split=split, labels=labels))
    sizes = generator.uniform(*difficulty.size, count) * min(height, width)
    sizes *= [_slimness(look) for look in looks]
    motion = draw_motion(generator, difficulty, sizes=sizes, height=height, width=width, length=length)
    background = draw_background(generator, height=height, width=width, length=length, images=backgrounds)
    if background.landscape:
        background = scatter_scenery(generator, background, height=height)
    foreground = draw_foreground(generator, difficulty, height=height, width=width)
    return Scene(
        height=height,
        width=width,
        length=length,
        looks=tuple(looks),
        motion=motion,
        background=background,
        foreground=foreground,
        light=_draw_light(generator, difficulty, length),
    )


def _slimness(look: Look) -> float:
    """Return how much longer a thin sprite is drawn, so that it does not vanish beside a round one."""
    height, width = glyph_raster(look.glyph, 64).shape[:2]
    return float(np.clip((0.6 * max(height, width) / min(height, width)) ** 0.5, 1.0, 1.5))


def _draw_light(generator: np.random.Generator, difficulty: Difficulty, length: int) -> NDArray[np.float64]:
    """Return (T, 3): slow swings of the brightness and of the warmth of the light."""
    times = np.arange(length)[:, None] * 2.0 * np.pi
    periods, phases = generator.uniform(40.0, 160.0, 2), generator.uniform(0.0, 2.0 * np.pi, 2)
    brightness, warmth = np.sin(times / periods + phases).T
    strength = difficulty.lighting * generator.random(2)
    gain = 1.0 - 0.14 * strength[0] * (1.0 - brightness)
    warm = 0.08 * strength[1] * warmth
    return np.stack([gain * (1.0 + warm), gain, gain * (1.0 - warm)], axis=-1)
