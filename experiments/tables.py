"""Which configurations are measured how for each table and figure; what two of them share is computed once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.configurations import (
    BUNDLED,
    BUNDLED_OCCUPANCY,
    CEILING,
    CLAIMS_3,
    CLAIMS_5,
    CLAIMS_7,
    CLAIMS_CORRESPONDENCE_2,
    CLAIMS_CORRESPONDENCE_5,
    CORRESPONDENCE_2,
    CORRESPONDENCE_5,
    GENVIS,
    GENVIS_1,
    GENVIS_5,
    GENVIS_7,
    GLOBAL_MEMORY,
    MATCHING,
    MEMORY,
    MINVIS,
    ONLINE_CLAIMS,
    ONLINE_CORRESPONDENCE_2,
    ONLINE_CORRESPONDENCE_5,
    ONLINE_GENVIS,
    ONLINE_GENVIS_3,
    ONLINE_GENVIS_5,
    ONLINE_GENVIS_7,
    ONLINE_GLOBAL_MEMORY,
    ONLINE_LONG,
    ONLINE_MATCHING,
    ONLINE_MIXED,
    ONLINE_UVLA,
    OPTION_GATED,
    OPTION_IDENTITY,
    OPTION_IDENTITY_NOISE,
    OPTION_NOISE,
    OPTION_OCCUPANCY,
    UVLA,
    VITA,
    Configuration,
    memory_with,
    resolved,
    with_presence,
)
from experiments.evaluation import EvaluationPlan
from experiments.validation_sets import ASSOCIATION_SETS, OBJECT_COUNTS, PIECES
from genvis.errors import InputError
from genvis.inference.run_setup import ClipLength

TABLE_SETS = ("normal", "occluded")
FIGURE3_SETS = ("easy", "occluded")
FIGURE3_LENGTHS = (1, 2, 3, 4, 5, 6, 7)

TABLE4 = {
    "Detector, joined by the truth": CEILING,
    "MinVIS, frame by frame": MINVIS,
    "VITA, offline": VITA,
    "1 clip of 3, matched as MinVIS does": MATCHING,
    "2 clips, correspondence learning": CORRESPONDENCE_2,
    "5 clips, correspondence learning": CORRESPONDENCE_5,
    "5 clips, UVLA": UVLA,
    "5 clips, UVLA, prototype memory": GENVIS,
}
TABLE5 = {"no memory": UVLA, "global": GLOBAL_MEMORY, "index-wise": GENVIS}
TABLE6 = {"N_f = 1": GENVIS_1, "N_f = 3": GENVIS, "N_f = 5": GENVIS_5, "N_f = 7": GENVIS_7}
FIGURE3 = {"trained with N_f = 1": GENVIS_1, "trained with N_f = 3": GENVIS}
LIMITS = {
    "MinVIS": MINVIS,
    "clips of 3, matched": MATCHING,
    "GenVIS without memory": UVLA,
    "GenVIS": GENVIS,
}
MEMORY_SETS = (*TABLE_SETS, "returning", "crowd-10", "endless")
METHODS = {
    "MinVIS, frame by frame": MINVIS,
    "GenVIS, bundled model": BUNDLED,
    "memory matching": MEMORY,
}
PARTS_SETS = (*TABLE_SETS, "endless")
PARTS = {
    "memory matching": MEMORY,
    "no mask IoU": memory_with("no-position", position_weight=0.0),
    "no class probability": memory_with("no-class", class_weight=0.0, match_threshold=0.75),
    "last query only": memory_with("last-query", bank_size=1, nearest=1),
    "last 5 queries": memory_with("5-queries", bank_size=5),
    "last 40 queries": memory_with("40-queries", bank_size=40),
    "no NMS": memory_with("no-nms", nms_iou=1.0),
    "ids kept for 20 frames": memory_with("keep-20", keep_frames=20),
}
PRESENCE = 0.3
"""The default of `VideoSegmenter`, where overlaps are resolved."""
ABSENT = {
    "MinVIS, all masks": MINVIS,
    "MinVIS, without absent ones": with_presence(MINVIS, PRESENCE),
    "GenVIS, all masks": BUNDLED,
    "GenVIS, without absent ones": with_presence(BUNDLED, PRESENCE),
    "GenVIS, weighted by occupancy": BUNDLED_OCCUPANCY,
    "GenVIS, both": with_presence(BUNDLED_OCCUPANCY, PRESENCE),
}
ONLINE_SETS = (*TABLE_SETS, "returning")
ONLINE = {
    "MinVIS, frame by frame": resolved(MINVIS),
    "memory matching": resolved(MEMORY),
    "GenVIS, bundled model": resolved(BUNDLED),
    "frames, matched as MinVIS does": ONLINE_MATCHING,
    "2 frames, correspondence learning": ONLINE_CORRESPONDENCE_2,
    "5 frames, correspondence learning": ONLINE_CORRESPONDENCE_5,
    "5 frames, UVLA": ONLINE_UVLA,
    "5 frames, UVLA, prototype memory": ONLINE_GENVIS,
}
"""Table 4 with results as `VideoSegmenter` makes them by default, frame by frame."""
ONLINE_ATTEMPT = "online"
"""The attempt to which its results belong: its rows are trained in another way than those of Table 4."""
ONLINE_TABLE5 = {"no memory": ONLINE_UVLA, "global": ONLINE_GLOBAL_MEMORY, "index-wise": ONLINE_GENVIS}
ONLINE_TABLE6 = {
    "N_f = 1": ONLINE_GENVIS,
    "N_f = 3": ONLINE_GENVIS_3,
    "N_f = 5": ONLINE_GENVIS_5,
    "N_f = 7": ONLINE_GENVIS_7,
}
ONLINE_FIGURE3 = {
    "the bundled model": ONLINE["GenVIS, bundled model"],
    "5 clips of 1": ONLINE_GENVIS,
    "5 clips of 3": ONLINE_GENVIS_3,
    "15 clips of 1": ONLINE_LONG,
    "15 frames in clips of 1, 3, 5 or 7": ONLINE_MIXED,
}
"""How a tracker was trained whose clips have another length at inference."""
ONLINE_OPTIONS = {
    "5 frames, UVLA": ONLINE_UVLA,
    "with the prototype memory": ONLINE_GENVIS,
    "with occupancy-weighted propagation": OPTION_OCCUPANCY,
    "with gated propagation": OPTION_GATED,
    "with the contrastive loss": OPTION_IDENTITY,
    "with noised queries": OPTION_NOISE,
    "with the contrastive loss and noised queries": OPTION_IDENTITY_NOISE,
}
"""Options of later methods, each alone, and two that do not exclude each other together."""
ASSOCIATION_ATTEMPT = "association"
"""The attempt with sets and a detector of its own, of which only association is the question."""
ASSOCIATION = {"Detector, joined by the truth": CEILING} | {
    title: one for title, one in ONLINE.items() if one.method != "bundled"
}
ASSOCIATION_CLAIMS = {
    "memory matching without places": resolved(PARTS["no mask IoU"]),
    "5 frames, UVLA, claims": ONLINE_CLAIMS,
}
"""Rows on these sets that say what places are worth: memory matching without, a tracker with them."""
CLAIMS_TABLE4 = {
    "2 frames, correspondence learning, claims": CLAIMS_CORRESPONDENCE_2,
    "5 frames, correspondence learning, claims": CLAIMS_CORRESPONDENCE_5,
    "5 frames, UVLA, claims": ONLINE_CLAIMS,
}
"""Table 4 with the tracker that reads places, in which there is no memory."""
CLAIMS_TABLE6 = {"N_f = 1": ONLINE_CLAIMS, "N_f = 3": CLAIMS_3, "N_f = 5": CLAIMS_5, "N_f = 7": CLAIMS_7}
"""Table 6 with it."""
CLAIMS_FIGURE3 = {"5 clips of 1": ONLINE_CLAIMS, "5 clips of 3": CLAIMS_3}
"""How it was trained whose clips have another length at inference."""
CLAIMS_LENGTHS: tuple[ClipLength, ...] = (1, 3, 7)
ASSOCIATION_LONG_ATTEMPT = "association-long"
"""The same with six times the steps."""
ASSOCIATION_LOOKS_ATTEMPT = "association-looks"
"""The same with trackers that begin with a comparison of looks."""
ASSOCIATION_LOOKS_LONG_ATTEMPT = "association-looks-long"
"""These with five times the steps."""
ASSOCIATION_CLAIMS_ATTEMPT = "association-claims"
"""As `association-looks`, all on one machine: the steps of Tables 4 to 6 and Figure 3 with claims."""
ASSOCIATION_OTHERS = {
    ASSOCIATION_LONG_ATTEMPT: {"5 frames, UVLA, six times the steps": ONLINE_UVLA},
    ASSOCIATION_LOOKS_ATTEMPT: {
        "2 frames, correspondence learning, from a comparison of looks": ONLINE_CORRESPONDENCE_2,
        "5 frames, correspondence learning, from a comparison of looks": ONLINE_CORRESPONDENCE_5,
        "5 frames, UVLA, from a comparison of looks": ONLINE_UVLA,
        "5 frames, UVLA, prototype memory, from a comparison of looks": ONLINE_GENVIS,
        "5 frames, UVLA, claims, from a comparison of looks": ONLINE_CLAIMS,
        "memory matching without places": ASSOCIATION_CLAIMS["memory matching without places"],
    },
    ASSOCIATION_LOOKS_LONG_ATTEMPT: {
        "5 frames, UVLA, claims, from a comparison of looks, five times the steps": ONLINE_CLAIMS,
    },
    ASSOCIATION_CLAIMS_ATTEMPT: {
        **{f"{title}, from a comparison of looks, second series": one for title, one in CLAIMS_TABLE4.items()},
        **{
            f"5 clips of {one.clip_length}, UVLA, claims, from a comparison of looks, second series": one
            for one in (CLAIMS_3, CLAIMS_5, CLAIMS_7)
        },
        "5 frames, UVLA, memory read globally, from a comparison of looks, second series": ONLINE_GLOBAL_MEMORY,
        "5 frames, UVLA, memory read index-wise, from a comparison of looks, second series": ONLINE_GENVIS,
    },
}
"""Rows of the other attempts on these sets, by the attempt."""
ONLINE_LENGTHS: tuple[ClipLength, ...] = (1, 3, 7, "auto")
ATTEMPTS = TABLE4 | {"global memory": GLOBAL_MEMORY, "N_f = 1": GENVIS_1, "N_f = 5": GENVIS_5, "N_f = 7": GENVIS_7}
ATTEMPT_SETS = (*TABLE_SETS, "crossing", "returning")


@dataclass(frozen=True)
class Job:
    """One configuration and everything that is to be measured of it, for every seed."""

    configuration: Configuration
    plans: tuple[EvaluationPlan, ...]

    def runs(self, seeds: Sequence[int]) -> "Iterator[tuple[Job, int]]":
        """Deliver this job with each seed once; what is not trained has no seeds and counts as seed 0."""
        for seed in dict.fromkeys(seeds) if self.configuration.is_trained else (0,):
            yield self, seed


def _on(rows: Mapping[str, Configuration], sets: Sequence[str]) -> list[Job]:
    return [Job(one, tuple(one.plan(name) for name in sets)) for one in rows.values()]


def table4(sets: Sequence[str] = TABLE_SETS) -> list[Job]:
    """Return the jobs of Table 4: what each part of the method contributes."""
    return _on(TABLE4, sets)


def table5(sets: Sequence[str] = TABLE_SETS) -> list[Job]:
    """Return the jobs of Table 5: how the memory is read."""
    return _on(TABLE5, sets)


def table6(sets: Sequence[str] = TABLE_SETS) -> list[Job]:
    """Return the jobs of Table 6: frames of a clip, the same in training and at inference."""
    return _on(TABLE6, sets)


def figure3() -> list[Job]:
    """Return the jobs of Figure 3: frames of a clip at inference only."""
    return [
        Job(one, tuple(one.plan(name, clip_length=length) for name in FIGURE3_SETS for length in FIGURE3_LENGTHS))
        for one in FIGURE3.values()
    ]


def limits() -> list[Job]:
    """Return the jobs beyond the paper: length of the video, length of absences, number of objects."""
    return [
        Job(
            one,
            (
                *(one.plan("endless", piece=piece) for piece in PIECES),
                *(one.plan(f"crowd-{count}") for count in OBJECT_COUNTS),
            ),
        )
        for one in LIMITS.values()
    ]


def memory() -> list[Job]:
    """Return the jobs of memory matching, its parts, and what can be had from the others without training."""
    return [*_on(METHODS, MEMORY_SETS), *_on(PARTS, PARTS_SETS), *_on(ABSENT, PARTS_SETS)]


def online(sets: Sequence[str] = ONLINE_SETS) -> list[Job]:
    """Return the jobs of Table 4 frame by frame, with overlaps resolved and absent tracks left out."""
    return _on(ONLINE, sets)


def online_table5(sets: Sequence[str] = ONLINE_SETS) -> list[Job]:
    """Return the jobs of Table 5 in that way."""
    return _on(ONLINE_TABLE5, sets)


def online_table6(sets: Sequence[str] = ONLINE_SETS) -> list[Job]:
    """Return the jobs of Table 6 in that way."""
    return _on(ONLINE_TABLE6, sets)


def online_figure3(sets: Sequence[str] = ONLINE_SETS) -> list[Job]:
    """Return the jobs of Figure 3 in that way, with a tracker that was trained with clips of several lengths."""
    return [
        Job(one, tuple(one.plan(name, clip_length=length) for name in sets for length in ONLINE_LENGTHS))
        for one in ONLINE_FIGURE3.values()
    ]


def online_options(sets: Sequence[str] = ONLINE_SETS) -> list[Job]:
    """Return the jobs of the options of later methods, in that way."""
    return _on(ONLINE_OPTIONS, sets)


def association(sets: Sequence[str] = tuple(ASSOCIATION_SETS)) -> list[Job]:
    """Return the jobs of Table 4 in that way, on the sets of which association is the question."""
    return _on(ASSOCIATION | ASSOCIATION_CLAIMS, sets)


def association_table5(sets: Sequence[str] = tuple(ASSOCIATION_SETS)) -> list[Job]:
    """Return the jobs of Table 5 on these sets."""
    return _on(ONLINE_TABLE5, sets)


def association_claims(sets: Sequence[str] = tuple(ASSOCIATION_SETS)) -> list[Job]:
    """Return the jobs of Tables 4 and 6 and Figure 3 on these sets, with the tracker that reads places."""
    return [
        Job(
            one,
            tuple(
                one.plan(name, clip_length=length)
                for name in sets
                for length in (CLAIMS_LENGTHS if one in CLAIMS_FIGURE3.values() else (0,))
            ),
        )
        for one in dict.fromkeys((*CLAIMS_TABLE4.values(), *CLAIMS_TABLE6.values()))
    ]


def all_jobs(sets: Sequence[str] = TABLE_SETS) -> list[Job]:
    """Return everything, each configuration once, in the order of the tables."""
    plans: dict[Configuration, dict[EvaluationPlan, None]] = {}
    for job in (*table4(sets), *table5(sets), *table6(sets), *figure3(), *limits(), *memory()):
        plans.setdefault(job.configuration, {}).update(dict.fromkeys(job.plans))
    return [Job(configuration, tuple(wanted)) for configuration, wanted in plans.items()]


def sets_of(command: str) -> tuple[str, ...]:
    """Return the usual validation sets of a table."""
    if command.startswith("association"):
        return tuple(ASSOCIATION_SETS)
    return ONLINE_SETS if command.startswith("online") else TABLE_SETS


def jobs_of(command: str, sets: Sequence[str] = TABLE_SETS, rows: Sequence[str] = ()) -> list[Job]:
    """Return the jobs of a table or figure.

    Args:
        command: One of `COMMANDS`.
        sets: Validation sets of the tables; the figures have their own.
        rows: Names of the configurations that are wanted; all if empty.

    Raises:
        InputError: If a row is not part of it.
    """
    jobs = COMMANDS[command](sets)
    known = [job.configuration.name for job in jobs]
    for row in rows:
        if row not in known:
            raise InputError(f"{command} has no row '{row}'; choose from {', '.join(known)}.")
    return [job for job in jobs if not rows or job.configuration.name in rows]


COMMANDS: dict[str, Callable[[Sequence[str]], list[Job]]] = {
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "figure3": lambda _: figure3(),
    "limits": lambda _: limits(),
    "memory": lambda _: memory(),
    "online": online,
    "online-table5": online_table5,
    "online-table6": online_table6,
    "online-figure3": online_figure3,
    "online-options": online_options,
    "association": association,
    "association-table5": association_table5,
    "association-claims": association_claims,
    "all": all_jobs,
}
