"""Frames in memory: arrays, tensors and PIL images, one by one or as a source."""

from collections.abc import Generator, Iterable, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from genvis.errors import InputError
from genvis.video.sources.source import Frame, FrameRange, FrameSource, Pending, RGBImage

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

FrameLike = Union[RGBImage, Frame, "Image", "Tensor"]
"""A frame of a source, an array (H, W, 3) uint8, a PIL image, or a tensor (3, H, W) or (H, W, 3) uint8."""


class ArraySource(FrameSource):
    """Frames in memory.

    Args:
        images: (T, H, W, 3) uint8 RGB, a tensor of that or (T, 3, H, W), or any iterable of what `rgb_pixels` takes.
            Only what has a length can be read twice.
        name: Name of the video.
        frames: Which of the frames to take.
        frame_rate: Frames per second; frames that are :class:`Frame` keep their own time.
        bgr: Whether arrays and tensors are BGR.
    """

    def __init__(
        self,
        images: Iterable[FrameLike],
        *,
        name: str,
        frames: FrameRange,
        frame_rate: float,
        bgr: bool = False,
    ) -> None:
        super().__init__(name=name, frames=frames)
        self._images = images
        self._rate = frame_rate
        self._size: tuple[int, int] | None = None
        self._bgr = bgr
        self._total: int | None = None
        if isinstance(images, Sized):
            self._total = len(images)
            if len(images) > frames.start and isinstance(images, np.ndarray | list | tuple):
                self._size = rgb_pixels(images[frames.start]).shape[:2]

    @property
    def total_frames(self) -> int | None:
        """Number of frames, if the container has a length."""
        return self._total

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the first frame; None before an iterator has delivered it."""
        return self._size

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self._rate

    def _read(self) -> Generator[Pending, None, None]:
        for index, item in enumerate(self._images):
            image = rgb_pixels(item, bgr=self._bgr)
            if self._size is None:
                self._size = image.shape[:2]
            if isinstance(item, Frame):
                yield Pending(item.index, item.time, item.name, partial(_same, image))
            else:
                yield Pending(index, index / self._rate, f"{index:05d}", partial(_same, image))


def _same(image: RGBImage) -> RGBImage:
    return image


def rgb_pixels(frame: FrameLike, *, bgr: bool = False) -> RGBImage:
    """Return a frame as (H, W, 3) uint8 RGB; arrays that already are come back without a copy.

    Args:
        frame: An array (H, W, 3) uint8, a PIL image of any mode, a tensor (3, H, W) or (H, W, 3) uint8 on any device,
            or a `Frame` of a source.
        bgr: Whether arrays and tensors are BGR, as OpenCV gives them; says nothing of PIL images and `Frame`.

    Raises:
        InputError: If it is something else, or holds no pixel.
    """
    if isinstance(frame, Frame):
        return frame.image
    if frame is None:
        raise InputError("A frame is None: the camera or file that should give it has ended, or cannot be read.")
    if hasattr(frame, "convert") and hasattr(frame, "getbands"):  # A PIL image.
        return np.asarray(frame.convert("RGB"))
    pixels: Any = _array_of(frame)
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(f"A frame must be an array (H, W, 3) of uint8 RGB, not {_described(frame)}.")
    if 0 in pixels.shape:
        raise InputError(f"A frame of {pixels.shape[0]}x{pixels.shape[1]} pixels holds nothing to segment.")
    return np.ascontiguousarray(pixels[..., ::-1]) if bgr else pixels


def _array_of(frame: Any) -> Any:
    """Return a tensor as an array with the channels last; anything else as it is."""
    if not (hasattr(frame, "detach") and hasattr(frame, "cpu")):
        return frame
    array = frame.detach().cpu().numpy()
    is_channels_first = array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3
    return array.transpose(1, 2, 0) if is_channels_first else array


def _described(frame: Any) -> str:
    shape, dtype = getattr(frame, "shape", None), getattr(frame, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{tuple(shape)} {dtype}"
    kind = type(frame).__name__
    return f"a {kind}: read its frames first, or give its file name" if "Capture" in kind else f"a {kind}"
