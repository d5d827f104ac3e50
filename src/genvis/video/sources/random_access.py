"""Frames of a video by their place, exactly those of a result, decoded from the key frame before."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import av.error
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import ArrayLike

from genvis.errors import InputError
from genvis.files import printable
from genvis.video.sources.container import ContainerSource
from genvis.video.sources.decoding import NO_TIMESTAMPS, Decoding, Location
from genvis.video.sources.image_folders import ImageSource
from genvis.video.sources.opening import LOCAL_OPTIONS, open_source
from genvis.video.sources.source import Frame, FrameSource, RGBImage

# A stamp and the time that was made of it agree to rounding; repeated stamps were moved apart by a millisecond.
SAME_TIME = 2e-5
# So many frames ahead it is quicker to decode on than to search.
NEAR = 24
# Decoded frames that are kept, for steps backwards: 90 of 1280x720.
CACHED_BYTES = 128 << 20


class FrameReader:
    """The frames of a result, in any order.

    A frame is found by its time, which variable frame rates have too: the container is searched for the key frame
    before it, and all is decoded from there. Where stamps do not tell frames apart (containers without times, repeated
    stamps) frames are counted from the beginning, as they were when the result was made: slower, and as exact.
    May be used from several threads; one of them decodes at a time.

    Args:
        video: A video file, or a folder of images.
        indices: Place of every frame in the source, (T,), increasing.
        times: Its seconds since the source's first frame, (T,), increasing.

    Raises:
        InputError: If the video cannot be opened.
    """

    def __init__(self, video: Path, *, indices: ArrayLike, times: ArrayLike) -> None:
        self._video = video
        self._indices = np.asarray(indices, np.int64)
        self._times = np.asarray(times, np.float64)
        self._kept: OrderedDict[int, VideoFrame | RGBImage] = OrderedDict()
        self._kept_bytes = 0
        self._lock = Lock()
        self._decoding: Decoding | None = None
        self._passing: Iterator[VideoFrame] = iter(())
        self._origin = 0.0
        self._next = 0
        self._counted: Iterator[Frame] = iter(())
        self._counted_to = -1
        self._source: FrameSource = open_source(video)
        self._source.close()
        self._is_searched = isinstance(self._source, ContainerSource) and self._open()

    @property
    def is_searched(self) -> bool:
        """Whether frames are found by their time, so that a jump costs no more than the way from a key frame."""
        return self._is_searched or isinstance(self._source, ImageSource)

    def image(self, position: int) -> RGBImage:
        """Return a frame.

        Args:
            position: Which of the result's frames, from 0.

        Returns:
            (H, W, 3) uint8 RGB, upright.

        Raises:
            InputError: If there is no such frame in the video.
        """
        if not 0 <= position < len(self._times):
            raise InputError(f"There is no frame {position}: the result has {len(self._times)}.")
        with self._lock:
            if position not in self._kept:
                self._find(position)
            frame = self._kept[position]
            self._kept.move_to_end(position)
            if isinstance(frame, VideoFrame):
                image = self._decoding.image_of(frame) if self._decoding else None
                if image is None:
                    raise self._missing(position)
                return image
            return frame

    def close(self) -> None:
        """Close the video; it opens again when a frame is asked for."""
        with self._lock:
            self._end()
            self._next, self._counted_to = len(self._times) + NEAR + 1, -1
            self._kept.clear()
            self._kept_bytes = 0
            self._counted = iter(())
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, position: int) -> None:
        """Put a frame among those that are kept."""
        if isinstance(self._source, ImageSource):
            index = int(self._indices[position])
            with open_source(self._video, start=index, stop=index + 1) as source:
                frame = next(iter(source), None)
            if frame is None:
                raise self._missing(position)
            self._keep(position, frame.image, frame.image.nbytes)
            return
        if self._is_searched:
            if self._search(position):
                return
            self._is_searched = False
            self._end()
        self._count(position)

    # -- by time ------------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        """Begin at the first frame; return False where stamps are no help."""
        self._end()
        path = self._video
        decoding = Decoding(
            Location(str(path.absolute()), label=printable(path.name), path=path, options=LOCAL_OPTIONS)
        )
        passing = (frame for _, frame in decoding.frames())
        first = next(passing, None)
        if (
            first is None
            or first.pts is None
            or first.time_base is None
            or decoding.container.format.flags & NO_TIMESTAMPS
            or decoding.container.format.name == "avi"
        ):
            decoding.close()
            return False
        self._decoding, self._origin = decoding, float(first.pts * first.time_base)
        self._passing = _chained(first, passing)
        self._next = 0
        return True

    def _end(self) -> None:
        self._passing = iter(())
        if self._decoding is not None:
            # Frames that are kept were decoded by it, and stay valid; what converts them goes.
            self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if isinstance(kept, np.ndarray))
            self._kept_bytes = sum(kept.nbytes for kept in self._kept.values() if isinstance(kept, np.ndarray))
            self._decoding.close()
            self._decoding = None

    def _time(self, frame: VideoFrame) -> float | None:
        if frame.pts is None or frame.time_base is None:
            return None
        return float(frame.pts * frame.time_base) - self._origin

    def _search(self, position: int) -> bool:
        """Decode up to a frame and keep those on the way; return False if no frame has its time."""
        target = float(self._times[position])
        if not 0 <= position - self._next <= NEAR and not self._jump(position):
            return False
        for frame in self._passing:
            time = self._time(frame)
            if time is None:
                return False
            near = int(np.searchsorted(self._times, time - SAME_TIME))
            if near < len(self._times) and abs(self._times[near] - time) <= SAME_TIME:
                self._keep(near, frame, _size_of(frame))
                self._next = near + 1
            if time >= target - SAME_TIME:
                return position in self._kept
        self._next = len(self._times) + NEAR  # At the end: whatever comes is behind.
        return position in self._kept

    def _jump(self, position: int) -> bool:
        """Go to a key frame that is not after a frame, however coarse the container's index is."""
        if self._decoding is None and not self._open():  # It was closed.
            return False
        target, back = float(self._times[position]), 0.0
        # Of what comes long before it, only what others are decoded from; the rest may be stepped back to.
        near = float(self._times[max(0, position - NEAR)])
        while target - back > 0:
            decoding = self._decoding
            assert decoding is not None
            base = decoding.stream.time_base
            if base is None:
                return False
            try:
                decoding.seek(int((target - back + self._origin + SAME_TIME) / base))
            except av.error.FFmpegError:
                break
            all_from = int((near + self._origin - SAME_TIME) / base)
            passing = (frame for _, frame in decoding.frames(all_from=all_from))
            # What comes before a key frame may lack what it refers to.
            first = next((frame for frame in passing if frame.key_frame), None)
            time = None if first is None else self._time(first)
            if first is not None and time is not None and time <= target + SAME_TIME:
                self._passing = _chained(first, passing)
                self._next = int(np.searchsorted(self._times, time - SAME_TIME))
                return True
            back = max(1.0, 3 * back)
        return self._open()

    # -- by counting --------------------------------------------------------------------------------------------------

    def _count(self, position: int) -> None:
        """Read on, or anew from the beginning, up to a frame."""
        if position <= self._counted_to:
            self._counted_to = -1
        if self._counted_to < 0:
            self._counted = iter(self._source)
        for frame in self._counted:
            near = int(np.searchsorted(self._indices, frame.index))
            self._counted_to = near
            if near < len(self._indices) and self._indices[near] == frame.index:
                self._keep(near, frame.image, frame.image.nbytes)
            if frame.index >= self._indices[position]:
                break
        if position not in self._kept:
            self._counted_to = -1
            raise self._missing(position)

    def _keep(self, position: int, frame: VideoFrame | RGBImage, size: int) -> None:
        if position in self._kept:
            return
        self._kept[position] = frame
        self._kept_bytes += size
        while self._kept_bytes > CACHED_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= _size_of(oldest) if isinstance(oldest, VideoFrame) else oldest.nbytes

    def _missing(self, position: int) -> InputError:
        return InputError(
            f"Frame {position} of the result is not in '{printable(self._video.name)}': this is another video, or it "
            "was changed."
        )


def _chained(first: VideoFrame, others: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    yield first
    yield from others


def _size_of(frame: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
