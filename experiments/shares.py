"""Scores that are computed from other scores."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from experiments.absences import BOUNDS


def switch_rate(scores: dict[str, Any]) -> float:
    """Return id switches per 100 annotated masks."""
    return 100.0 * float(scores["switches"]) / float(scores["masks"])


def absence_bounds() -> list[str]:
    """Return the groups of absences by their length, as words."""
    return [f"{start}-{stop - 1}" for start, stop in pairwise(BOUNDS)] + [f"{BOUNDS[-1]}+"]


def absence_count(group: int) -> Callable[[dict[str, Any]], float]:
    """Return the score that says how many absences of a group were looked at."""

    def count(scores: dict[str, Any]) -> float:
        return float(sum(scores["absences"][group][how] for how in ("kept", "changed", "lost")))

    return count


def kept_share(group: int) -> Callable[[dict[str, Any]], float]:
    """Return the score that says which share of a group of absences ended with the same track id, in percent."""

    def share(scores: dict[str, Any]) -> float:
        total = absence_count(group)(scores)
        return 100.0 * float(scores["absences"][group]["kept"]) / total if total else math.nan

    return share
