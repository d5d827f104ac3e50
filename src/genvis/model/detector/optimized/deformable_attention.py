"""Multi-scale deformable attention as a weighted sum of rows, exact and several times faster on CPUs.

Reference: `_sum_of_grids` below, which GPUs run, and transformers' `multi_scale_deformable_attention`.

Every head of every query reads P points on each of L maps, each point bilinearly from 4 corners (Deformable DETR,
section 4.1): that is one weighted sum of 4·L·P rows of the table of values, which
`torch.nn.functional.embedding_bag` computes without any temporary of the size of the samples.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from genvis.model.detector.optimized.geometry import MapGeometry

# Bounds the temporaries of large frames; without gradient only, as autograd would keep them all.
_QUERIES_AT_ONCE = 8192


def deformable_attention(values: Tensor, positions: Tensor, weights: Tensor, geometry: MapGeometry) -> Tensor:
    """Sum bilinear samples of several maps; outside a map everything is zero.

    Args:
        values: (B, S, M, D), the L maps flattened one after the other, M heads of D channels.
        positions: (B, N, 2, M, L, P), x then y of each sample in pixels of its map; the centre of a map's first pixel
            is 0.
        weights: (B, N, M, L, P), the attention of each sample.
        geometry: Of the L maps.

    Returns:
        (B, N, M·D). Differentiable once in the first three arguments.
    """
    # Exported graphs have an operation for grids, but none for sums of rows.
    is_exporting = torch.compiler.is_exporting()
    if values.device.type != "cpu" or is_exporting or min(min(size) for size in geometry.sizes) < 2:
        return _sum_of_grids(values, positions, weights, geometry)
    if positions.dtype in (torch.float16, torch.bfloat16):
        positions = positions.float()
    if torch.is_grad_enabled() and (values.requires_grad or positions.requires_grad or weights.requires_grad):
        return _sum_of_rows(values, positions, weights, geometry)
    parts = zip(positions.split(_QUERIES_AT_ONCE, 1), weights.split(_QUERIES_AT_ONCE, 1), strict=True)
    sums = [_sum_of_rows(values, *part, geometry) for part in parts]
    return sums[0] if len(sums) == 1 else torch.cat(sums, dim=1)


def sample_weights(logits: Tensor) -> Tensor:
    """Return the softmax over the last dimension, without gradient faster than PyTorch does over so few samples."""
    if torch.is_grad_enabled() and logits.requires_grad:
        return logits.softmax(dim=-1)
    exponentials = (logits - logits.amax(dim=-1, keepdim=True)).exp_()
    return exponentials.div_(exponentials.sum(dim=-1, keepdim=True))


def _sum_of_rows(values: Tensor, positions: Tensor, weights: Tensor, geometry: MapGeometry) -> Tensor:
    """Compute `deformable_attention` for maps of at least 2 x 2 pixels."""
    batch, length, heads, channels = values.shape
    # Of the two pixels that are read on an axis, the first is kept inside so that the second is inside too.
    floor = positions.detach().floor()
    first = floor.minimum(geometry.last_first).clamp_(min=0)
    (x_first, y_first), (x_second, y_second) = (x.unbind(2) for x in _axis_weights(positions, floor, first))
    upper, lower = weights * y_first, weights * y_second
    corner_weights = torch.stack([upper * x_first, upper * x_second, lower * x_first, lower * x_second], dim=3)

    # What is not a number becomes the least integer, which must not lead to a row outside the table.
    x, y = first.int().clamp_(min=0).mul_(geometry.row_steps).unbind(2)
    index_type = torch.int32 if batch * length * heads < 2**31 else torch.int64
    frame = torch.arange(0, batch * length * heads, length * heads, dtype=index_type, device=values.device)
    here = (x + y) + (geometry.first_rows + frame.view(-1, 1, 1, 1, 1))
    right, below = geometry.row_steps
    corners = torch.stack([here, here + right, here + below, here + (right + below)], dim=3)

    table = values.reshape(-1, channels)
    summed = weighted_row_sum(table, corners.flatten(0, 2).flatten(1), corner_weights.flatten(0, 2).flatten(1))
    return summed.view(batch, -1, heads * channels)


def _axis_weights(positions: Tensor, floor: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bilinear weights of pixel ``first`` and of the one after it; zero where both are off the map."""
    if not positions.requires_grad:
        distance = positions - first
        of_first = distance.abs().neg_().add_(1).relu_()
        return of_first, distance.sub_(1).abs_().neg_().add_(1).relu_()
    # The same with the one-sided derivative on the pixels themselves, where fresh sampling offsets lie.
    fraction = positions - floor
    complement = 1 - fraction
    shift = floor - first  # 0 inside, -1 just before the first pixel, 1 just after the last one.
    zero = fraction.new_zeros(())
    of_first = torch.where(shift == 0, complement, torch.where(shift == -1, fraction, zero))
    of_second = torch.where(shift == 0, fraction, torch.where(shift == 1, complement, zero))
    return of_first, of_second


def weighted_row_sum(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return for each i the sum over k of ``weights[i, k] * table[rows[i, k]]``.

    Args:
        table: (R, D).
        rows: (N, K), integer.
        weights: (N, K).

    Returns:
        (N, D) of the type of ``table``. Differentiable once in ``table`` and ``weights``.
    """
    weights = weights.to(table.dtype)
    if not (torch.is_grad_enabled() and table.requires_grad):
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    summed = F.embedding_bag(rows, table.detach(), mode="sum", per_sample_weights=weights)
    return _TableGradient.apply(summed, table, rows, weights.detach())


class _TableGradient(torch.autograd.Function):
    """Gives a weighted sum of rows its gradient with respect to the table.

    That of ``embedding_bag`` itself takes 4 times as long on a CPU: here the terms are sorted by row, which makes the
    gradient a weighted sum of rows again.
    """

    @staticmethod
    def forward(ctx: Any, summed: Tensor, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.num_rows = len(table)
        return summed.view_as(summed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        rows, weights = ctx.saved_tensors
        flat = rows.flatten()
        order = flat.argsort()
        ends = torch.bincount(flat, minlength=ctx.num_rows).cumsum(0)
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        sources = order.div(rows.shape[1], rounding_mode="floor")
        of_term = weights.flatten().index_select(0, order)
        of_table = F.embedding_bag(sources, gradient.contiguous(), starts, mode="sum", per_sample_weights=of_term)
        return gradient, of_table, None, None


def _sum_of_grids(values: Tensor, positions: Tensor, weights: Tensor, geometry: MapGeometry) -> Tensor:
    """Compute `deformable_attention` by sampling one map after the other, as is faster on GPUs."""
    batch, _, heads, channels = values.shape
    queries = positions.shape[1]
    per_head = weights.permute(0, 2, 1, 3, 4).reshape(batch * heads, 1, queries, -1)
    grids = (2 * positions + 1) / (geometry.last_first + 2) - 1  # (B, N, 2, M, L, P), the maps within -1..1
    samples = []
    for level, part in enumerate(values.split(geometry.pixels, dim=1)):
        height, width = geometry.sizes[level]
        maps = part.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        grid = grids[:, :, :, :, level].permute(0, 3, 1, 4, 2).flatten(0, 1)  # (B·M, N, P, 2)
        samples.append(F.grid_sample(maps, grid.to(maps.dtype), align_corners=False))
    summed = (torch.cat(samples, dim=-1) * per_head).sum(-1)
    return summed.view(batch, heads * channels, queries).mT
