"""Who holds a claim: a process of a machine, which may have died since."""

import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Owner:
    """One process.

    Attributes:
        host: The machine, or container, as far as its processes see each other.
        pid: Its number there.
        began: When it started, in seconds; numbers are used again.
    """

    host: str
    pid: int
    began: float

    def to_json(self) -> dict[str, Any]:
        """Return the owner as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> "Owner":
        """Return the owner that :meth:`to_json` turned into values; one that nobody can be if they are damaged."""
        try:
            return cls(str(document["host"]), int(document["pid"]), float(document["began"]))
        except (KeyError, TypeError, ValueError):
            return cls("", -1, 0.0)

    def is_alive(self) -> bool | None:
        """Whether the process is still there; None if that cannot be seen from here."""
        if self.host != this_host():
            return None
        try:
            return abs(psutil.Process(self.pid).create_time() - self.began) < 2 and not _is_zombie(self.pid)
        except (psutil.NoSuchProcess, ValueError):
            return False
        except psutil.AccessDenied:
            return True


def _is_zombie(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def this_process() -> Owner:
    """Return the process that asks."""
    process = psutil.Process()
    return Owner(this_host(), process.pid, process.create_time())


@cache
def this_host() -> str:
    """Return the name of the machine with what tells it from containers, and reboots, of the same name."""
    parts = [platform.node()]
    for read in (lambda: Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()[:8], _process_space):
        try:
            parts.append(read())
        except OSError:  # Systems without it.
            continue
    return "/".join(parts)


def _process_space() -> str:
    return os.readlink("/proc/self/ns/pid").removeprefix("pid:[").removesuffix("]")
