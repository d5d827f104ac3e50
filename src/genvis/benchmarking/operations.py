"""Counts of floating-point operations, with those of oneDNN's own operations, which PyTorch's counter does not know."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

Shape = tuple[int, ...]


def operation_counter() -> FlopCounterMode:
    """Return a counter of the operations of products, convolutions and attention; it does not work in inference mode.

    A fused activation counts as little as one by itself: not at all.
    """
    packets: dict[str, Callable[..., int]] = {
        "_linear_pointwise": _of_product,
        "_convolution_pointwise": _of_convolution,
    }
    found = {getattr(torch.ops.mkldnn, name, None): count for name, count in packets.items()}
    return FlopCounterMode(display=False, custom_mapping={packet: count for packet, count in found.items() if packet})


def _of_product(x: Shape, weight: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Count a product of (..., C) and (D, C)."""
    rows = 1
    for length in x[:-1]:
        rows *= length
    return 2 * rows * weight[0] * weight[1]


def _of_convolution(x: Shape, second: Shape, third: Shape | None, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Count a convolution of (F, C, H, W): with a weight and a bias, or with a map to be added and a weight."""
    weight = third if third is not None and len(third) == len(x) else second
    return int(conv_flop_count(list(x), list(weight), list(out_shape)))
