"""Attention within windows of some 100 pixels, for which PyTorch's attention on CPUs is not made.

Reference: `torch.nn.functional.scaled_dot_product_attention`.

`torch.nn.functional.scaled_dot_product_attention` walks over long sequences in small tiles. A window is one tile: two
batched products and a softmax of a few windows at a time, which stay in the cache, take two thirds of its time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_SCORES_AT_ONCE = 1_000_000


def window_attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor, scale: float) -> Tensor:
    """Compute softmax(scale·QKᵀ + mask)·V in each window.

    Args:
        query: (W, M, N, D), W windows of N pixels, M heads.
        key: (W, M, N, D).
        value: (W, M, N, D).
        mask: (W, M, N, N), or (1, M, N, N) for all windows; added to the scores.
        scale: Of the scores.

    Returns:
        (W, M, N, D); its N and M dimensions are swapped in memory, as the next projection reads it.
    """
    windows, heads, pixels, channels = query.shape
    is_cpu = query.device.type == "cpu" and query.dtype in (torch.float32, torch.float64)
    if not is_cpu or torch.compiler.is_exporting():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    attended = query.new_empty(windows, pixels, heads, channels).transpose(1, 2)
    at_once = max(1, _SCORES_AT_ONCE // (heads * pixels * pixels))
    for start in range(0, windows, at_once):
        part = slice(start, start + at_once)
        q, k, v = (x[part].flatten(0, 1) for x in (query, key, value))
        bias = mask.expand(windows, -1, -1, -1)[part].flatten(0, 1)
        scores = torch.baddbmm(bias, q, k.mT, alpha=scale).softmax(dim=-1)
        attended[part] = (scores @ v).view(-1, heads, pixels, channels)
    return attended
