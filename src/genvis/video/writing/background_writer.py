"""Drawing and encoding in a thread each, so that they overlap with one another and with the network's work."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from genvis.errors import InputError
from genvis.video.sources.source import RGBImage
from genvis.video.writing.video_writer import VideoWriter


class BackgroundWriter:
    """Draws and writes a video in two threads, in the order in which the frames are given.

    An error of either is raised at the next call. Leaving the ``with`` block writes what waits and finishes the
    video; after an error the part keeps all frames that were given.

    Args:
        writer: What writes; it belongs to this object from now on.
        waiting: How many frames wait at most, drawn or not; then `write` waits.

    Raises:
        InputError: If ``waiting`` is below 1.
    """

    def __init__(self, writer: VideoWriter, *, waiting: int = 4) -> None:
        if waiting < 1:
            raise InputError(f"At least 1 frame must be able to wait, not {waiting}.")
        self._writer = writer
        self._waiting = waiting
        self._drawing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer, drawing")
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer, encoding")
        self._pending: deque[Future[None]] = deque()

    def write(self, make_image: Callable[[], RGBImage], *, time: float) -> None:
        """Give the next frame.

        Args:
            make_image: Called in the thread that draws; returns the picture, (H, W, 3) uint8 RGB.
            time: Its seconds.

        Raises:
            OutputError: If an earlier frame could not be written.
            Exception: What ``make_image`` raised for an earlier frame.
        """
        while len(self._pending) >= self._waiting:
            self._pending.popleft().result()
        image = self._drawing.submit(make_image)
        self._pending.append(self._encoding.submit(self._write, image, time))

    def close(self) -> None:
        """Write what waits, and finish the video.

        Raises:
            OutputError: If that fails.
        """
        try:
            while self._pending:
                self._pending.popleft().result()
        except BaseException:
            self._encoding.shutdown(wait=False, cancel_futures=True)
            self._drawing.shutdown(cancel_futures=True)
            self._encoding.shutdown()
            self._writer.abandon()
            raise
        self._shut_down()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._shut_down()  # What waits is written first: it is done, after all.
        self._writer.abandon()

    def _shut_down(self) -> None:
        self._encoding.shutdown()
        self._drawing.shutdown()

    def _write(self, image: Future[RGBImage], time: float) -> None:
        self._writer.write(image.result(), time=time)
