"""Still images as sources: folders, globs, single files and frames in memory, whatever their mode, depth or size."""

import re
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

from genvis.errors import InputError, MissingExtraError
from genvis.files import printable
from genvis.image_files import opened_image, read_image_size, to_rgb
from genvis.video.sources.source import FrameRange, FrameSource, Pending, RGBImage, counted

PAGED_FORMATS = frozenset({"PNG", "WEBP", "AVIF", "TIFF"})


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    parts = re.split(r"(\d+)", str(path).casefold())
    # The longer number is the larger one; Python reads none of more than 4,300 digits.
    numbers = ((part, part.lstrip("0")) for part in parts)
    return [(0, len(digits), digits) if part.isdecimal() else (1, 0, part) for part, digits in numbers]


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
        self._pages = 0
        self._first_error = ""
        taken = (path for index, path in enumerate(self._paths) if index in frames)
        self._size = next((size for size in map(_size_or_none, taken) if size), None)

    @property
    def files(self) -> tuple[Path, ...]:
        """The images."""
        return self._paths

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

    @property
    def problem(self) -> str | None:
        """After reading: which images are missing, and what is wrong with the first of them."""
        problem = super().problem
        return f"{problem} {self._first_error}" if problem and self._first_error else problem

    @property
    def notes(self) -> tuple[str, ...]:
        """After reading: what was done to frames, and which files hold more than the one picture that was taken."""
        if not self._pages:
            return super().notes
        files = counted(self._pages, "image")
        return (*super().notes, f"{files} of '{self.name}' with several pictures: the first of each was taken.")

    def _read(self) -> Generator[Pending, None, None]:
        self._pages, self._first_error = 0, ""
        for index, (path, name) in enumerate(zip(self._paths, self._names, strict=True)):
            yield Pending(index, index / self._rate, name, partial(self._load, path))

    def _load(self, path: Path) -> RGBImage | None:
        try:
            with opened_image(path) as image:
                self._pages += image.format in PAGED_FORMATS and getattr(image, "n_frames", 1) > 1
                return to_rgb(image)
        except MissingExtraError:
            raise
        except InputError as error:
            self._first_error = self._first_error or str(error)
            return None


def _size_or_none(path: Path) -> tuple[int, int] | None:
    try:
        return read_image_size(path)
    except MissingExtraError:
        raise
    except InputError:
        return None


def _unique_stems(paths: Sequence[Path]) -> list[str]:
    """Name frames by the stems of their files, or by their number where stems repeat."""
    stems = [printable(path.stem) for path in paths]
    if len({stem.casefold() for stem in stems}) == len(stems):
        return stems
    return [f"{index:05d}" for index in range(len(stems))]
