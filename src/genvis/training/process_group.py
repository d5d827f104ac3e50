"""Process groups: sums over all processes, so that many learn exactly as one with the joint batch would."""

import os
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed

Item = TypeVar("Item")
Result = TypeVar("Result")

# As Lightning, torchrun, SLURM and LSF number processes and machines.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def is_first_process() -> bool:
    """Return whether this is the process of a run that writes, before there is a process group."""
    return all(os.environ.get(name, "0") in ("", "0") for name in _RANKS)


def process_count() -> int:
    """Return how many processes train together; 1 without a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_rank() -> int:
    """Return the number of this process among those that train together; 0 without a process group."""
    return distributed.get_rank() if process_count() > 1 else 0


def all_are_here() -> None:
    """Wait until every process of the group has come here."""
    if process_count() > 1:
        distributed.barrier()


@torch.no_grad()
def shared_normalizers(counts: Tensor, *, minimum: float | Tensor = 1.0) -> Tensor:
    """Return by what each process divides its sums, so that the mean over processes is the loss of the joint batch.

    Gradients are averaged over processes. With sums s_r and counts n_r of W processes the loss of the joint batch is
    sum(s) / sum(n), which is the mean over r of s_r / (sum(n) / W).

    Args:
        counts: Any shape, this process's counts.
        minimum: The least joint count, or one per count.

    Returns:
        The same shape: max(joint count, minimum) / W.
    """
    joint = counts.detach().clone().float()
    processes = process_count()
    if processes > 1:
        distributed.all_reduce(joint)
    return joint.clamp(min=torch.as_tensor(minimum, dtype=joint.dtype, device=joint.device)) / processes


def of_the_first(work: Callable[[list[Item]], Result], items: Sequence[tuple[int, Item]]) -> Result:
    """Do work on the items of all processes in the first one, and return its result in all.

    Args:
        work: Takes the items in the order of their numbers.
        items: Of this process, each with its number among those of all processes.
    """
    processes = process_count()
    if processes == 1:
        return work([item for _, item in sorted(items, key=itemgetter(0))])
    parts: list[Sequence[tuple[int, Item]] | None] | None = [None] * processes if process_rank() == 0 else None
    distributed.gather_object(list(items), parts)
    results: list[Result | None] = [None]
    if parts is not None:
        joint = [item for part in parts if part is not None for item in part]
        results = [work([item for _, item in sorted(joint, key=itemgetter(0))])]
    distributed.broadcast_object_list(results)
    return cast(Result, results[0])
