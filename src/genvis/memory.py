"""Memory of this process, on every system."""

import sys

import psutil


def used_memory() -> int:
    """Return the memory that this process holds now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
