"""A campaign: many trials of one kind, each reproducible from the campaign's name, a seed and its number."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any, Protocol

TRIALS_A_LINE = 100


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a trial showed.

    Attributes:
        group: What kind of trial it was, for the table: a container, a command.
        problem: What went wrong; None if it survived.
        note: What was done, for people who look into it.
        output: What the program printed, where it matters.
        tried: How many inputs or kills the trial was.
        remark: What is counted apart, such as a loss that no reader can notice.
    """

    group: str
    problem: str | None
    note: str = ""
    output: str = ""
    tried: int = 1
    remark: str | None = None


class Campaign(Protocol):
    """A kind of trial.

    Attributes:
        unit: What it counts: inputs, kills, full disks, pairs of runs.
    """

    unit: str

    def prepare(self, folder: Path) -> None:
        """Make what all trials share."""

    def trial(self, random: Random, folder: Path) -> Verdict:
        """Make one trial in an empty folder; all that is random comes from ``random``."""


@dataclass
class Summary:
    """The outcome of a campaign, as it is written to JSON; one that was stopped made fewer trials than asked."""

    campaign: str
    seed: int
    unit: str
    trials: int = 0
    tried: int = 0
    survived: int = 0
    seconds: float = 0.0
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    was_stopped: bool = True

    def add(self, index: int, verdict: Verdict) -> None:
        """Count a trial."""
        self.trials += 1
        self.tried += verdict.tried
        self.survived += verdict.tried * (verdict.problem is None)
        group = self.groups.setdefault(verdict.group, {"tried": 0, "survived": 0})
        group["tried"] += verdict.tried
        group["survived"] += verdict.tried * (verdict.problem is None)
        if verdict.remark:
            self.remarks[verdict.remark] = self.remarks.get(verdict.remark, 0) + verdict.tried
        if verdict.problem is not None:
            self.failures.append({"index": index, **vars(verdict)})


def run_campaign(
    name: str, campaign: Campaign, *, indices: range, seed: int, folder: Path, keep: bool = False
) -> Summary:
    """Run the trials of the given numbers, one after the other.

    Args:
        name: The campaign's name, part of the seed.
        campaign: The campaign.
        indices: Numbers of the trials.
        seed: Of all trials.
        folder: Where to work; campaigns that share it share what they prepare.
        keep: Leave the folders of failing trials.
    """
    shared = folder / "shared"
    shared.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    campaign.prepare(shared)
    summary = Summary(campaign=name, seed=seed, unit=campaign.unit)
    with suppress(KeyboardInterrupt):  # Which ends the campaign; what was tried is reported.
        for index in indices:
            place = folder / name / f"trial-{index}"
            (place / "work").mkdir(parents=True)
            verdict = campaign.trial(Random(f"{name}-{seed}-{index}"), place / "work")
            summary.add(index, verdict)
            if verdict.problem is not None:
                print(f"{name} {index}: {verdict.group}: {verdict.problem} [{verdict.note}]", flush=True)
            if summary.trials % TRIALS_A_LINE == 0:
                print(f"{name}: {summary.survived} of {summary.tried} so far, in {summary.trials} trials", flush=True)
            if not (keep and verdict.problem is not None):
                rmtree(place, ignore_errors=True)
        summary.was_stopped = False
    summary.seconds = round(time.monotonic() - began, 1)
    return summary
