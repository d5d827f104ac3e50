"""Which configurations are measured how for each table and figure; what two of them share is computed once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiments.configurations import (
    CLIP_LENGTHS,
    CORRESPONDENCE_2,
    CORRESPONDENCE_5,
    GENVIS,
    GLOBAL_MEMORY,
    MATCHING,
    MINVIS,
    UVLA,
    VITA,
    Configuration,
)
from experiments.evaluation import EvaluationPlan
from experiments.held_out_sets import OBJECT_COUNTS, PIECES

TABLE_SETS = ("normal", "occluded")
FIGURE3_SETS = ("easy", "occluded")
FIGURE3_LENGTHS = (1, 2, 3, 4, 5, 6, 7)

TABLE4 = (MINVIS, VITA, MATCHING, CORRESPONDENCE_2, CORRESPONDENCE_5, UVLA, GENVIS)
TABLE5 = (UVLA, GLOBAL_MEMORY, GENVIS)
TABLE6 = tuple(CLIP_LENGTHS.values())
FIGURE3 = (CLIP_LENGTHS[1], CLIP_LENGTHS[3])
LIMITS = (MINVIS, UVLA, GENVIS)


@dataclass(frozen=True)
class Job:
    """One configuration and everything that is to be measured of it, for every seed."""

    configuration: Configuration
    plans: tuple[EvaluationPlan, ...]

    def runs(self, seeds: Sequence[int]) -> "Iterator[tuple[Job, int]]":
        """Deliver this job with each seed; what is not trained has no seeds."""
        for seed in seeds if self.configuration.is_trained else seeds[:1]:
            yield self, seed


def _on(configurations: Sequence[Configuration], sets: Sequence[str]) -> list[Job]:
    return [Job(one, tuple(one.plan(name) for name in sets)) for one in configurations]


def table4() -> list[Job]:
    """Return the jobs of Table 4: what each part of the method contributes."""
    return _on(TABLE4, TABLE_SETS)


def table5() -> list[Job]:
    """Return the jobs of Table 5: how the memory is read."""
    return _on(TABLE5, TABLE_SETS)


def table6() -> list[Job]:
    """Return the jobs of Table 6: frames of a clip, the same in training and at inference."""
    return _on(TABLE6, TABLE_SETS)


def figure3() -> list[Job]:
    """Return the jobs of Figure 3: frames of a clip at inference only."""
    return [
        Job(one, tuple(one.plan(name, clip_length=length) for name in FIGURE3_SETS for length in FIGURE3_LENGTHS))
        for one in FIGURE3
    ]


def limits() -> list[Job]:
    """Return the jobs beyond the paper: length of the video, time out of sight, number of objects."""
    return [
        Job(
            one,
            (
                *(one.plan("endless", piece=piece) for piece in PIECES),
                *(one.plan(f"crowd-{count}") for count in OBJECT_COUNTS),
            ),
        )
        for one in LIMITS
    ]


def all_jobs() -> list[Job]:
    """Return everything, each configuration once, in the order of the tables."""
    plans: dict[Configuration, dict[EvaluationPlan, None]] = {}
    for job in (*table4(), *table5(), *table6(), *figure3(), *limits()):
        plans.setdefault(job.configuration, {}).update(dict.fromkeys(job.plans))
    return [Job(configuration, tuple(wanted)) for configuration, wanted in plans.items()]
