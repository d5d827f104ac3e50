"""Upscaling of patches to mask features, strip by strip: what lies between two operations stays in the cache.

Reference: transformers' `EomtScaleBlock` and `VideomtScaleBlock`, whose parameters are used.

A transposed convolution of 2x2 pixels with stride 2 makes four pixels of each one, so it is a product of rows, which
CPUs do in half the time. The map after the last layer is the largest of the network: masks are multiplied with its
strips, so that it never exists as a whole.
"""

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.eomt.modeling_eomt import EomtScaleBlock, EomtScaleLayer
from transformers.models.videomt.modeling_videomt import VideomtScaleBlock, VideomtScaleLayer

from genvis.model.detector.optimized.linear import linear

# Of a strip, 4 MB of float32 before the activation and as much after it: they stay in the cache. For each strip, lines
# are copied and the weights are arranged, so that small strips take longer.
_NUMBERS_AT_ONCE = 1_100_000

ScaleBlock = EomtScaleBlock | VideomtScaleBlock
ScaleLayer = EomtScaleLayer | VideomtScaleLayer


def upscaled_map(block: ScaleBlock, patches: Tensor) -> Tensor:
    """Compute what ``block`` does.

    Args:
        block: The module whose parameters are used; of at least one layer.
        patches: (F, h, w, C).

    Returns:
        (F, C, 2ⁿ·h, 2ⁿ·w) for n layers, channels last.
    """
    for layer in _layers(block):
        patches = _upscaled(layer, patches)
    return patches.permute(0, 3, 1, 2)


def upscaled_mask_logits(block: ScaleBlock, patches: Tensor, embeddings: Tensor) -> Tensor:
    """Multiply mask embeddings with the map that ``block`` makes.

    Args:
        block: The module whose parameters are used; of at least one layer.
        patches: (F, h, w, C).
        embeddings: (F, Q, C).

    Returns:
        (F, Q, 2ⁿ·h, 2ⁿ·w) float32 for n layers.
    """
    *layers, last = _layers(block)
    for layer in layers:
        patches = _upscaled(layer, patches)
    frames, height, width, _ = patches.shape
    logits = patches.new_empty(frames, embeddings.shape[1], 2 * height, 2 * width, dtype=torch.float32)
    for maps, of_frame, target in zip(patches, embeddings, logits, strict=True):
        start = 0
        for lines in _strips(last, maps):  # (lines, 2·w, C)
            product = linear(of_frame[None], lines.flatten(0, 1), None)[0]  # (Q, lines·2·w)
            target[:, start : start + len(lines)] = product.unflatten(1, lines.shape[:2])
            start += len(lines)
    return logits


def _upscaled(layer: ScaleLayer, maps: Tensor) -> Tensor:
    """Double maps: (F, h, w, C) to (F, 2·h, 2·w, C)."""
    frames, height, width, channels = maps.shape
    result = maps.new_empty(frames, 2 * height, 2 * width, channels)
    for frame, target in zip(maps, result, strict=True):
        start = 0
        for lines in _strips(layer, frame):
            target[start : start + len(lines)] = lines
            start += len(lines)
    return result


def _strips(layer: ScaleLayer, maps: Tensor) -> Iterator[Tensor]:
    """Double one map, (h, w, C), and give it line by line from the top, (lines, 2·w, C) each.

    The convolution of 3x3 pixels reads a line above and one below. So the last line of a strip waits for the next one.
    """
    height, width, channels = maps.shape
    weight, bias = _four_pixels(layer.conv1)
    smooth, norm = layer.conv2, layer.layernorm2d
    rows = min(height, max(1, _NUMBERS_AT_ONCE // (4 * width * channels)))
    lines = maps.new_zeros(2 * rows + 3, 2 * width, channels)
    filled = 1  # Above the map are zeros.
    for start in range(0, height, rows):
        piece = maps[start : start + rows]
        held, filled = filled, filled + 2 * len(piece)
        four = layer.activation(linear(piece.flatten(0, 1)[None], weight, bias))  # (1, rows·w, 2·2·C)
        four = four.view(len(piece), width, 2, 2, channels).transpose(1, 2)  # (rows, 2, w, 2, C)
        lines[held:filled].view_as(four).copy_(four)
        del four
        if start + rows >= height:  # Below the map, too.
            lines[filled] = 0
            filled += 1
        as_map = lines[:filled].permute(2, 0, 1)[None]  # (1, C, lines, 2·w)
        smoothed = F.conv2d(as_map, smooth.weight, smooth.bias, padding=(0, 1), groups=channels)
        yield F.layer_norm(smoothed[0].permute(1, 2, 0), (channels,), norm.weight, norm.bias, norm.eps)
        lines[:2] = lines[filled - 2 : filled].clone()
        filled = 2


def _four_pixels(convolution: nn.ConvTranspose2d) -> tuple[Tensor, Tensor | None]:
    """Return weight, (2·2·C_out, C), and bias, (2·2·C_out,), of a transposed convolution as a product of rows."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return weight, None if convolution.bias is None else convolution.bias.repeat(4)


def _layers(block: ScaleBlock) -> list[ScaleLayer]:
    return [cast(ScaleLayer, layer) for layer in block.block]
