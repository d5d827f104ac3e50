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

    def forward(self, prototypes: Tensor, keys: Tensor, values: Tensor, *, is_filled: Tensor | None = None) -> Tensor:
        """Read the memory.

        Args:
            prototypes: (B, Q, C), the previous clip's instance prototypes, or the learned queries of the first clip.
            keys: (B, M, Q, C) of M past clips.
            values: (B, M, Q, C).
            is_filled: Which places are read; None for all. (B, M) bool: which hold a clip, in a padded memory.
                (B, M, Q) bool: those of a query of which it is to know, see `PrototypeMemory.released`.

        Returns:
            (B, Q, C), the instance queries of this clip.
        """
        queries = prototypes + self.query_value(prototypes)  # (B, Q, C)
        if keys.shape[1] == 0:
            return queries
        query_key = self.query_key(prototypes)  # (B, Q, C)
        if self.is_global:
            logits = query_key @ keys.flatten(1, 2).mT  # (B, Q, M·Q)
            if is_filled is not None:
                by_query = is_filled if is_filled.ndim == 3 else is_filled[:, :, None].expand(-1, -1, keys.shape[2])
                is_filled = by_query.flatten(1)[:, None]  # (B, 1, M·Q)
            weights = _filled_softmax(logits, is_filled)
            return queries + weights @ values.flatten(1, 2)
        if is_filled is not None:
            is_filled = is_filled.mT if is_filled.ndim == 3 else is_filled[:, None]  # (B, Q, M) or (B, 1, M)
        weights = _filled_softmax(torch.einsum("bqc,bmqc->bqm", query_key, keys), is_filled)  # (B, Q, M)
        return queries + torch.einsum("bqm,bmqc->bqc", weights, values)

    def store(self, normalised_prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the key and value, (B, Q, C) each, that the memory keeps of a clip's normalised prototypes."""
        return self.memory_key(normalised_prototypes), self.memory_value(normalised_prototypes)


def _filled_softmax(logits: Tensor, filled: Tensor | None) -> Tensor:
    """Return the softmax of (B, Q, N) over the places that are filled, (B, 1 or Q, N) bool; 0 where none is."""
    if filled is None:
        return logits.softmax(dim=-1)
    weights = logits.masked_fill(~filled, torch.finfo(logits.dtype).min).softmax(dim=-1)
    return weights * filled.to(weights.dtype)
