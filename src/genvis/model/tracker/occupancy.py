"""Occupancy-weighted propagation: a query without an object stays what it was."""

import torch
from torch import Tensor


def occupancy_mixture(new: Tensor, old: Tensor, class_logits: Tensor) -> Tensor:
    """Return p·new + (1 - p)·old with the occupancy p = 1 - P(no object): the queries for the next clip.

    An object that is hidden in a clip keeps its query, which would drift otherwise. A row of zeros is a query without a
    past, which becomes the new one. Published models were trained with p = 1; those with ``propagation="occupancy"`` in
    their configuration were trained with this.

    Args:
        new: (B, Q, C), the queries of this clip.
        old: (B, Q, C), those of the previous clip.
        class_logits: (B, Q, K + 1) of this clip, the last class is "no object".
    """
    occupied = 1 - class_logits.float().softmax(dim=-1)[..., -1:]  # (B, Q, 1)
    old = torch.where(old.any(dim=-1, keepdim=True), old, new)
    return torch.lerp(old, new, occupied.to(new.dtype))
