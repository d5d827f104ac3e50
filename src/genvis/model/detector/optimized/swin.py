"""Swin for inference: padding is never projected, and one gather shifts, pads and cuts into windows.

Reference: transformers' `SwinBackbone`, whose parameters are used.

The zeros with which Swin fills its last windows take part in attention, but their queries, keys and values are the
biases of the projections; at window 12 that saves a third of the projections of the coarse maps. Likewise only
the windows at the border of a shifted map hold pixels that must not see each other: only they get a mask.
"""

from functools import lru_cache
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SwinBackbone
from transformers.models.swin.modeling_swin import SwinAttention, SwinLayer, SwinPatchMerging, SwinStage

from genvis.model.detector.optimized.geometry import MapSize
from genvis.model.detector.optimized.linear import apply_linear, feedforward
from genvis.model.detector.optimized.window_attention import window_attention


def swin_features(backbone: SwinBackbone, pixel_values: Tensor) -> tuple[Tensor, ...]:
    """Compute what ``backbone`` does, optimized in evaluation mode without gradient or tracing.

    Args:
        backbone: The module whose parameters are used.
        pixel_values: (F, 3, H, W).

    Returns:
        The feature maps that ``backbone`` is configured to return.
    """
    is_compiling = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    if backbone.training or torch.is_grad_enabled() or is_compiling:
        maps: tuple[Tensor, ...] = backbone(pixel_values).feature_maps
        return maps
    tokens, size = backbone.swin.embeddings(pixel_values)
    features = []
    for name, module in zip(backbone.stage_names[1:], backbone.swin.encoder.layers, strict=True):
        stage = cast(SwinStage, module)
        for block in stage.blocks:
            tokens = _block(cast(SwinLayer, block), tokens, size)
        if name in backbone.out_features:
            normalised = backbone.hidden_states_norms[name](tokens)
            features.append(normalised.unflatten(1, size).permute(0, 3, 1, 2))
        if stage.downsample is not None:
            tokens = _merge_patches(stage.downsample, tokens, size)
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    return tuple(features)


def _block(block: SwinLayer, tokens: Tensor, size: MapSize) -> Tensor:
    """Attention within windows and feed-forward, each normalised before: (F, H·W, C) to the same."""
    layout = window_layout(size, window=block.window_size, shift=block.shift_size, like=tokens)
    tokens = _attention(block.attention, block.layernorm_before(tokens), layout).add_(tokens)
    inner = feedforward(block.mlp.fc1, block.mlp.activation_fn, block.mlp.fc2, block.layernorm_after(tokens))
    return inner.add_(tokens)


