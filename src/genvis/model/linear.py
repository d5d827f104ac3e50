"""Matrix products of many rows by the faster of the two libraries that PyTorch brings for CPUs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    if x.device.type != "cpu" or torch.is_grad_enabled():
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
