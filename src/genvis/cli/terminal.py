"""What a person sees while a verb works: one live line, and a clean stop."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from genvis.memory import used_memory


class FrameRateColumn(ProgressColumn):
    """Frames per second, of the last seconds."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} frames/s" if speed else "- frames/s")


def video_progress(console: Console) -> Progress:
    """Return the live line of a video: bar, frames, frames/s, time left, objects, memory.

    Its tasks need the fields ``objects`` and ``memory``.
    """
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.fields[frames]}"),
        FrameRateColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[objects]} objects"),
        TextColumn("{task.fields[memory]}"),
        console=console,
        transient=True,
    )


def memory_used() -> str:
    """Return the memory that this process uses now, for the live line."""
    used = used_memory()
    return f"{used / 1e9:.1f} GB" if used > 1e9 else f"{used / 1e6:.0f} MB"


class StopRequest:
    """Whether the user, or the system, asked to stop.

    Attributes:
        is_requested: Set by the first signal; a second one interrupts at once.
    """

    def __init__(self) -> None:
        self.is_requested = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.is_requested

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
        print("\nStopping after this clip; what is done will be written. Once more stops at once.", file=sys.stderr)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn Ctrl-C and termination into a request that is heeded between two clips."""
    request = StopRequest()
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, request.handle) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
