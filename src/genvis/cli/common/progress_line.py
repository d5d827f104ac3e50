"""One live line of progress: a bar on a terminal, a plain line every 30 seconds where the output is a file or pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from genvis.cli.common.console import Console
from genvis.memory import used_memory

PLAIN_SECONDS = 30.0


class RateColumn(ProgressColumn):
    """Units of work per second, of the last seconds."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        unit, speed = task.fields["unit"], task.finished_speed or task.speed
        return Text(f"{speed:.1f} {unit}/s" if unit and speed else "")


class ProgressLine:
    """Live line of one piece of work after another.

    Args:
        console: Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.fields[of]}"),
            RateColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began = self._told = time.monotonic()

    def show(self, work: str, done: int, total: int | None, *, unit: str = "", note: str = "") -> None:
        """Show how far a piece of work is.

        Args:
            work: What is done; a new text begins a new piece.
            done: How much of it is done.
            total: Of how much; None if that is not known.
            unit: What is counted, for the rate: ``"frames"``.
            note: What else is worth knowing, for example ``"3 objects"``.
        """
        of = "?" if total is None else str(total)
        if work not in self._tasks:
            for task in self._tasks.values():
                self._bar.update(task, visible=False)
            self._tasks[work] = self._bar.add_task(escape(work), total=total, of=of, unit=unit, note=note)
            self._began = self._told = time.monotonic()
        self._bar.update(self._tasks[work], completed=done, total=total, of=of, note=note)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told >= PLAIN_SECONDS:
            self._told = now
            rate = done / (now - self._began)
            left = f", {(total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
            words = f"{work}: {done}/{of} {unit}, {rate:.1f}/s{left}" + (f", {note}" if note else "")
            self._console.print(words, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


@contextmanager
def live_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a live line on the error stream while something works.

    Yields:
        The function to call with what is being done, how much of it is done, and the total.
    """
    with ProgressLine(Console(stderr=True)) as line:
        yield line.show


def memory_used() -> str:
    """Return the memory that this process uses now, in words."""
    used = used_memory()
    return f"{used / 1e9:.1f} GB" if used > 1e9 else f"{used / 1e6:.0f} MB"
