"""Process groups: sums over all processes, so that many learn exactly as one with the joint batch would."""

import os
from typing import TypeVar

import torch
from torch import Tensor, distributed

Item = TypeVar("Item")

# As Lightning, torchrun, SLURM and LSF number processes and machines.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def is_first_process() -> bool:
    """Return whether this is the process of a run that writes, before there is a process group."""
    return all(os.environ.get(name, "0") in ("", "0") for name in _RANKS)


def process_count() -> int:
    """Return how many processes train together; 1 without a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


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


def gathered(items: list[Item]) -> list[Item]:
    """Return the items of all processes, those of process 0 first."""
    processes = process_count()
    if processes == 1:
        return items
    parts: list[list[Item] | None] = [None] * processes
    distributed.all_gather_object(parts, items)
    return [item for part in parts if part is not None for item in part]
