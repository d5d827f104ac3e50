"""Multi-head attention and feed-forward of some hundred queries, their products by the faster library.

Reference: `torch.nn.MultiheadAttention`, `torch.nn.functional.scaled_dot_product_attention`.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from genvis.model.detector.optimized.linear import apply_linear, linear


def multihead_attention(
    attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor, *, attend: Tensor | None = None
) -> Tensor:
    """Compute what ``attention`` does, with its dropout in training.

    Args:
        attention: The module whose parameters are used, with a projection and a bias for all three inputs.
        queries: (F, Q, C).
        keys: (F, N, C).
        values: (F, N, C).
        attend: (F, 1, Q or 1, N), true where a query may attend; None for everywhere.

    Returns:
        (F, Q, C).
    """
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    query, key, value = (
        linear(x, weight, bias) for x, weight, bias in zip((queries, keys, values), weights, biases, strict=True)
    )
    dropout = attention.dropout if attention.training else 0.0
    attended = attend_by_heads(query, key, value, heads=attention.num_heads, attend=attend, dropout=dropout)
    return apply_linear(attention.out_proj, attended)


def attend_by_heads(
    queries: Tensor, keys: Tensor, values: Tensor, *, heads: int, attend: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Attend in each head: (F, Q, C) to (F, N, C), all projected."""
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attend, dropout_p=dropout)
    return attended.transpose(1, 2).flatten(2)
