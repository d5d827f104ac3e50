"""Campaign: a disk that is full at any moment. One sentence, no ruins that look finished, and a rerun fixes all."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import copytree, rmtree
from typing import Any

from tests.robustness.campaigns.kills import Kills
from tests.robustness.jobs import LIMITS, difference, snapshot, work
from tests.robustness.trials import Hook, Limits, is_file_step, run_trial
from tests.robustness.verdicts import Verdict


class FullDisks(Kills):
    """Every trial runs one job on a disk that fills up, and once more when there is room again.

    The disk is one of three: a real small one (where the system lets us mount a tmpfs), a limit on the size of files,
    or a system that refuses the n-th and all further steps on files.
    """

    unit = "full disks"

    def trial(self, random: Random, folder: Path) -> Verdict:
        job = random.choice(self._jobs)
        reference = self._references[job]
        copytree(self._references.inputs, folder, dirs_exist_ok=True)
        kinds = ["refusals", "large files", "small disk"]
        kind = random.choice(kinds if os.geteuid() == 0 else kinds[:2])
        limits, faults, pages = LIMITS, None, 0
        share = random.random() ** 2
        if kind == "large files":
            limits = Limits(seconds=LIMITS.seconds, memory=LIMITS.memory, file_bytes=int(share * reference.largest))
            note = f"files of at most {limits.file_bytes} bytes"
        elif kind == "refusals":
            step = random.randint(1, reference.file_steps)
            faults, note = refusals(folder / "out", step), f"steps on files from {step} are refused"
        else:
            pages = 1 + int(share * reference.pages)
            note = f"a disk of {pages} pages"
        with _small_disk(folder / "out", pages) as room:
            outcome = run_trial(work(job), folder=folder, limits=limits, faults=faults)
            problem = outcome.problem(statuses=(0, 1, 2))
            if not problem and outcome.status == 0:
                problem = difference(reference.files, snapshot(folder, job))
                problem = problem and f"status 0, but {problem}"
            first = outcome
            if not problem:
                room()
                outcome = run_trial(work(job), folder=folder, limits=LIMITS)
                problem = outcome.problem(statuses=(0,)) or difference(reference.files, snapshot(folder, job))
                problem = problem and f"rerun with room: {problem}"
            output = (first.stdout + first.stderr)[-1500:] + "\n--\n" + (outcome.stdout + outcome.stderr)[-1500:]
        return Verdict(group=f"{job.name}: {kind}", problem=problem, note=note, output=output)


def refusals(folder: Path, step: int) -> Hook:
    """Return a hook that refuses the n-th and all further steps on files in a folder."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if is_file_step(event, arguments) and not event.startswith(("os.remove", "os.rmdir", "shutil")):
            path = arguments[0]
            if isinstance(path, (str, os.PathLike)) and Path(path).absolute().is_relative_to(folder):
                seen += 1
                if seen >= step:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return hook


@contextmanager
def _small_disk(place: Path, pages: int) -> Iterator[Any]:
    """Mount a disk of so many pages at ``place``; yields what gives it room. None are no disk of its own."""
    if not pages:
        yield lambda: None
        return
    rmtree(place, ignore_errors=True)
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={pages * 4096}", "none", str(place)], check=True)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=100M", str(place)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