def _attention(attention: SwinAttention, tokens: Tensor, layout: "WindowLayout") -> Tensor:
    frames, window_pixels = tokens.shape[0], layout.border_mask.shape[-1]
    query, key, value = (
        _to_windows(projection, tokens, layout, is_read=projection is not attention.q_proj)
        .unflatten(1, (-1, window_pixels))
        .unflatten(-1, (-1, attention.head_dim))
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    bias = attention.relative_position_bias()  # (1, M, window pixels, window pixels)
    inside = layout.windows_inside
    parts = []
    if inside:
        parts.append(_attend(query[:, :inside], key[:, :inside], value[:, :inside], mask=bias, scale=attention.scaling))
    if len(layout.border_mask):
        mask = (bias + layout.border_mask[:, None]).repeat(frames, 1, 1, 1)
        parts.append(_attend(query[:, inside:], key[:, inside:], value[:, inside:], mask=mask, scale=attention.scaling))
    attended = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return apply_linear(attention.o_proj, attended.index_select(1, layout.slot_of_pixel))


def _to_windows(projection: nn.Linear, tokens: Tensor, layout: "WindowLayout", *, is_read: bool) -> Tensor:
    """Project (F, H·W, C) and arrange it as windows, (F, slots, C); the projection of zero is the bias.

    What empty slots ask for (their queries) is not read by anyone, so there anything may be in them.
    """
    windows = apply_linear(projection, tokens).index_select(1, layout.pixel_of_slot)
    if is_read and len(layout.empty_slots):
        of_zero = windows.new_zeros(windows.shape[-1]) if projection.bias is None else projection.bias
        windows[:, layout.empty_slots] = of_zero
    return windows


def _attend(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor, scale: float) -> Tensor:
    """Attend within windows: (F, windows, window pixels, M, D) to (F, slots, M·D)."""
    frames = query.shape[0]
    query, key, value = (x.flatten(0, 1).transpose(1, 2) for x in (query, key, value))
    attended = window_attention(query, key, value, mask=mask, scale=scale)
    return attended.transpose(1, 2).reshape(frames, -1, attended.shape[1] * attended.shape[3])


def _merge_patches(merging: SwinPatchMerging, tokens: Tensor, size: MapSize) -> Tensor:
    """Halve the map, four pixels to one: (F, H·W, C) to (F, H/2·W/2, 2C)."""
    maps = tokens.unflatten(1, size)
    maps = F.pad(maps, (0, 0, 0, size[1] % 2, 0, size[0] % 2))
    patches = maps.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (F, H/2, 2, W/2, 2, C)
    merged = patches.permute(0, 1, 3, 4, 2, 5).flatten(3).flatten(1, 2)
    return apply_linear(merging.reduction, merging.norm(merged))


class WindowLayout(NamedTuple):
    """How the H·W pixels of a map lie in windows; a slot is a place in a window, windows without mask come first.

    Attributes:
        pixel_of_slot: (slots,), the pixel in each slot, 0 in those that are empty.
        empty_slots: (slots without a pixel,).
        slot_of_pixel: (H·W,).
        windows_inside: How many windows need no mask.
        border_mask: (windows at the border, window pixels, window pixels), added to the attention: -100 between pixels
            that are no neighbours, but met in a window because of the shift.
    """

    pixel_of_slot: Tensor
    empty_slots: Tensor
    slot_of_pixel: Tensor
    windows_inside: int
    border_mask: Tensor


def window_layout(size: MapSize, *, window: int, shift: int, like: Tensor) -> WindowLayout:
    """Return the layout of a map of H x W pixels; those used last are remembered.

    Args:
        size: H and W.
        window: Pixels of a side of a window.
        shift: Pixels by which the windows are shifted, 0 or half a window.
        like: Gives device, and type of the mask.
    """
    with torch.inference_mode(mode=False):
        return _remembered(size, window, shift, like.device, like.dtype)


def _build(size: MapSize, window: int, shift: int, device: torch.device, dtype: torch.dtype) -> WindowLayout:
    (height, width), (padded_height, padded_width) = size, (-(-side // window) * window for side in size)
    row = _windows(torch.arange(padded_height, device=device)[:, None].expand(-1, padded_width), window)
    column = _windows(torch.arange(padded_width, device=device).expand(padded_height, -1), window)
    # As in transformers: three bands along each axis, the last two of which the shift brings into one window.
    region = _bands(row, padded_height, window, shift) * 3 + _bands(column, padded_width, window, shift)
    is_border = (region != region[:, :1]).any(dim=1)
    order = is_border.int().argsort(stable=True)
    row, column, region = row[order], column[order], region[order]
    source_row = ((row + shift) % padded_height).flatten()
    source_column = ((column + shift) % padded_width).flatten()
    is_empty = (source_row >= height) | (source_column >= width)
    pixel_of_slot = torch.where(is_empty, 0, source_row * width + source_column)
    filled = (~is_empty).nonzero()[:, 0]
    slot_of_pixel = torch.empty(height * width, dtype=torch.long, device=device)
    slot_of_pixel[pixel_of_slot[filled]] = filled
    inside = int((~is_border).sum())
    border = region[inside:]
    mask = (border[:, :, None] != border[:, None]).to(dtype) * -100
    return WindowLayout(pixel_of_slot, is_empty.nonzero()[:, 0], slot_of_pixel, inside, mask)


_remembered = lru_cache(maxsize=32)(_build)


def _windows(plane: Tensor, window: int) -> Tensor:
    """Cut (H', W') into (windows, window pixels)."""
    return plane.unflatten(1, (-1, window)).unflatten(0, (-1, window)).transpose(1, 2).flatten(2).flatten(0, 1)


def _bands(position: Tensor, length: int, window: int, shift: int) -> Tensor:
    if shift == 0:
        return torch.zeros_like(position)
    return (position >= length - window).long() + (position >= length - shift).long()
