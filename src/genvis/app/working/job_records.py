"""Records of jobs, one small file each, that outlive the server."""

import secrets
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from genvis.errors import InputError
from genvis.files import make_folder, read_json_object, write_json

JobKind = Literal["segment", "index", "review", "export", "append"]
JobState = Literal["queued", "running", "pausing", "paused", "done", "failed", "cancelled"]
ENDED: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})


@dataclass
class Job:
    """One piece of work.

    Attributes:
        id: Its identifier.
        kind: What is done.
        title: What the page calls it: the name of the video or result.
        folder: Where the outputs go, from the folder that is served.
        work: What the worker needs to know; names of files are given from the folder that is served.
        state: How it is.
        created: When it was asked for, in seconds since 1970.
        started: When it was started last; None before.
        ended: When it ended; None before.
        phase: What is done at the moment, in words.
        done: Frames, or other steps, that are done.
        total: Of how many; None if nobody knows.
        rate: Frames per second at the moment.
        objects: Tracks so far.
        error: Why it failed, or what is incomplete.
        outputs: Files that it made, from its folder.
        answer: What else it found out.
        process: Number of its process while it runs, and when that began, so that a new server waits for its end.
    """

    id: str
    kind: JobKind
    title: str
    folder: str
    work: dict[str, Any]
    state: JobState = "queued"
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    phase: str = ""
    done: int = 0
    total: int | None = None
    rate: float | None = None
    objects: int | None = None
    error: str | None = None
    outputs: list[str] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    process: tuple[int, float] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


def new_job(kind: JobKind, *, title: str, folder: str, work: dict[str, Any]) -> Job:
    """Return a job that waits for its turn."""
    return Job(id=secrets.token_hex(9), kind=kind, title=title, folder=folder, work=work, created=time.time())


class JobRecords:
    """The records in a folder.

    Args:
        folder: Made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)

    def write(self, job: Job) -> None:
        """Write a record; it is whole on the disk when this returns.

        Raises:
            OutputError: If it cannot be written.
        """
        write_json(self._folder / f"{job.id}.json", asdict(job))

    def remove(self, job: Job) -> None:
        """Remove a record."""
        for suffix in (".json", ".log"):
            (self._folder / f"{job.id}{suffix}").unlink(missing_ok=True)

    def log_file(self, job: Job) -> Path:
        """Return where the messages of a job's process go."""
        return self._folder / f"{job.id}.log"

    def read_all(self) -> list[Job]:
        """Return all jobs, oldest first; records that are damaged are left aside."""
        jobs = []
        for path in self._folder.glob("*.json"):
            try:
                job = _read(path)
            except InputError:
                continue
            if job.id == path.stem:
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.created)


def _read(path: Path) -> Job:
    entry = read_json_object(path, expected="the record of a job")
    known = {each.name for each in fields(Job)}
    try:
        job = Job(**{name: value for name, value in entry.items() if name in known})
        job.process = None if job.process is None else (int(job.process[0]), float(job.process[1]))
        is_sound = job.kind in get_args(JobKind) and job.state in get_args(JobState) and isinstance(job.work, dict)
        is_sound = is_sound and all(isinstance(text, str) for text in (job.id, job.title, job.folder, *job.outputs))
        is_sound = is_sound and isinstance(job.created, float | int)
    except (TypeError, ValueError, IndexError):
        is_sound = False
    if not is_sound:
        raise InputError(f"'{path}' is no record of a job.")
    return job
