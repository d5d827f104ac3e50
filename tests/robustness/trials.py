"""One trial: a fork of a warm process runs a piece of work under limits, and may be killed at any moment.

Importing torch takes seconds, a trial takes milliseconds: the campaign's process imports everything once, stays
single-threaded, and forks for every trial. The fork is a process group of its own, so that nothing outlives a trial.
"""

import atexit
import contextlib
import faulthandler
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

Work = Callable[[], int | None]
Hook = Callable[[str, tuple[Any, ...]], None]
OUTPUT_KEPT = 20_000  # characters of what a trial printed
WATCH_SECONDS = 0.2
LITTLE = 0.05  # of a processor: one that only asks again and again whether it may go on stands still
LONGEST_STEP = 1.0
LONGEST = 30  # times the limit: whatever the others do
_numbers = count()

FILE_EVENTS = frozenset(
    ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree")
)
"""Audit events of Python that stand for one step of writing files."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a trial may use.

    Attributes:
        seconds: A trial hangs that takes longer: of processor time, or of time in which it stands still. Time in which
            it waits for a processor or a disk that others keep busy does not count.
        memory: Bytes of address space on top of those of the warm process.
        file_bytes: Size that no file may exceed; writing more fails as on a full disk. None is no limit.
    """

    seconds: float = 60.0
    memory: int = 4 << 30
    file_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Kill:
    """When a trial is killed: after a time, or just before its n-th step on files that are written.

    Attributes:
        seconds: Time from the start, or None.
        file_step: Which step on files, counted from 1, or None.
    """

    seconds: float | None = None
    file_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: Exit status; None if a signal ended it.
        signal: The signal that ended it, or None.
        was_killed: Whether that was the kill that the trial asked for.
        hung: Whether it had to be ended because its time was over.
        seconds: How long it took.
        stdout: What it printed.
        stderr: What it printed as errors.
    """

    status: int | None
    signal: int | None
    was_killed: bool
    hung: bool
    seconds: float
    stdout: str
    stderr: str

    def problem(self, statuses: tuple[int, ...] = (0, 1, 2)) -> str | None:
        """Return what is wrong with it, or None: hangs, crashes, tracebacks, other statuses, silent failures."""
        if self.hung:
            return f"hung for {self.seconds:.0f} s"
        if self.signal is not None and not self.was_killed:
            return f"crashed with {signal.Signals(self.signal).name}"
        for text in (self.stderr, self.stdout):
            if "Traceback (most recent call last)" in text:
                return f"traceback: {text.strip().splitlines()[-1][:200]}"
        if self.status is not None and self.status not in statuses:
            return f"status {self.status}, expected one of {', '.join(map(str, statuses))}"
        if self.status and not (self.stderr.strip() or self.stdout.strip()):
            return f"status {self.status} without a word"
        return None


class Running:
    """A trial that goes on.

    Args:
        work: Returns the exit status; what it prints is captured.
        folder: Working directory; its parent gets the captured output, as hidden files.
        limits: What it may use.
        kill: When it is killed, if at all.
        faults: Called with every audit event of Python in the trial; may raise an OSError in its place.
    """

    def __init__(
        self,
        work: Work,
        *,
        folder: Path,
        limits: Limits | None = None,
        kill: Kill | None = None,
        faults: Hook | None = None,
    ) -> None:
        self._limits, self._kill = limits or Limits(), kill or Kill()
        number = next(_numbers)
        self._captured = [folder.parent / f".{folder.name}.{number}.{name}" for name in ("stdout", "stderr")]
        sys.stdout.flush()
        sys.stderr.flush()
        self._began = time.monotonic()
        self._child = os.fork()
        if self._child == 0:
            hooks = [hook for hook in (faults, _killer(self._kill.file_step)) if hook is not None]
            _child(work, folder, self._captured, self._limits, hooks)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(self._child, self._child)  # Here too: a kill may come before the child has come that far.

    def finish(self, *beside: "Running") -> Outcome:
        """Wait for the end, or kill the trial when its time has come.

        Args:
            *beside: Trials that this one may wait for: while they go on, it does not stand still.
        """
        asked = self._kill.seconds is not None
        if self._kill.seconds is not None:
            in_time = _wait(self._child, self._began + self._kill.seconds)
        else:
            watch = HangWatch([self._child, *(other._child for other in beside)])
            while not (in_time := _wait(self._child, time.monotonic() + WATCH_SECONDS)):
                if watch.hangs(self._limits.seconds):
                    break
        _kill_group(self._child)
        _, code = os.waitpid(self._child, 0)
        _kill_group(self._child)  # What it started may have outlived it.
        number = os.WTERMSIG(code) if os.WIFSIGNALED(code) else None
        hung = not in_time and not asked
        killed = number == signal.SIGKILL and (asked if not in_time else self._kill.file_step is not None)
        stdout, stderr = map(_printed, self._captured)
        for path in self._captured:
            path.unlink(missing_ok=True)
        return Outcome(
            status=None if number is not None else os.WEXITSTATUS(code),
            signal=number,
            was_killed=killed,
            hung=hung,
            seconds=time.monotonic() - self._began,
            stdout=stdout,
            stderr=stderr,
        )


class HangWatch:
    """Tells a trial that hangs from one that is slow because others keep the machine busy.

    Args:
        groups: Process groups; the first is the trial's own, the others are those that it may wait for.
    """

    def __init__(self, groups: list[int]) -> None:
        self._groups = groups
        self._began = self._seen = time.monotonic()
        self._used = sum(activity(group)[0] for group in groups)
        self._still = 0.0

    def hangs(self, seconds: float) -> bool:
        """Return whether the trial used so much processor time, or stood still for so long; to be asked often."""
        now, activities = time.monotonic(), [activity(group) for group in self._groups]
        passed, used = now - self._seen, sum(processor for processor, _ in activities)
        if used - self._used < LITTLE * passed and not any(is_busy for _, is_busy in activities):
            self._still += min(passed, LONGEST_STEP)  # Unless all was stopped for a while, with the campaign.
        self._seen, self._used = now, used
        lasted = now - self._began
        return activities[0][0] > seconds or self._still > seconds or lasted > LONGEST * seconds


def activity(group: int) -> tuple[float, bool]:
    """Return what a process group does.

    Returns:
        Seconds of processor time that it and its ended children used, and whether one of its threads runs now, or
        waits for a processor or a disk.
    """
    used, is_busy = 0, False
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # It has ended.
            # What precedes the last bracket is the number and the name; fields of proc(5) follow from the third on.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                used += sum(map(int, fields[11:15]))
                for thread in (process / "task").iterdir():
                    is_busy = is_busy or (thread / "stat").read_text().rpartition(")")[2].split()[0] in "RD"
    return used / os.sysconf("SC_CLK_TCK"), is_busy


def _printed(path: Path) -> str:
    """Return what a trial printed to a file, which is not there if it was killed before its first step."""
    return path.read_text(encoding="utf-8", errors="replace")[-OUTPUT_KEPT:] if path.exists() else ""


def run_trial(
    work: Work, *, folder: Path, limits: Limits | None = None, kill: Kill | None = None, faults: Hook | None = None
) -> Outcome:
    """Run ``work`` in a fork, in ``folder``, and wait for its end; the arguments are those of `Running`."""
    return Running(work, folder=folder, limits=limits, kill=kill, faults=faults).finish()


def count_file_steps(work: Work, *, folder: Path, limits: Limits | None = None) -> tuple[Outcome, int]:
    """Run a trial and return how many steps on written files it made, for `Kill.file_step`."""
    steps_file = folder.parent / f".{folder.name}.steps"

    def counted() -> int | None:
        steps = [0]
        sys.addaudithook(lambda event, arguments: steps.__setitem__(0, steps[0] + is_file_step(event, arguments)))
        try:
            return work()
        finally:
            steps_file.write_text(str(steps[0]))

    outcome = run_trial(counted, folder=folder, limits=limits)
    return outcome, int(steps_file.read_text())


def _wait(child: int, deadline: float) -> bool:
    """Return whether the child ended before the deadline; it is not reaped."""
    descriptor = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(descriptor)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _child(work: Work, folder: Path, captured: list[Path], limits: Limits, hooks: list[Hook]) -> None:
    """Never returns: the end of a fork must not run the campaign's own code."""
    status = 70
    try:
        os.setpgid(0, 0)
        atexit._clear()  # What the campaign wants to do at its own end.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(captured, start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(folder)
        faulthandler.enable(all_threads=False)
        _limit(limits)
        for hook in hooks:
            sys.addaudithook(hook)
        status = _run_as_program(work)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _run_as_program(work: Work) -> int:
    """Do what the interpreter does around a program: print tracebacks, wait for threads, flush."""
    try:
        status = work() or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        return 120
    return status


def _limit(limits: Limits) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limits.memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2)


def _killer(step: int | None) -> Hook | None:
    if step is None:
        return None
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if is_file_step(event, arguments):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def is_file_step(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event is a step on files that are written."""
    if event != "open":
        return event in FILE_EVENTS
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
