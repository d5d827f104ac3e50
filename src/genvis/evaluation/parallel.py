"""Work on many videos in several processes."""

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from genvis.errors import GenVISError

_T = TypeVar("_T")

# Videos handed to a process at a time.
_CHUNK = 2

_work: Callable[[int], Any] | None = None


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_videos(work: Callable[[int], _T], videos: Sequence[int], *, workers: int) -> Iterator[_T]:
    """Call ``work`` for each video and yield what it returns, in order.

    Processes are forks, which see the annotations and results of their parent without a copy. Where the system has no
    safe fork (Windows, macOS), or this process may not have children, the work is done here.

    Args:
        work: Called with each of ``videos``; what it returns is sent between processes.
        videos: Their positions.
        workers: Processes; 1 works here.

    Raises:
        GenVISError: If a process was killed.
    """
    if workers < 2 or not sys.platform.startswith("linux") or multiprocessing.current_process().daemon:
        yield from map(work, videos)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(work,)) as pool:
        try:
            yield from pool.map(_call, videos, chunksize=_CHUNK)
        except BrokenProcessPool:
            raise GenVISError(
                f"One of {workers} processes of the evaluation was killed, perhaps for want of memory: use fewer, with "
                "--workers."
            ) from None


def _start(work: Callable[[int], Any]) -> None:
    global _work  # noqa: PLW0603 - what a process works on, set once when it starts
    _work = work
    # The garbage collector would write to all that the parent has in memory, and so copy it.
    gc.freeze()


def _call(video: int) -> Any:
    assert _work is not None
    return _work(video)
