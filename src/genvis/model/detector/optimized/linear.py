"""Matrix products of many rows by the faster of the two libraries that PyTorch has for CPUs.

Reference: `torch.nn.functional.linear`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# 18 MB of float32. Larger temporaries get fresh memory from the system each time, and clearing that takes up to half as
# long as the products; smaller ones make the products slower.
_NUMBERS_AT_ONCE = 4_500_000


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias``.

    On a CPU ``torch.nn.functional.linear`` calls MKL and a 1x1 convolution of a channels-last map calls oneDNN; they
    compute the same, but on CPUs not made by Intel the second takes a quarter less time.

    Args:
        x: (F, S, C).
        weight: (D, C).
        bias: (D,).

    Returns:
        (F, S, D).
    """
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_exporting():
        return F.linear(x, weight, bias)
    as_map = x.unsqueeze(1).permute(0, 3, 1, 2)
    return F.conv2d(as_map, weight[:, :, None, None], bias).permute(0, 2, 3, 1).squeeze(1)


def apply_linear(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module to (F, S, C): by `linear` if it is exactly ``torch.nn.Linear``, else (an adapter, a quantised
    layer) by its own forward.
    """
    if type(module) is nn.Linear:
        return linear(x, module.weight, module.bias)
    result: Tensor = module(x)
    return result


def feedforward(first: nn.Module, activation: Callable[[Tensor], Tensor], second: nn.Module, x: Tensor) -> Tensor:
    """Apply two layers with an activation between, without gradient in pieces of rows that keep the hidden map small.

    Args:
        first: From C to the hidden width, as in `apply_linear`.
        activation: Of single numbers; may work in place.
        second: From the hidden width to C, as in `apply_linear`.
        x: (F, S, C).

    Returns:
        (F, S, C).
    """
    frames, length, _ = x.shape
    pieces = 1
    if isinstance(first, nn.Linear) and not (torch.is_grad_enabled() or torch.compiler.is_exporting()):
        pieces = min(frames * length, -(-frames * length * first.out_features // _NUMBERS_AT_ONCE))
    if pieces == 1:
        return apply_linear(second, activation(apply_linear(first, x)))
    rows = x.reshape(1, frames * length, -1)
    result = torch.empty_like(rows)
    for source, target in zip(rows.tensor_split(pieces, 1), result.tensor_split(pieces, 1), strict=True):
        target.copy_(apply_linear(second, activation(apply_linear(first, source))))
    return result.view_as(x)
