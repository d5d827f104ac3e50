"""Reading of the instance prototype memory: how a query sees its past (paper, section 3.3)."""

import torch
from torch import Tensor, nn


class PrototypeMemoryReader(nn.Module):
    """Instance queries of a clip from the last prototypes and the memory: q = p + V_q(p) + z (paper, section 3.3).

    The index-wise read z_j = Σ_k softmax_k(<K_q(p_j), K_m(m_j^k)>) · V_m(m_j^k) sees the past clips k of the same query
    j only; the global read (Table 5) sees those of all queries. The softmax has no scaling by the width, as in the
    published weights.

    Args:
        hidden_dim: C.
        is_global: Read the prototypes of all queries instead of only the query's own.
    """

    def __init__(self, *, hidden_dim: int, is_global: bool) -> None:
        super().__init__()
        self.is_global = is_global
        self.query_key = nn.Linear(hidden_dim, hidden_dim)
        self.query_value = nn.Linear(hidden_dim, hidden_dim)
        self.memory_key = nn.Linear(hidden_dim, hidden_dim)
        self.memory_value = nn.Linear(hidden_dim, hidden_dim)

    def forward(self, prototypes: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Read the memory.

        Args:
            prototypes: (B, Q, C), the previous clip's instance prototypes, or the learned queries of the first clip.
            keys: (B, M, Q, C) of M past clips.
            values: (B, M, Q, C).

        Returns:
            (B, Q, C), the instance queries of this clip.
        """
        queries = prototypes + self.query_value(prototypes)  # (B, Q, C)
        if keys.shape[1] == 0:
            return queries
        query_key = self.query_key(prototypes)  # (B, Q, C)
        if self.is_global:
            weights = (query_key @ keys.flatten(1, 2).mT).softmax(dim=-1)  # (B, Q, M·Q)
            return queries + weights @ values.flatten(1, 2)
        weights = torch.einsum("bqc,bmqc->bqm", query_key, keys).softmax(dim=-1)  # (B, Q, M)
        return queries + torch.einsum("bqm,bmqc->bqc", weights, values)

    def store(self, normalised_prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the key and value, (B, Q, C) each, that the memory keeps of a clip's normalised prototypes."""
        return self.memory_key(normalised_prototypes), self.memory_value(normalised_prototypes)
