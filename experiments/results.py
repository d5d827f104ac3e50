"""Results of several seeds as mean and spread."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.configurations import Configuration
from experiments.evaluation import EvaluationPlan
from experiments.validation_sets import validation_set
from genvis.errors import InputError

TIMING_FILE = "timing.json"
Score = str | Callable[[dict[str, Any]], float]
"""Name of a score, or a function of all scores of a set; NaN leaves a seed out."""


@dataclass(frozen=True)
class Value:
    """A number measured with several seeds.

    Attributes:
        values: One per seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """The sample standard deviation over the seeds; 0 with one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    def text(self, digits: int = 1) -> str:
        """Return ``mean ± spread``, or the number alone if there is one."""
        mean = f"{self.mean:.{digits}f}"
        return f"{mean} ± {self.spread:.{digits}f}" if len(self.values) > 1 else mean


class ResultSet:
    """All results of a folder.

    Args:
        folder: With one file per configuration and seed.

    Raises:
        InputError: If the runs of the folder had different detectors or settings, which cannot be compared.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents: list[dict[str, Any]] = [
            json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*-seed*.json"))
        ]
        for name in ("detector", "settings"):
            values = {json.dumps(one[name], sort_keys=True) for one in self.documents if one[name]}
            if len(values) > 1:
                raise InputError(
                    f"The results in {folder} are of more than one kind of {name}: use one folder for each."
                )

    def __len__(self) -> int:
        return len(self.documents)

    def evaluations(self, configuration: Configuration, plan: EvaluationPlan) -> list[dict[str, Any]]:
        """Return the scores of every seed, in the order of the seeds, but for those of videos that have changed."""
        wanted = validation_set(plan.set_name).digest
        runs = sorted(self._runs(configuration), key=lambda one: int(one["seed"]))
        found = [one["evaluations"].get(plan.key) for one in runs]
        return [one for one in found if one is not None and one["set"] == wanted]

    def value(self, configuration: Configuration, plan: EvaluationPlan, score: Score) -> Value | None:
        """Return a score of a configuration over all seeds, or None if it was not measured.

        Args:
            configuration: The row.
            plan: How it was measured.
            score: What is asked for.
        """
        found = self.evaluations(configuration, plan)
        values = [float(one[score]) if isinstance(score, str) else score(one) for one in found]
        known = tuple(value for value in values if not math.isnan(value))
        return Value(known) if known else None

    def seconds(self, configurations: Sequence[Configuration]) -> float:
        """Return the time that training and all measurements of some configurations took together."""
        runs = [run for one in configurations for run in self._runs(one)]
        training = sum(run.get("training", {}).get("seconds", 0.0) for run in runs)
        return float(training + sum(one["seconds"] for run in runs for one in run["evaluations"].values()))

    def training_seconds(self, configuration: Configuration) -> Value | None:
        """Return how long the training of a configuration took, or None if nothing was trained."""
        found = [run["training"]["seconds"] for run in self._runs(configuration) if "training" in run]
        return Value(tuple(found)) if found else None

    def pretraining_seconds(self) -> float:
        """Return how long the training took that all runs start from; 0 if they start from new weights."""
        found = [run["training"].get("pretraining_seconds", 0.0) for run in self.documents if "training" in run]
        return float(max(found, default=0.0))

    def settings(self) -> dict[str, Any]:
        """Return what all trained runs have in common; nothing if none was trained."""
        found: dict[str, Any] = next((run["settings"] for run in self.documents if run["settings"]), {})
        return found

    def other_attempts(self) -> "Iterator[ResultSet]":
        """Open the folders beside this one whose names begin with its name and a hyphen, if they hold results."""
        for folder in sorted(self.folder.parent.glob(f"{self.folder.name}-*")):
            found = ResultSet(folder)
            if found:
                yield found

    def attempt(self, name: str) -> "ResultSet":
        """Open the folder beside this one of the runs with other settings of a name; it may be empty."""
        return ResultSet(self.folder.with_name(f"{self.folder.name}-{name}"))

    def document(self, name: str) -> dict[str, Any]:
        """Return what a file of this folder holds; nothing if it is not there."""
        path = self.folder / name
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    def timing(self) -> dict[str, Any] | None:
        """Return the frames per second of the clip lengths, if they were measured."""
        path = self.folder / TIMING_FILE
        if not path.is_file():
            return None
        timing: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if timing["detector"] != self.documents[0]["detector"]:
            raise InputError(f"{path} is of another detector than the results beside it: measure it again.")
        return timing

    def versions(self) -> str:
        """Return the versions of everything that the results were made with."""
        found = {f"{name} {number}": None for run in self.documents for name, number in run["versions"].items()}
        return ", ".join(sorted(found))

    def _runs(self, configuration: Configuration) -> Iterator[dict[str, Any]]:
        description = configuration.description()
        return (one for one in self.documents if one["configuration"] == description)
