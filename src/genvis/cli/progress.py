"""One live line on the terminal for work with a known end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def live_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar with the time left on the error stream while something works; nothing where that is no terminal.

    Yields:
        The function to call with what is being done, how much of it is done, and the total.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield update
