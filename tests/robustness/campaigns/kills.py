"""Campaign: kill -9 at random moments of every long command; the same command continues to the same outputs."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from shutil import copytree

from tests.robustness.jobs import JOBS, LIMITS, Job, Reference, References, difference, final_files, snapshot, work
from tests.robustness.trials import Kill, run_trial
from tests.robustness.verdicts import Verdict

CONTINUED = 0.6
"""Share of a whole run in which one that continues is killed: most of it is done."""


class Kills:
    """Every trial kills one job one to four times, at random times or steps on files, and lets it end at last."""

    unit = "kills"

    def __init__(self, jobs: Sequence[Job] = JOBS) -> None:
        self._jobs = jobs

    def prepare(self, folder: Path) -> None:
        self._references = References(folder)

    def trial(self, random: Random, folder: Path) -> Verdict:
        job = random.choice(self._jobs)
        reference = self._references[job]
        copytree(self._references.inputs, folder, dirs_exist_ok=True)
        kills, moments = 0, []
        for number in range(random.choice((1, 2, 3, 4))):
            kill = moment(random, reference, share=CONTINUED if number else 1.1)
            outcome = run_trial(work(job), folder=folder, limits=LIMITS, kill=kill)
            kills += outcome.was_killed
            moments.append(f"step {kill.file_step}" if kill.file_step else f"{kill.seconds:.2f} s")
            problem = outcome.problem(statuses=(0,))
            if problem or not outcome.was_killed:
                break
        note = f"killed at {', '.join(moments)}"
        if not problem:
            done = final_files(folder, job)
            outcome = run_trial(work(job), folder=folder, limits=LIMITS)
            problem = outcome.problem(statuses=(0,)) or difference(reference.files, snapshot(folder, job))
            if not problem and not done.items() <= final_files(folder, job).items():
                problem = f"what was done is done again: {', '.join(done)}"
        output = (outcome.stdout + outcome.stderr)[-3000:]
        return Verdict(group=job.name, problem=problem, note=note, output=output, tried=max(kills, bool(problem)))


def moment(random: Random, reference: Reference, *, share: float) -> Kill:
    """Return a moment in the first part of a run, by its time or by its steps on files."""
    if random.random() < 0.5:
        return Kill(file_step=random.randint(1, 1 + int(share * reference.file_steps)))
    return Kill(seconds=random.uniform(0, share * reference.seconds))
