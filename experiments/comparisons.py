"""Pairs of rows that intervals compare, and the steps of the paper from row to row."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from experiments.configurations import Configuration
from experiments.evaluation import EvaluationPlan
from experiments.tables import (
    ASSOCIATION,
    ASSOCIATION_ATTEMPT,
    ASSOCIATION_CLAIMS,
    CLAIMS_FIGURE3,
    CLAIMS_LENGTHS,
    CLAIMS_TABLE4,
    CLAIMS_TABLE6,
    ONLINE,
    ONLINE_FIGURE3,
    ONLINE_OPTIONS,
    ONLINE_SETS,
    ONLINE_TABLE5,
    ONLINE_TABLE6,
)
from experiments.validation_sets import ASSOCIATION_SETS
from genvis.inference.run_setup import ClipLength


@dataclass(frozen=True)
class Measured:
    """A row of a table, and how it is told from others.

    Attributes:
        title: Of the row.
        configuration: What was trained.
        clip_length: At inference; 0 takes that of training.
    """

    title: str
    configuration: Configuration
    clip_length: ClipLength = 0

    def plan(self, set_name: str) -> EvaluationPlan:
        """Return how it is measured on a set."""
        return self.configuration.plan(set_name, clip_length=self.clip_length)


Pair = tuple[Measured, Measured]


def _pairs(rows: Mapping[str, Configuration], *, against: str = "") -> list[Pair]:
    """Return each row with the one before it, after all rows with one of them."""
    measured = [Measured(title, one) for title, one in rows.items()]
    base = [one for one in measured if one.title == against]
    others = [one for one in measured if one.title != against]
    return [(first, second) for first in base for second in others] + list(pairwise(others))


def _against(rows: Mapping[str, Configuration], title: str) -> list[Pair]:
    """Return all rows with one of them."""
    return [pair for pair in _pairs(rows, against=title) if pair[0].title == title]


def _length_pairs() -> list[Pair]:
    """Return clips that adapt with single frames for each training, and the trainings with each other."""

    def run_with(length: ClipLength) -> dict[str, Measured]:
        return {title: Measured(f"{title}, run with {length}", one, length) for title, one in ONLINE_FIGURE3.items()}

    single, adaptive = run_with(1), run_with("auto")
    _, short, _, long, mixed = ONLINE_FIGURE3
    pairs = [(single[title], adaptive[title]) for title in ONLINE_FIGURE3]
    for other in (short, long):
        pairs += [(single[other], single[mixed]), (adaptive[other], adaptive[mixed]), (single[other], adaptive[mixed])]
    return pairs


PAIRS: dict[str, list[Pair]] = {
    "online": _pairs(ONLINE, against="memory matching"),
    "online-table5": _pairs(ONLINE_TABLE5),
    "online-table6": _pairs(ONLINE_TABLE6),
    "online-figure3": _length_pairs(),
    "online-options": _against(ONLINE_OPTIONS, "5 frames, UVLA"),
}
"""Pairs of rows that intervals compare, the second with the first."""
ASSOCIATION_PAIRS = {
    "association": _pairs(ASSOCIATION, against="memory matching")
    + [
        (Measured(first, ASSOCIATION[first]), Measured(second, one))
        for first in ("memory matching", "5 frames, UVLA")
        for second, one in ASSOCIATION_CLAIMS.items()
    ],
    "association-table5": _pairs(ONLINE_TABLE5),
    "claims-table4": _pairs(CLAIMS_TABLE4),
    "claims-table6": _pairs(CLAIMS_TABLE6),
    "claims-figure3": [
        pair
        for title, one in CLAIMS_FIGURE3.items()
        for pair in pairwise(Measured(f"{title}, run with {length}", one, length) for length in CLAIMS_LENGTHS)
    ],
}
"""The same in the attempts on the sets of which association is the question."""


class Step(NamedTuple):
    """A step of the paper from one row of a table to another.

    Attributes:
        title: What is added or changed.
        table: Of `PAIRS`.
        first: Title of the row without it.
        second: Title of the row with it.
        paper: Difference in AP on OVIS in the paper.
    """

    title: str
    table: str
    first: str
    second: str
    paper: float


_, _, _, _MATCHED, _TWO, _FIVE, _UVLA, _WITH_MEMORY = ONLINE
STEPS = (
    Step("two frames instead of matched ones", "online", _MATCHED, _TWO, 3.3),
    Step("five frames instead of two", "online", _TWO, _FIVE, 2.4),
    Step("UVLA instead of correspondence learning", "online", _FIVE, _UVLA, 2.7),
    Step("the prototype memory", "online", _UVLA, _WITH_MEMORY, 0.9),
    Step("index-wise reading instead of global", "online-table5", "global", "index-wise", 1.6),
    Step("clips of 3 instead of 1", "online-table6", "N_f = 1", "N_f = 3", 0.4),
    Step("clips of 5 instead of 3", "online-table6", "N_f = 3", "N_f = 5", -2.1),
    Step("clips of 7 instead of 5", "online-table6", "N_f = 5", "N_f = 7", -1.6),
)
"""The order of the rows of Tables 4 to 6."""
_CLAIMS_TWO, _CLAIMS_FIVE, _CLAIMS_UVLA = CLAIMS_TABLE4
_TABLES = {"online-table5": "association-table5", "online-table6": "claims-table6"}
ASSOCIATION_STEPS = (
    Step("five frames instead of two", "claims-table4", _CLAIMS_TWO, _CLAIMS_FIVE, 2.4),
    Step("UVLA instead of correspondence learning", "claims-table4", _CLAIMS_FIVE, _CLAIMS_UVLA, 2.7),
    *(one._replace(table=_TABLES[one.table]) for one in STEPS if one.table in _TABLES),
)
"""The same with the tracker that reads places; that of Table 5, which it has not, after a comparison of looks."""


def attempt_pairs(attempt: str) -> tuple[dict[str, list[Pair]], tuple[str, ...]]:
    """Return the pairs of rows that are compared in an attempt, and the usual validation sets."""
    if attempt.startswith(ASSOCIATION_ATTEMPT):
        return ASSOCIATION_PAIRS, tuple(ASSOCIATION_SETS)
    return PAIRS, ONLINE_SETS
