"""Reading ahead in a thread, so that decoding and the network's work overlap."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from threading import Condition, Thread

from genvis.errors import InputError
from genvis.video.sources.source import Frame, FrameSource, Pending

JOIN_SECONDS = 5.0
ASK_SECONDS = 0.2


def prefetch(
    source: FrameSource, *, size: int = 4, drop_late: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> "PrefetchedSource":
    """Read a source ahead in a thread.

    Errors of the source are raised where the frames are taken. The thread ends when the last frame is taken, when the
    iterator is closed or dropped, and when the source is closed.

    Args:
        source: The source; it is closed with the result.
        size: How many frames wait at most.
        drop_late: Whether the oldest waiting frame gives way when a new one comes: what a camera needs whose frames
            come faster than they are worked on. Otherwise reading waits.
        should_stop: Asked several times a second while no frame comes; True ends the iteration.

    Returns:
        A source with the same frames and properties.

    Raises:
        InputError: If ``size`` is below 1.
    """
    return PrefetchedSource(source, size=size, drop_late=drop_late, should_stop=should_stop)


class PrefetchedSource(FrameSource):
    """A source that is read ahead; see :func:`prefetch`.

    Attributes:
        dropped: Frames that gave way in the current or last iteration.
    """

    def __init__(self, source: FrameSource, *, size: int, drop_late: bool, should_stop: Callable[[], bool]) -> None:
        if size < 1:
            raise InputError(f"At least 1 frame must be read ahead, not {size}.")
        super().__init__(name=source.name, frames=source.frames)
        self.dropped = 0
        self._source = source
        self._capacity = size
        self._drop_late = drop_late
        self._should_stop = should_stop
        self._reader: _Reader | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the source."""
        return self._source.files

    @property
    def total_frames(self) -> int | None:
        """As the source's."""
        return self._source.total_frames

    @property
    def size(self) -> tuple[int, int] | None:
        """As the source's."""
        return self._source.size

    @property
    def frame_rate(self) -> float | None:
        """As the source's."""
        return self._source.frame_rate

    @property
    def pixel_aspect(self) -> Fraction:
        """As the source's."""
        return self._source.pixel_aspect

    @property
    def is_live(self) -> bool:
        """As the source's."""
        return self._source.is_live

    @property
    def problem(self) -> str | None:
        """As the source's."""
        return self._source.problem

    @property
    def notes(self) -> tuple[str, ...]:
        """As the source's, and how many frames were dropped because they came too fast."""
        if not self.dropped:
            return self._source.notes
        return (*self._source.notes, f"{self.dropped} frames of '{self.name}' came too fast and were left out.")

    def __iter__(self) -> Iterator[Frame]:
        self._stop()
        self.dropped = 0
        self._reader = reader = _Reader(self._source, capacity=self._capacity, drop_late=self._drop_late)
        try:
            while (frame := reader.take(self._should_stop)) is not None:
                yield frame
        finally:
            reader.stop()
            self.dropped = reader.dropped

    def interrupt(self) -> None:
        """End a wait for a live source that dropped."""
        self._source.interrupt()

    def close(self) -> None:
        """Stop reading ahead and close the source."""
        # A thread that still hangs in a read closes the connection itself when the read returns.
        if self._stop():
            self._source.close()

    def _stop(self) -> bool:
        reader, self._reader = self._reader, None
        return reader is None or reader.stop()

    def _read(self) -> Generator[Pending, None, None]:
        raise NotImplementedError("a prefetched source iterates its own source")


class _Reader:
    """The thread of one iteration, and the frames that wait."""

    def __init__(self, source: FrameSource, *, capacity: int, drop_late: bool) -> None:
        self.dropped = 0
        self._source = source
        self._waiting: deque[Frame] = deque()
        self._capacity = capacity
        self._drop_late = drop_late
        self._changed = Condition()
        self._is_stopped = False
        self._is_finished = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"read {source.name}", daemon=True)
        self._thread.start()

    def take(self, should_stop: Callable[[], bool]) -> Frame | None:
        """Wait for the next frame; None after the last one, or if the wait is to stop."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._waiting or self._is_finished, ASK_SECONDS):
                if should_stop():
                    return None
            if self._waiting:
                frame = self._waiting.popleft()
                self._changed.notify_all()
                return frame
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def stop(self) -> bool:
        """End the thread and say whether it has ended: one that waits for a dead connection does so at its timeout."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        self._source.interrupt()
        self._thread.join(JOIN_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        frames = iter(self._source)
        try:
            for frame in frames:
                if not self._put(frame):
                    break
        except BaseException as error:  # handed over to the consumer
            self._error = error
        finally:
            if hasattr(frames, "close"):
                frames.close()
            with self._changed:
                self._is_finished = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        with self._changed:
            if self._drop_late and len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._is_stopped or len(self._waiting) < self._capacity)
            if self._is_stopped:
                return False
            self._waiting.append(frame)
            self._changed.notify_all()
        return True
