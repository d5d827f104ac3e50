"""Attention among some thousand tokens, for which PyTorch's attention on CPUs calls the slower of its two libraries.

Reference: `torch.nn.functional.scaled_dot_product_attention`.

It multiplies small tiles by MKL. Two large products of oneDNN for each head, with a softmax between, take 0.6 of its
time on CPUs not made by Intel: see `genvis.model.detector.optimized.linear`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from genvis.model.detector.optimized.linear import linear

# Fewer are faster by PyTorch's attention.
_FEWEST_SCORES = 500_000
# Of one head, 8 MB of float32: they stay in the cache. A piece has its keys and values arranged for it, so that small
# pieces take longer.
_SCORES_AT_ONCE = 2_000_000
_DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def token_attention(query: Tensor, key: Tensor, value: Tensor, *, heads: int, mask: Tensor | None = None) -> Tensor:
    """Compute softmax(Q·Kᵀ/√D + mask)·V in each of M heads of D channels.

    Args:
        query: (F, N, M·D).
        key: (F, S, M·D).
        value: (F, S, M·D).
        heads: M.
        mask: (F, 1, N, S), added to the scores, or None.

    Returns:
        (F, N, M·D).
    """
    scale = (query.shape[-1] // heads) ** -0.5
    if mask is not None or not _is_faster_in_pieces(query, key):
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))  # (F, M, N, D)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
        return attended.transpose(1, 2).flatten(2)
    result = torch.empty_like(query)
    length = query.shape[1]
    pieces = min(length, -(-length * key.shape[1] // _SCORES_AT_ONCE))
    for frame in zip(query * scale, key, value, result, strict=True):
        for q, k, v, of_head in zip(*(x.chunk(heads, dim=-1) for x in frame), strict=True):  # (N, D), (S, D)
            for rows, attended in zip(q.tensor_split(pieces), of_head.tensor_split(pieces), strict=True):
                scores = linear(rows[None], k, None)  # (1, rows, S)
                # In place: another map of this size would push the first one out of the cache.
                torch.softmax(scores, dim=-1, out=scores)
                attended.copy_(linear(scores, v.mT, None)[0])
    return result


def _is_faster_in_pieces(query: Tensor, key: Tensor) -> bool:
    is_inference = not (torch.is_grad_enabled() or torch.compiler.is_exporting())
    is_cpu = query.device.type == "cpu" and query.dtype in _DTYPES
    return is_inference and is_cpu and query.shape[1] * key.shape[1] >= _FEWEST_SCORES
