"""Clip windows: how frames that come one after another are divided into the clips that the tracker takes.

A clip is one step of the tracker, so long clips are fast. Frames are gathered until the clip has its greatest length,
or the next frame begins a scene, or the video ends. So no answer depends on more than ``longest - 1`` later frames, and
every frame is in exactly one clip, in order.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.windows.scene_changes import COLUMNS, ROWS, Thumbnail, is_scene_change, thumbnail

# Frames of the longest adaptive clip, unless another is asked for: see the measurements in docs/inference.md.
LONGEST_CLIP = 7


class Window(NamedTuple):
    """A clip among the frames that wait.

    Attributes:
        start: Place of its first frame.
        stop: Place after its last one.
        starts_scene: Whether its first frame shows another scene than the frame before.
    """

    start: int
    stop: int
    starts_scene: bool = False

    @property
    def frames(self) -> slice:
        """The places of its frames."""
        return slice(self.start, self.stop)


class ClipWindows(Protocol):
    """Division of one video into clips; what it remembers of the frames before can be saved in between."""

    def starts_scene(self, image: NDArray[np.uint8]) -> bool:
        """Take the next frame, (H, W, 3) RGB, and return whether it shows another scene than the one before."""

    def divide(self, images: Sequence[NDArray[np.uint8]]) -> list[Window]:
        """Divide the next frames of the video.

        Args:
            images: One or more frames, (H, W, 3) RGB each.

        Returns:
            Windows that follow one another and cover all frames.
        """

    def copy(self) -> "ClipWindows":
        """Return one that goes on from the same frame, by itself."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what is remembered as tensors by name, to be saved."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `tensors` returned.

        Raises:
            InputError: If the tensors are something else.
        """


class FixedWindows(ClipWindows):
    """All frames that are given together are one clip, as published; scenes are not looked at."""

    def starts_scene(self, image: NDArray[np.uint8]) -> bool:
        """Return False: see `ClipWindows.starts_scene`."""
        return False

    def divide(self, images: Sequence[NDArray[np.uint8]]) -> list[Window]:
        """Return one window: see `ClipWindows.divide`."""
        return [Window(0, len(images))]

    def copy(self) -> "FixedWindows":
        """Return this one, which remembers nothing: see `ClipWindows.copy`."""
        return self

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: see `ClipWindows.tensors`."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take nothing: see `ClipWindows.restore`."""


class AdaptiveWindows(ClipWindows):
    """Clips as long as allowed while a scene goes on; a hard cut ends the clip, and the next one begins a scene.

    Args:
        longest: Frames of a clip at most.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._last: Thumbnail | None = None

    def starts_scene(self, image: NDArray[np.uint8]) -> bool:
        """Compare a frame with the one before: see `ClipWindows.starts_scene`."""
        before, self._last = self._last, thumbnail(image)
        return before is not None and is_scene_change(before, self._last)

    def divide(self, images: Sequence[NDArray[np.uint8]]) -> list[Window]:
        """Return windows within scenes, none longer than allowed: see `ClipWindows.divide`."""
        windows: list[Window] = []
        for place, image in enumerate(images):
            starts_scene = self.starts_scene(image)
            if windows and not starts_scene and place - windows[-1].start < self.longest:
                windows[-1] = windows[-1]._replace(stop=place + 1)
            else:
                windows.append(Window(place, place + 1, starts_scene))
        return windows

    def copy(self) -> "AdaptiveWindows":
        """Return one with the same last frame: see `ClipWindows.copy`."""
        other = AdaptiveWindows(self.longest)
        other._last = self._last
        return other

    def tensors(self) -> dict[str, Tensor]:
        """Return the thumbnail of the last frame: see `ClipWindows.tensors`."""
        return {} if self._last is None else {"last_frame": torch.from_numpy(self._last)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the thumbnail of the last frame: see `ClipWindows.restore`."""
        last = tensors.get("last_frame")
        if last is not None and (last.shape != (ROWS, COLUMNS, 3) or last.dtype != torch.uint8):
            raise InputError("The saved thumbnail of the last frame is none.")
        self._last = None if last is None else last.numpy()
