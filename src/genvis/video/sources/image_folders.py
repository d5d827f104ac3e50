"""Still images as sources: folders, globs, single files and frames in memory, whatever their mode, depth or size."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genvis.errors import InputError
from genvis.video.sources.source import Frame, FrameRange, FrameSource, Pending, RGBImage

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "avif"),
        *("ppm", "pgm", "pbm", "pnm", "tga", "jp2", "j2k", "sgi", "pcx"),
    )
)
EXIF_ORIENTATION = 0x0112


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def is_image(path: Path) -> bool:
    """Whether the name is that of a still image; hidden files are not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def read_image(path: str | Path) -> RGBImage:
    """Load one image as 8-bit RGB, upright.

    EXIF orientation is applied; grey, palette and CMYK become RGB; what is transparent is laid on white; 16 bits are
    scaled by 1/257, floats from [0, 1] (or [0, 255] if they exceed 1).

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: If the file is missing, is no image, or is damaged.
    """
    try:
        with Image.open(path) as image:
            return _to_rgb(image)
    except FileNotFoundError:
        raise InputError(f"There is no image '{path}'.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"The image '{path}' cannot be read: {error}.") from error


def _to_rgb(image: Image.Image) -> RGBImage:
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _grey_to_rgb(np.asarray(upright, np.float64) / 257)
    if upright.mode == "F":
        values = np.nan_to_num(np.asarray(upright, np.float64))
        return _grey_to_rgb(values * 255 if values.max() <= 1 else values)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(upright.convert("RGB"))


def _grey_to_rgb(values: NDArray[np.float64]) -> RGBImage:
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _read_size(path: Path) -> tuple[int, int] | None:
    """Height and width from the file's head, upright; None if it is no image."""
    try:
        with Image.open(path) as image:
            lies_on_its_side = image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            return image.size if lies_on_its_side else (image.size[1], image.size[0])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


class ImageSource(FrameSource):
    """Images on disk as the frames of a video, in the order given.

    Args:
        paths: The image files, at least one.
        name: Name of the video.
        frames: Which of the images to take.
        frame_rate: Frames per second that the images stand for.

    Raises:
        InputError: If there is no image, or no frame rate above 0.
    """

    def __init__(self, paths: Sequence[Path], *, name: str, frames: FrameRange, frame_rate: float) -> None:
        super().__init__(name=name, frames=frames)
        if not paths:
            raise InputError(f"'{name}' holds no image.")
        if not frame_rate > 0:
            raise InputError(f"The frame rate of images must be above 0, not {frame_rate}.")
        self._paths = tuple(paths)
        self._rate = frame_rate
        self._names = _unique_stems(self._paths)
        taken = (path for index, path in enumerate(self._paths) if index in frames)
        self._size = next((size for size in map(_read_size, taken) if size), None)

    @property
    def total_frames(self) -> int:
        """Number of images."""
        return len(self._paths)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the first image that is taken."""
        return self._size

    @property
    def frame_rate(self) -> float:
        """Frames per second that the images stand for."""
        return self._rate

    def _read(self) -> Iterator[Pending]:
        for index, (path, name) in enumerate(zip(self._paths, self._names, strict=True)):
            yield Pending(index, index / self._rate, name, partial(self._load, path))

    def _load(self, path: Path) -> RGBImage | None:
        try:
            return read_image(path)
        except InputError:
            return None


def _unique_stems(paths: Sequence[Path]) -> list[str]:
    """Name frames by the stems of their files, or by their number where stems repeat."""
    stems = [path.stem for path in paths]
    if len({stem.casefold() for stem in stems}) == len(stems):
        return stems
    return [f"{index:05d}" for index in range(len(stems))]


class ArraySource(FrameSource):
    """Frames in memory.

    Args:
        images: (T, H, W, 3) uint8 RGB, or any iterable of (H, W, 3) images or :class:`Frame`. Only arrays, lists and
            tuples can be read twice.
        name: Name of the video.
        frames: Which of the frames to take.
        frame_rate: Frames per second; frames that are :class:`Frame` keep their own time.
    """

    def __init__(
        self,
        images: NDArray[np.uint8] | Iterable[RGBImage | Frame],
        *,
        name: str,
        frames: FrameRange,
        frame_rate: float,
    ) -> None:
        super().__init__(name=name, frames=frames)
        self._images = images
        self._rate = frame_rate
        self._size: tuple[int, int] | None = None
        if isinstance(images, np.ndarray | list | tuple):
            self._total: int | None = len(images)
            if len(images) > frames.start:
                self._size = _checked(images[frames.start]).shape[:2]
        else:
            self._total = None

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

    def _read(self) -> Iterator[Pending]:
        for index, item in enumerate(self._images):
            image = _checked(item)
            if self._size is None:
                self._size = image.shape[:2]
            if isinstance(item, Frame):
                yield Pending(item.index, item.time, item.name, partial(_same, image))
            else:
                yield Pending(index, index / self._rate, f"{index:05d}", partial(_same, image))


def _same(image: RGBImage) -> RGBImage:
    return image


def _checked(item: RGBImage | Frame) -> RGBImage:
    image = item.image if isinstance(item, Frame) else np.asarray(item)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(f"A frame in memory must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}.")
    return image
