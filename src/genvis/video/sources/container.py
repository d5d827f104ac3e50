"""Video files, cameras and network streams as sources."""

from collections.abc import Generator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from genvis.video.sources.decoding import Decoding, Location
from genvis.video.sources.frame_conversion import orientation
from genvis.video.sources.reconnection import DEFAULT_ATTEMPTS, Reconnection, Tell
from genvis.video.sources.source import FrameRange, FrameSource, Pending, RGBImage, counted

MOST_OUTAGES = 5


class ContainerSource(FrameSource):
    """Whatever FFmpeg opens.

    The display matrix (rotation and mirroring, as telephones write it) is applied, and times are the stream's own, so
    variable frame rates stay. What is damaged is left out, the rest is delivered, and ``problem`` says what is missing.

    Args:
        location: What to open.
        name: Name of the video.
        frames: Which frames to take.
        reconnect: How often in a row a live source that drops or stalls is connected to again.
        on_drop: Called, in the thread that reads, with a sentence whenever it does.

    Raises:
        InputError: If it cannot be opened or holds no video.
    """

    def __init__(
        self,
        location: Location,
        *,
        name: str,
        frames: FrameRange,
        reconnect: int = DEFAULT_ATTEMPTS,
        on_drop: Tell | None = None,
    ) -> None:
        super().__init__(name=name, frames=frames)
        self._location = location
        self._reconnection = Reconnection(location, attempts=reconnect, tell=on_drop)
        self._ahead: tuple[float, VideoFrame] | None = None
        self._begin(Decoding(location))
        self._is_live = location.live or (location.timeout is not None and self._pass.announced_seconds is None)
        self._rate = self._pass.average_rate
        self._total = None if self._is_live else self._pass.announced_frames
        self._is_turned = False
        self._size = self._first_size()
        self._leading = 0
        # By its first frame a recording is known that begins anew where a live source would go on.
        self._first_image = self._image_ahead() if self._is_live else None
        self._is_fresh = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The video file; none for cameras and streams."""
        return () if self._location.path is None else (self._location.path,)

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
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel divided by its height, upright."""
        aspect = self._pass.pixel_aspect
        return 1 / aspect if self._is_turned else aspect

    @property
    def is_live(self) -> bool:
        """Whether it is a camera or an endless stream."""
        return self._is_live

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to frames, and when a live source was away."""
        outages = self._reconnection.outages
        notes = super().notes
        if self._leading and not self._is_live:
            pictures = counted(self._leading, "picture")
            notes = (
                *notes,
                f"'{self.name}' begins between two key frames: what comes before is left out ({pictures}).",
            )
        if not outages:
            return notes
        moments = ", ".join(f"at {second:.2f} s for {length:.1f} s" for second, length in outages[:MOST_OUTAGES])
        more = f" and {len(outages) - MOST_OUTAGES} times more" if len(outages) > MOST_OUTAGES else ""
        return (*notes, f"'{self._location.label}' dropped {moments}{more}, and was connected to again.")

    def close(self) -> None:
        """Close the file, camera or connection; a file opens again when it is iterated again."""
        self._is_fresh = False
        self._end_pass()

    def _begin(self, decoding: Decoding) -> None:
        self._pass = decoding
        self._decoded = decoding.frames()
        # The first frame tells the size for certain; it is kept for the iteration.
        self._ahead = next(self._decoded, None)

    def _end_pass(self) -> None:
        self._ahead = None
        self._decoded.close()
        self._pass.close()

    def _image_ahead(self) -> RGBImage | None:
        return None if self._ahead is None else self._pass.image_of(self._ahead[1])

    def _first_size(self) -> tuple[int, int] | None:
        if self._ahead is None:
            return None
        frame = self._ahead[1]
        self._is_turned = orientation(frame)[0]
        return (frame.width, frame.height) if self._is_turned else (frame.height, frame.width)

    def _read(self) -> Generator[Pending, None, None]:
        if not self._is_fresh:
            if self._is_live:
                self._damage.ending = f"'{self._location.label}' is live and has been read already."
                return
            self._end_pass()
            self._begin(Decoding(self._location))
        self._is_fresh = False
        count = 0
        while True:
            current = self._pass
            try:
                while self._ahead is not None:
                    time, frame = self._ahead
                    self._ahead = None
                    yield Pending(count, time, f"{count:05d}", partial(current.image_of, frame))
                    count += 1
                    self._ahead = next(self._decoded, None)
                ending = current.ending(frames=count, live=self._is_live)
            finally:
                self._note_losses(current)
                self._end_pass()
            if not self._is_live or ending is None or not self._is_back(ending, now=current.now):
                break
        if ending is not None and self._is_live:
            ending += self._reconnection.failure()
        self._damage.ending = ending

    def _note_losses(self, decoding: Decoding) -> None:
        self._damage.skipped += [f"near {second:.2f} s" for second in decoding.losses.damaged]
        self._damage.incomplete += [f"at {second:.2f} s" for second in decoding.losses.incomplete]
        self._leading = decoding.losses.leading

    def _is_back(self, ending: str, *, now: float) -> bool:
        """Wait until a live source that dropped goes on; False if it does not."""
        for decoding in self._reconnection.connections(ending=ending, now=now):
            self._begin(decoding)
            if self._ahead is None:
                decoding.close()
            elif self._is_the_beginning():
                self._reconnection.refuse("it sent the same video from its beginning, so it is a recording.")
                decoding.close()
                return False
            else:
                self._reconnection.succeed()
                return True
        return False

    def _is_the_beginning(self) -> bool:
        image = self._image_ahead()
        return image is not None and self._first_image is not None and np.array_equal(image, self._first_image)

    def interrupt(self) -> None:
        """End a wait for a live source that dropped."""
        self._reconnection.stop()
