"""Base of all sources: frames with their place and time, a range of them, and what went wrong."""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genvis.errors import InputError
from genvis.files import printable
from genvis.fingerprint import Stamp

RGBImage = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        image: (H, W, 3) uint8, RGB, upright.
        index: Place in the source, counted from 0 before any range or stride; gaps where frames were left out.
        time: Seconds since the first frame of the source, strictly increasing.
        name: Name for files that belong to the frame: the image's own stem, or the index in five digits.
    """

    image: RGBImage
    index: int
    time: float
    name: str

    @property
    def height(self) -> int:
        """Rows."""
        return self.image.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.image.shape[1]


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Which frames of a source to take, as in ``range(start, stop, stride)``.

    Attributes:
        start: First frame, from 0.
        stop: The first frame not taken; None for the end.
        stride: Every how many frames.
    """

    start: int = 0
    stop: int | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if self.start < 0 or self.stride < 1 or (self.stop is not None and self.stop <= self.start):
            raise InputError(
                f"Frames {self.start} to {self.stop} with stride {self.stride} is no range: it needs start >= 0, "
                "stop > start and stride >= 1."
            )

    def __contains__(self, index: int) -> bool:
        return (
            self.start <= index and (self.stop is None or index < self.stop) and not (index - self.start) % self.stride
        )

    def count(self, total: int) -> int:
        """Return how many of ``total`` frames the range takes."""
        stop = total if self.stop is None else min(total, self.stop)
        return len(range(self.start, stop, self.stride))


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame that is known but not yet converted or loaded, so that a frame left out costs little.

    Attributes:
        index: Place in the source.
        time: Seconds since the source's first frame.
        name: Name of the frame.
        load: Returns the (H, W, 3) image, or None when it is damaged.
    """

    index: int
    time: float
    name: str
    load: Callable[[], RGBImage | None]


@dataclass
class Damage:
    """What a source could not deliver; filled while it is read.

    Attributes:
        ending: Sentence on why the frames ended before they should, if they did.
        skipped: Names of frames that could not be decoded.
        incomplete: Names of frames that could be decoded only in part.
        resized: How many frames had another size than the first one.
    """

    ending: str | None = None
    skipped: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    resized: int = 0


class FrameSource(ABC):
    """Frames of one video, from a file, images, a camera, a stream or memory.

    Iterating delivers :class:`Frame`; a source that is not live can be iterated again, from its beginning. All frames
    have the size of the first one: a frame of another size (folders of images, some streams) is scaled to fit and
    centred on black, and ``notes`` says so. Leaving a ``with`` block, or ``close()``, ends reading.

    Args:
        name: Name of the video, for output files.
        frames: Which frames to take.

    Attributes:
        origin: Identity of the file elsewhere that was fetched; None for all others.
    """

    def __init__(self, *, name: str, frames: FrameRange) -> None:
        self.name = printable(name)
        self.frames = frames
        self.origin: Stamp | None = None
        self._damage = Damage()
        self._release = ExitStack()

    def came_from(self, origin: Stamp, *, release: ExitStack) -> None:
        """Take note that the file is a copy.

        Args:
            origin: Identity of the file that it is a copy of.
            release: Closed when the source is left: the copy is no longer needed.
        """
        self.origin, self._release = origin, release
        weakref.finalize(self, release.close)

    @property
    @abstractmethod
    def total_frames(self) -> int | None:
        """Estimate of the frames in the whole source, before the range; None if nobody knows."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int] | None:
        """Height and width of the frames; None if no frame can be decoded."""

    @property
    @abstractmethod
    def frame_rate(self) -> float | None:
        """Frames per second of the source on average, before the stride; None if nobody knows."""

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel divided by its height."""
        return Fraction(1)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the frames come from; none for cameras, streams and frames in memory."""
        return ()

    @property
    def is_live(self) -> bool:
        """Whether frames come at their own pace, only once, and without a known end."""
        return False

    @property
    def frame_count(self) -> int | None:
        """Estimate of the frames that iterating delivers; None if nobody knows."""
        return None if self.total_frames is None else self.frames.count(self.total_frames)

    @property
    def problem(self) -> str | None:
        """After reading: which frames are missing and up to where the video went; None if all is well."""
        sentences = [self._damage.ending] if self._damage.ending else []
        for frames, fate in ((self._damage.skipped, "left out"), (self._damage.incomplete, "decoded in part")):
            if frames:
                names = ", ".join(frames[:3]) + (f" and {len(frames) - 3} more" if len(frames) > 3 else "")
                sentences.append(f"'{self.name}' has {counted(len(frames), 'damaged frame')}, {fate}: {names}.")
        return " ".join(sentences) or None

    @property
    def notes(self) -> tuple[str, ...]:
        """After reading: what was done to the frames that a user should know, though none is missing."""
        if not self._damage.resized or self.size is None:
            return ()
        height, width = self.size
        frames = counted(self._damage.resized, "frame")
        return (f"{frames} of '{self.name}' had another size than the first: fitted into {width}x{height} pixels.",)

    def __iter__(self) -> Iterator[Frame]:
        self._damage = Damage()
        size: tuple[int, int] | None = None
        # Closed at once, not when the collector comes: it holds a file and the threads of a decoder.
        with closing(self._read()) as frames:
            for pending in frames:
                if self.frames.stop is not None and pending.index >= self.frames.stop:
                    return
                if pending.index not in self.frames:
                    continue
                image = pending.load()
                if image is None:
                    self._damage.skipped.append(pending.name)
                    continue
                size = size or self.size or (image.shape[0], image.shape[1])
                if image.shape[:2] != size:
                    self._damage.resized += 1
                    image = letterbox(image, height=size[0], width=size[1])
                yield Frame(image=image, index=pending.index, time=pending.time, name=pending.name)

    @abstractmethod
    def _read(self) -> Generator[Pending, None, None]:
        """Deliver all frames from the beginning, whatever the range."""

    def interrupt(self) -> None:  # noqa: B027 - most sources never wait
        """End a wait for a live source that dropped; may be called from another thread."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open between frames
        """Release the file, camera or connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._release.close()


def letterbox(image: RGBImage, *, height: int, width: int) -> RGBImage:
    """Scale an image to fit into a size, keeping its proportions, centred on black.

    Args:
        image: (h, w, 3) uint8.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        (height, width, 3) uint8.
    """
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = (max(1, min(width, round(image.shape[1] * scale))), max(1, min(height, round(image.shape[0] * scale))))
    scaled = Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = np.asarray(scaled)
    return canvas


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
