"""Gated propagation: a learned gate instead of the prototype memory, with a state of constant size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPEN_GATE = 4.0
"""Bias of a new gate, whose weights are 0: g = 0.982 is almost the published propagation, but has a gradient."""


class PropagationGate(nn.Module):
    """Queries for the next clip from those of this clip and the previous one: g·p + (1 - g)·q.

    g = sigmoid(W [p, q] + b), with q what this clip started from, has a value for each query and channel, as the update
    gate of a GRU: what says who an object is may stay while what says where it is goes on. Not from the paper, which
    keeps the past in a memory. A gate of 1 is the published propagation.

    Args:
        hidden_dim: C.
    """

    def __init__(self, *, hidden_dim: int) -> None:
        super().__init__()
        # Parameters of its own: transformers does not initialise modules that have none.
        self.weight = nn.Parameter(torch.zeros(hidden_dim, 2 * hidden_dim))
        self.bias = nn.Parameter(torch.full((hidden_dim,), OPEN_GATE))

    def forward(self, prototypes: Tensor, before: Tensor) -> Tensor:
        """Return the queries for the next clip, (B, Q, C).

        Args:
            prototypes: (B, Q, C), p of this clip.
            before: (B, Q, C), the queries that this clip started from.
        """
        gate = F.linear(torch.cat([prototypes, before], dim=-1), self.weight, self.bias).sigmoid()  # (B, Q, C)
        return torch.lerp(before, prototypes, gate.to(prototypes.dtype))
