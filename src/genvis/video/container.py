"""Video files, cameras and network streams as sources."""

from collections.abc import Iterator
from functools import partial

from genvis.video.decoding import Decoding, Location, orientation, upright
from genvis.video.source import FrameRange, FrameSource, Pending


class ContainerSource(FrameSource):
    """Whatever FFmpeg opens.

    The display matrix (rotation and mirroring, as telephones write it) is applied, and times are the stream's own, so
    variable frame rates stay. What is damaged is left out, the rest is delivered, and ``problem`` says what is missing.

    Args:
        location: What to open.
        name: Name of the video.
        frames: Which frames to take.

    Raises:
        InputError: If it cannot be opened or holds no video.
    """

    def __init__(self, location: Location, *, name: str, frames: FrameRange) -> None:
        super().__init__(name=name, frames=frames)
        self._location = location
        self._pass = Decoding(location)
        self._is_live = location.live or (location.timeout is not None and self._pass.announced_seconds is None)
        self._rate = self._pass.average_rate
        self._total = self._estimate_frames()
        # The first frame tells the size for certain; it is kept for the first iteration.
        self._decoded = self._pass.frames()
        self._ahead = next(self._decoded, None)
        self._size = self._first_size()
        self._is_fresh = True

    @property
    def total_frames(self) -> int | None:
        """Frames as the container states them, or duration times average rate."""
        return self._total

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the first frame, upright."""
        return self._size

    @property
    def frame_rate(self) -> float | None:
        """Average frames per second."""
        return self._rate

    @property
    def is_live(self) -> bool:
        """Whether it is a camera or an endless stream."""
        return self._is_live

    def close(self) -> None:
        """Close the file, camera or connection; a file opens again when it is iterated again."""
        self._is_fresh = False
        self._ahead = None
        self._pass.close()

    def _estimate_frames(self) -> int | None:
        if self._is_live:
            return None
        seconds = self._pass.announced_seconds
        return self._pass.stream.frames or (max(1, round(seconds * self._rate)) if seconds and self._rate else None)

    def _first_size(self) -> tuple[int, int] | None:
        if self._ahead is None:
            return None
        frame = self._ahead[1]
        return (frame.width, frame.height) if orientation(frame)[0] else (frame.height, frame.width)

    def _read(self) -> Iterator[Pending]:
        if not self._is_fresh:
            if self._is_live:
                self._damage.ending = f"'{self._location.label}' is live and has been read already."
                return
            self._pass.close()
            self._pass = Decoding(self._location)
            self._decoded = self._pass.frames()
            self._ahead = next(self._decoded, None)
        self._is_fresh = False
        current, count = self._pass, 0
        try:
            while self._ahead is not None:
                time, frame = self._ahead
                self._ahead = None
                yield Pending(count, time, f"{count:05d}", partial(upright, frame, current.reformatter))
                count += 1
                self._ahead = next(self._decoded, None)
            self._damage.ending = current.ending(frames=count, live=self._is_live)
        finally:
            self._damage.skipped += [f"near {second:.2f} s" for second in current.damaged]
            current.close()
