"""Matrix products of many rows by the faster of the two libraries that PyTorch has for CPUs.

Reference: `torch.nn.functional.linear`.

On a CPU ``torch.nn.functional.linear`` calls MKL, which takes twice as long as oneDNN on CPUs not made by Intel. oneDNN
is reached by a 1x1 convolution of a channels-last map, or by the operations that ``torch.compile`` calls, which also
apply an activation while the result is in the cache. They compute the same.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import GELUActivation

Activation = Callable[[Tensor], Tensor]

# 32 MB of float32, the largest that the C library keeps for the next one. Larger temporaries get fresh memory from the
# system each time, and clearing that takes up to half as long as the products.
_NUMBERS_AT_ONCE = 8_000_000
# Below so many multiplications, calling oneDNN takes longer than it saves: 20 x 64 x 256 takes 15 instead of 8 us.
_FEWEST_PRODUCTS = 2_000_000
# From so many rows on, oneDNN's convolution takes up to a tenth less time than its product.
_ROWS_OF_CONVOLUTION = 2048


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation | None = None) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``.

    Args:
        x: (..., C).
        weight: (D, C).
        bias: (D,).
        activation: Of single numbers; may work in place. None for none.

    Returns:
        (..., D).
    """
    if not uses_onednn(x) or x.numel() * len(weight) < _FEWEST_PRODUCTS:
        product = F.linear(x, weight, bias)
        return product if activation is None else activation(product)
    name = _name(activation)
    # The algorithm "none" is that of GELU by the error function; others have no choice.
    fused: tuple[str, list[float], str] = (name or "none", [], "none")
    rows = x.numel() // x.shape[-1]
    if x.dtype == torch.float32 and rows >= _ROWS_OF_CONVOLUTION:
        as_map = x.reshape(1, 1, rows, -1).permute(0, 3, 1, 2)  # channels last
        product = _convolve(as_map, weight[:, :, None, None], bias, [0, 0], [1, 1], [1, 1], 1, *fused)
        product = product.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)
    else:
        product = _multiply(x, weight, bias, *fused)
    return product if activation is None or name is not None else activation(product)


def uses_onednn(x: Tensor) -> bool:
    """Whether oneDNN's operations can compute from ``x``: on a CPU, without gradient, autocast or a graph."""
    is_eager = not (torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.compiler.is_exporting())
    is_suitable = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and x.numel() > 0
    # Autocast does not know these operations, and so would not bring their inputs to one type.
    return is_eager and is_suitable and not torch.is_autocast_enabled("cpu") and _has_onednn(x.dtype)


def _multiply(x: Tensor, weight: Tensor, *others: Any) -> Tensor:
    # Of a part of a larger matrix, such as one head's keys, the product would take a thousand times as long.
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight.contiguous(), *others))


def _convolve(*arguments: Any) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._convolution_pointwise(*arguments))


@cache
def _has_onednn(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has oneDNN's operations, which are not promised to stay, for numbers of this type."""
    ones = torch.ones(1, 2, 4, dtype=dtype)
    try:
        with torch.inference_mode():
            product = _multiply(ones, ones[0], None, "relu", [], "none")
            as_map, kernel = ones[None].permute(0, 3, 1, 2), ones[0, :, :, None, None]
            mapped = _convolve(as_map, kernel, None, [0, 0], [1, 1], [1, 1], 1, "relu", [], "none")
        return bool((product == 4).all() and (mapped == 4).all())
    except (AttributeError, RuntimeError, TypeError):
        return False


def _name(activation: Activation | None) -> str | None:
    """Return oneDNN's name of an activation, or None if it has to be called."""
    if activation is None:
        return None
    if activation is F.relu or type(activation) is nn.ReLU:
        return "relu"
    if isinstance(activation, GELUActivation):
        activation = activation.act
    is_gelu = activation is F.gelu or (type(activation) is nn.GELU and activation.approximate == "none")
    return "gelu" if is_gelu else None


def apply_linear(module: nn.Module, x: Tensor, activation: Activation | None = None) -> Tensor:
    """Apply a module, and an activation, to (..., C): by `linear` if it is exactly ``torch.nn.Linear``, else (an
    adapter, a quantised layer) by its own forward.
    """
    if type(module) is nn.Linear:
        return linear(x, module.weight, module.bias, activation)
    result: Tensor = module(x)
    return result if activation is None else activation(result)


def feedforward(first: nn.Module, activation: Activation, second: nn.Module, x: Tensor) -> Tensor:
    """Apply two layers with an activation between, without gradient in pieces of rows that keep the hidden map small.

    Args:
        first: From C to the hidden width, as in `apply_linear`.
        activation: As in `linear`.
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
        return apply_linear(second, apply_linear(first, x, activation))
    rows = x.reshape(1, frames * length, -1)
    result = torch.empty_like(rows)
    for source, target in zip(rows.tensor_split(pieces, 1), result.tensor_split(pieces, 1), strict=True):
        target.copy_(apply_linear(second, apply_linear(first, source, activation)))
    return result.view_as(x)
