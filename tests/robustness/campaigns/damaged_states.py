"""Campaign: damaged states of interrupted and finished runs. The same command says so, or gives the right outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import copytree

from tests.robustness.campaigns.damaged_files import escapes
from tests.robustness.campaigns.kills import Kills
from tests.robustness.jobs import JOBS, LIMITS, MANIFESTS, Job, difference, snapshot, work
from tests.robustness.mutations import damage, mutate_json, mutate_safetensors
from tests.robustness.trials import Kill, run_trial
from tests.robustness.verdicts import Verdict

MUTATIONS = {".json": mutate_json, ".safetensors": mutate_safetensors}
MOMENTS = (0.4, 0.6, 0.75, 0.9, 2.0)
"""Shares of the steps on files after which the runs were killed; the last one is finished."""


@dataclass(frozen=True)
class Base:
    """A job that was killed, or that is finished.

    Attributes:
        job: The job.
        folder: Its inputs and outputs.
        files: What may be damaged: outputs, states, sessions.
        is_finished: Whether it was not killed, or too late.
    """

    job: Job
    folder: Path
    files: tuple[Path, ...]
    is_finished: bool


class DamagedStates(Kills):
    """Every trial damages a file that a run left, or removes it, and repeats the command."""

    unit = "inputs"

    def __init__(self, jobs: Sequence[Job] = JOBS) -> None:
        # Training has a campaign for its states: that of models; an offline model keeps none.
        super().__init__([job for job in jobs if not job.name.startswith("train") and job.name != "predict, offline"])

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        self._folder = folder
        self._bases: dict[tuple[Job, float], Base] = {}

    def _base(self, job: Job, moment: float) -> Base:
        """Return what a job left that was killed at a moment; it is killed when this is first asked for."""
        if (job, moment) in self._bases:
            return self._bases[job, moment]
        place = self._folder / f"state-{len(self._bases)}"
        copytree(self._references.inputs, place)
        step = round(moment * self._references[job].file_steps)
        outcome = run_trial(work(job), folder=place, limits=LIMITS, kill=Kill(file_step=step))
        if outcome.problem(statuses=(0,)):
            raise RuntimeError(outcome.problem(statuses=(0,)))
        for running in place.glob(f"out/{MANIFESTS}/*.running"):  # Of a video in this place: trials have copies of it.
            running.unlink()
        left = [*(place / "out").rglob("*"), *place.glob("session*")]
        files = tuple(path.relative_to(place) for path in sorted(left) if path.is_file())
        # Killed between its last output and its end, it is finished as well: nothing of the run itself is left.
        has_result, has_rest = (any(place.rglob(name)) for name in ("out/*/result.json", "out/*/.unfinished"))
        base = Base(job, place, files, is_finished=not outcome.was_killed or (has_result and not has_rest))
        return self._bases.setdefault((job, moment), base)

    def trial(self, random: Random, folder: Path) -> Verdict:
        job = random.choice(self._jobs)
        base = self._base(job, random.choice(MOMENTS))
        if not base.files:  # It was killed before it had written anything.
            base = self._base(job, MOMENTS[-1])
        copytree(base.folder, folder, dirs_exist_ok=True)
        states = [file for file in base.files if file.suffix in (".json", ".safetensors", ".bin")]
        file = random.choice(states if states and random.random() < 0.8 else base.files)
        if random.random() < 0.1:
            (folder / file).unlink()
            note = "removed"
        else:
            content, note = MUTATIONS.get(file.suffix, damage)((folder / file).read_bytes(), random)
            (folder / file).write_bytes(content)
        outcome = run_trial(work(base.job), folder=folder, limits=LIMITS)
        problem = outcome.problem() or escapes(folder)
        if not problem and outcome.status == 0 and not _is_finished(base, file):
            problem = difference(self._references[base.job].files, snapshot(folder, base.job))
            problem = problem and f"status 0, but {problem}"
        state = "finished" if base.is_finished else "killed"
        return Verdict(
            group=f"{base.job.name}, {state}",
            problem=problem,
            note=f"{file}: {note}"[:500],
            output=(outcome.stdout + outcome.stderr)[-3000:],
        )


def _is_finished(base: Base, file: Path) -> bool:
    """Whether a file is an output of something finished, which is the user's own and not made again."""
    is_first_of_two = file.parts[:2] == ("out", "a") and (base.folder / "out" / "b").exists()
    return base.is_finished or "videos" in file.parts or is_first_of_two
