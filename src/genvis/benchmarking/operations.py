"""Counts of floating-point operations on CPUs too, where PyTorch's counter knows neither oneDNN's nor attention."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_flop_count

Shape = tuple[int, ...]


def operation_counter() -> FlopCounterMode:
    """Return a counter of the operations of products, convolutions and attention; it does not work in inference mode.

    A fused activation counts as little as one by itself: not at all.
    """
    counts: dict[Any, Callable[..., int]] = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _of_attention}
    for name, count in (("_linear_pointwise", _of_product), ("_convolution_pointwise", _of_convolution)):
        packet = getattr(torch.ops.mkldnn, name, None)
        if packet is not None:
            counts[packet] = count
    return FlopCounterMode(display=False, custom_mapping=counts)


def _of_attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


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
