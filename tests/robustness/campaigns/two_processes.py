"""Campaign: two processes with one output folder, at any distance in time. Nobody's outputs are mixed or lost."""

import time
from pathlib import Path
from random import Random
from shutil import copytree

from tests.robustness.campaigns.kills import Kills
from tests.robustness.jobs import LIMITS, difference, snapshot, work
from tests.robustness.trials import Kill, Running, run_trial
from tests.robustness.verdicts import Verdict


class TwoProcesses(Kills):
    """Every trial starts a job twice; in one of three trials the first is killed while the second works or waits."""

    unit = "pairs"

    def trial(self, random: Random, folder: Path) -> Verdict:
        job = random.choice(self._jobs)
        reference = self._references[job]
        copytree(self._references.inputs, folder, dirs_exist_ok=True)
        pause = random.uniform(0, reference.seconds)
        kill = Kill(seconds=pause + random.uniform(0, reference.seconds)) if random.random() < 0.33 else Kill()
        first = Running(work(job), folder=folder, limits=LIMITS, kill=kill)
        time.sleep(pause)
        second = Running(work(job), folder=folder, limits=LIMITS)
        outcomes = [first.finish(second), second.finish()]
        problems = [outcome.problem(statuses=(0, 2)) for outcome in outcomes]
        problem = next((text for text in problems if text), None)
        one_folder = len(reference.folders) == 1  # Of several, each process may get some.
        if not problem and one_folder and kill.seconds is None and all(outcome.status for outcome in outcomes):
            problem = "both gave up"
        if not problem:
            if 0 not in (outcome.status for outcome in outcomes):
                outcomes.append(run_trial(work(job), folder=folder, limits=LIMITS))
                problem = outcomes[-1].problem(statuses=(0,))
            problem = problem or difference(reference.files, snapshot(folder, job))
        note = f"{pause:.2f} s apart" + (f", the first killed after {kill.seconds:.2f} s" if kill.seconds else "")
        output = "\n--\n".join((outcome.stdout + outcome.stderr)[-1500:] for outcome in outcomes)
        return Verdict(group=job.name, problem=problem, note=note, output=output)
