"""Shards: which share of a list of videos a process takes, by a stable hash of each video's identity.

A video's shard depends on the video and the number of shards alone, so that lists may grow while processes work.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from genvis.errors import InputError

COUNT_VARIABLE = "GENVIS_SHARD_COUNT"
"""How many pods an indexed Job of Kubernetes has: its own environment does not tell."""

_MOST = 1_000_000


@dataclass(frozen=True)
class Shard:
    """One share of a list.

    Attributes:
        index: From 0.
        count: Of all shares.
        first: The number by which the starter calls the first share, for messages: a Slurm array may start anywhere.
    """

    index: int
    count: int
    first: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.count <= _MOST and 0 <= self.index < self.count):
            raise InputError(
                f"There is no shard {self.index + self.first} among {self.count} shards that begin with {self.first}: "
                f"give --shard 1/{max(1, self.count)} to {max(1, self.count)}/{max(1, self.count)}."
            )

    def __str__(self) -> str:
        return f"shard {self.index + 1} of {self.count}"

    def has(self, key: str) -> bool:
        """Whether the share has a video, by its key of hexadecimal digits."""
        return shard_of(key, self.count) == self.index


def shard_of(key: str, count: int) -> int:
    """Return the share, from 0, that a video belongs to."""
    return int(key, 16) % count


def parsed_shard(
    text: str, *, environment: Mapping[str, str] | None = None, known: tuple[int, int] | None = None
) -> Shard:
    """Return the shard of ``3/64`` (counted from 1), or of the environment for ``auto``.

    Args:
        text: As typed.
        environment: None for the process's own.
        known: Number of shards and first number of an earlier run into the same folder: a Slurm array that names only
            some tasks again has its numbers from there.

    Raises:
        InputError: If it is no shard, or the environment names none.
    """
    if text == "auto":
        return _of_environment(os.environ if environment is None else environment, known)
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None:
        raise InputError(
            f"--shard is '{text}': give N/M, for example 3/64, or auto in a Slurm array or Kubernetes Job."
        )
    return Shard(int(match[1]) - 1, int(match[2]))


def _of_environment(environment: Mapping[str, str], known: tuple[int, int] | None) -> Shard:
    if "SLURM_ARRAY_TASK_ID" in environment:
        return _of_slurm(environment, known)
    if "JOB_COMPLETION_INDEX" in environment:
        if COUNT_VARIABLE not in environment:
            raise InputError(
                f"JOB_COMPLETION_INDEX says which shard this is, but not of how many: set {COUNT_VARIABLE} to the "
                "Job's completions."
            )
        return Shard(_number(environment, "JOB_COMPLETION_INDEX"), _number(environment, COUNT_VARIABLE), first=0)
    raise InputError(
        "--shard auto needs a Slurm array (SLURM_ARRAY_TASK_ID) or an indexed Kubernetes Job (JOB_COMPLETION_INDEX): "
        "give --shard N/M elsewhere."
    )


def _of_slurm(environment: Mapping[str, str], known: tuple[int, int] | None) -> Shard:
    task, count = _number(environment, "SLURM_ARRAY_TASK_ID"), _number(environment, "SLURM_ARRAY_TASK_COUNT")
    least, most = _number(environment, "SLURM_ARRAY_TASK_MIN"), _number(environment, "SLURM_ARRAY_TASK_MAX")
    if known is not None and known[1] <= least and most < known[1] + known[0]:
        return Shard(task - known[1], known[0], first=known[1])
    if most - least + 1 != count:
        raise InputError(
            f"The Slurm array has {count} tasks of the numbers {least} to {most}, so that it is not known of how many "
            "shards they are: give --shard N/M, with N from $SLURM_ARRAY_TASK_ID."
        )
    return Shard(task - least, count, first=least)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not re.fullmatch(r"\d{1,9}", text):
        raise InputError(f"{name} is '{text}', and no number: give --shard N/M.")
    return int(text)


def array_of(numbers: list[int]) -> str:
    """Return numbers as Slurm's ``--array`` takes them: ``3,7-9``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
