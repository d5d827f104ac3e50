"""The queue: every job is a process of its own, that can be paused, cancelled and lost without harm to the server."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from genvis.app.hidden_paths import without_paths
from genvis.app.library import Library
from genvis.app.working.job_records import Job, JobKind, JobRecords, new_job
from genvis.errors import InputError

LOG = logging.getLogger("genvis.app")
MOST_WAITING = 200
MOST_KEPT = 500
# Segmenting takes all processors: one at a time. What the page waits for does not wait behind it.
LANES: dict[str, tuple[frozenset[JobKind], int]] = {
    "model": (frozenset({"segment"}), 1),
    "quick": (frozenset({"index", "review", "export", "append"}), 2),
}
# A worker stops after its clip, or when its file is written; one that does not is killed, and continues from what it
# kept 30 seconds before.
STOP_SECONDS = 60.0
WRITE_SECONDS = 5.0
LONGEST_LINE = 1 << 24
WORKER = (sys.executable, "-m", "genvis.app.working.worker")


class JobQueue:
    """Runs jobs and tells who listens.

    All of it happens in one event loop.

    Args:
        library: The folder.
        on_change: Called with a job whenever something about it changed.
        command: The worker.
    """

    def __init__(self, library: Library, *, on_change: Callable[[Job], None], command: Sequence[str] = WORKER) -> None:
        self._command = command
        self._library = library
        self._records = JobRecords(library.own / "jobs")
        self._jobs = {job.id: job for job in self._records.read_all()}
        self._tell = on_change
        self._running: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, Process] = {}
        self._wanted: dict[str, str] = {}
        self._is_closing = False

    def start(self) -> None:
        """Go on with what an earlier server left; call it in the event loop."""
        for job in self._jobs.values():
            if job.state in ("running", "pausing"):
                job.state = "queued" if job.state == "running" else "paused"
                self._records.write(job)
        self._next()

    async def close(self) -> None:
        """Let the running jobs keep what they have done, and end; a server that starts anew goes on with them."""
        self._is_closing = True
        for process in self._processes.values():
            _ask_to_stop(process)
        if self._running:
            await asyncio.wait(self._running.values(), timeout=STOP_SECONDS)
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=STOP_SECONDS)

    def jobs(self) -> list[Job]:
        """Return all jobs, oldest first."""
        return list(self._jobs.values())

    def job(self, identifier: str) -> Job | None:
        """Return a job; None if there is none of that identifier."""
        return self._jobs.get(identifier)

    def add(self, kind: JobKind, *, title: str, folder: str, work: dict[str, Any]) -> Job:
        """Put a job into the queue.

        Raises:
            InputError: If too many wait.
            OutputError: If its record cannot be written.
        """
        waiting = sum(not job.has_ended for job in self._jobs.values())
        if waiting >= MOST_WAITING:
            raise InputError(f"{waiting} jobs wait already: let some of them end first.")
        job = new_job(kind, title=title, folder=folder, work=work)
        self._records.write(job)
        self._jobs[job.id] = job
        ended = [old for old in self._jobs.values() if old.has_ended]
        # Nobody looks at these again; of the others the last ones are kept.
        passing = [old for old in ended if old.kind in ("index", "review") and old.kind == kind]
        for old in (*passing, *ended[: max(0, len(self._jobs) - MOST_KEPT)]):
            if old.id in self._jobs:
                self.forget(old)
        self._tell(job)
        self._next()
        return job

    def running_or_new(self, kind: JobKind, *, title: str, folder: str, work: dict[str, Any]) -> Job:
        """Return the job that does this already, or a new one."""
        for job in self._jobs.values():
            if job.kind == kind and job.work == work and not job.has_ended:
                return job
        return self.add(kind, title=title, folder=folder, work=work)

    def pause(self, job: Job) -> None:
        """Let a job stop after its clip; it keeps what is done."""
        if job.id in self._running:
            self._wanted[job.id] = "paused"
            self._set(job, state="pausing")
            self._stop(job)
        elif job.state == "queued":
            self._set(job, state="paused")

    def resume(self, job: Job) -> None:
        """Put a job that was paused, or failed, into the queue again; it goes on where it stopped."""
        if job.state in ("paused", "failed"):
            self._set(job, state="queued", error=None, ended=None)
            self._next()

    def cancel(self, job: Job) -> None:
        """End a job and throw away what it has done."""
        if job.has_ended:
            return
        if job.id in self._running:
            self._wanted[job.id] = "cancelled"
            self._set(job, state="pausing", phase="stopping")
            self._stop(job)
        else:
            self._end(job, "cancelled")

    def forget(self, job: Job) -> None:
        """Leave a job that ended out of the list; its outputs stay.

        Raises:
            InputError: If it has not ended.
        """
        if not job.has_ended:
            raise InputError(f"'{job.title}' has not ended: cancel it first.")
        self._records.remove(job)
        del self._jobs[job.id]

    def _set(self, job: Job, **values: Any) -> None:
        for name, value in values.items():
            setattr(job, name, value)
        self._records.write(job)
        self._tell(job)

    def _next(self) -> None:
        """Start what may start."""
        if self._is_closing:
            return
        for kinds, most in LANES.values():
            running = sum(self._jobs[identifier].kind in kinds for identifier in self._running)
            for job in list(self._jobs.values()):
                if running >= most:
                    break
                if job.kind in kinds and job.state == "queued" and job.id not in self._running:
                    self._running[job.id] = asyncio.create_task(self._run(job))
                    running += 1

    def _stop(self, job: Job) -> None:
        process = self._processes.get(job.id)
        if process is not None:
            _ask_to_stop(process)
            asyncio.get_running_loop().call_later(STOP_SECONDS, _kill, process)

    async def _run(self, job: Job) -> None:
        try:
            await self._wait_for_predecessor(job)
            await self._work(job)
        except Exception:
            LOG.exception("The job '%s' could not be run.", job.title)
            self._set(job, state="failed", error="The job could not be started; the terminal says why.")
        finally:
            self._running.pop(job.id, None)
            self._processes.pop(job.id, None)
            self._wanted.pop(job.id, None)
            self._next()

    async def _wait_for_predecessor(self, job: Job) -> None:
        """Wait for the process of a server that was killed: it notices, and keeps what it has done."""
        if job.process is None:
            return
        number, began = job.process
        self._set(job, phase="waiting for the earlier process to end")
        deadline = time.monotonic() + STOP_SECONDS
        while _runs(number, began):
            if time.monotonic() > deadline:
                with suppress(psutil.Error):
                    psutil.Process(number).kill()
            await asyncio.sleep(0.2)

    async def _work(self, job: Job) -> None:
        if job.id in self._wanted:  # Asked for while it waited for its predecessor.
            self._end(job, self._wanted[job.id])
            return
        if self._is_closing:
            return
        spec = {"kind": job.kind, "root": str(self._library.root), "folder": job.folder, "work": job.work}
        with self._records.log_file(job).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                limit=LONGEST_LINE,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._processes[job.id] = process
        assert process.stdin is not None
        assert process.stdout is not None
        began = _began(process.pid)
        state = "pausing" if job.id in self._wanted else "running"
        self._set(job, state=state, started=time.time(), ended=None, error=None, process=(process.pid, began))
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(spec).encode() + b"\n")
            await process.stdin.drain()
        if self._is_closing or job.id in self._wanted:  # Asked for while it was started.
            _ask_to_stop(process)
        outcome: dict[str, Any] = {}
        written = time.monotonic()
        async for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if message.get("event") == "progress":
                for name in ("phase", "done", "total", "rate", "objects"):
                    setattr(job, name, message.get(name))
                if time.monotonic() - written > WRITE_SECONDS:
                    written = time.monotonic()
                    self._records.write(job)
                self._tell(job)
            else:
                outcome = message
        status = await process.wait()
        job.process = None
        self._finish(job, outcome, status)

    def _finish(self, job: Job, outcome: dict[str, Any], status: int) -> None:
        wanted = self._wanted.get(job.id)
        event = outcome.get("event")
        if event == "done":
            job.outputs, job.answer = outcome.get("outputs", []), outcome.get("answer", {})
            job.error = self._plain(outcome.get("problem"))
            self._end(job, "done")
            self._library.forget()
        elif event == "error":
            job.error = self._plain(outcome.get("sentence"))
            self._end(job, "failed" if wanted is None else wanted)
        elif wanted is not None:
            self._end(job, wanted)
        elif self._is_closing:
            self._set(job, state="queued", rate=None)
        elif event == "stopped":
            self._end(job, "paused")
        else:
            tail = _tail(self._records.log_file(job))
            LOG.error("The process of the job '%s' ended with status %s: %s", job.title, status, tail)
            job.error = f"Its process ended unexpectedly (status {status}). 'Resume' goes on from what it kept."
            self._end(job, "failed")

    def _plain(self, sentence: str | None) -> str | None:
        return None if sentence is None else without_paths(sentence, self._library.root)

    def _end(self, job: Job, state: str) -> None:
        if state == "cancelled" and job.kind in ("segment", "export"):
            self._library.remove_own(self._library.below(job.folder))
        self._set(job, state=state, ended=time.time(), rate=None, phase="")


def job_to_page(job: Job) -> dict[str, Any]:
    """Return what the page is told of a job."""
    entry = asdict(job)
    for name in ("work", "process", "folder", "outputs"):
        del entry[name]
    left = None
    if job.state == "running" and job.rate and job.total:
        left = max(0.0, (job.total - job.done) / job.rate)
    shown: list[str] = ["model", "options", "formats"]
    options = {name: job.work[name] for name in shown if name in job.work}
    result = job.work.get("result_id")
    return {**entry, "left": left, "result": result, **options, "files": [Path(name).name for name in job.outputs]}


def _ask_to_stop(process: Process) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.close()  # The worker takes the end of its input for a request.


def _kill(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()


def _began(number: int) -> float:
    try:
        return float(psutil.Process(number).create_time())
    except psutil.Error:
        return 0.0


def _runs(number: int, began: float) -> bool:
    try:
        process = psutil.Process(number)
        return abs(process.create_time() - began) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-2000:]
    except OSError:
        return ""
