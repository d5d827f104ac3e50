"""Multi-scale deformable attention as a weighted sum of rows, exact and several times faster than sampling grids.

Every head of every query reads P points on each of L maps, each point bilinearly from 4 corners (Deformable DETR,
section 4.1): that is one weighted sum of 4·L·P rows of the table of values, which
`torch.nn.functional.embedding_bag` computes without any temporary of the size of the samples.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MapSize = tuple[int, int]


def deformable_attention(values: Tensor, positions: Tensor, weights: Tensor, sizes: Sequence[MapSize]) -> Tensor:
    """Sum bilinear samples of several maps; outside a map everything is zero.

    Args:
        values: (B, S, M, D), the L maps flattened one after the other, M heads of D channels.
        positions: (B, N, 2, M, L, P), x then y of each sample in pixels of its map; the centre of a map's first pixel
            is 0.
        weights: (B, N, M, L, P), the attention of each sample.
        sizes: Height and width of the L maps.

    Returns:
        (B, N, M·D). Differentiable once in the first three arguments.
    """
    if values.device.type != "cpu" or min(min(size) for size in sizes) < 2:
        return _sum_of_grids(values, positions, weights, sizes)
    return _sum_of_rows(values, positions, weights, sizes)


def _sum_of_rows(values: Tensor, positions: Tensor, weights: Tensor, sizes: Sequence[MapSize]) -> Tensor:
    """Compute `deformable_attention` for maps of at least 2 x 2 pixels."""
    batch, length, heads, channels = values.shape
    queries = positions.shape[1]
    layout = _Layout.of(sizes, heads=heads, batch=batch, length=length, device=values.device)
    positions = positions.float()
    floor = positions.detach().floor()
    # The first of the two pixels that are read on an axis is kept inside, so that the second one is inside too;
    # fmax takes what is not a number to be 0, so that no row outside the table is ever read.
    first = floor.fmax(floor.new_zeros(())).minimum(layout.last_first)
    axis_weights = _axis_weights(positions, floor, first)  # (B, N, 2, 2, M, L, P): pixel, axis
    x, y = first.to(layout.rows.dtype).unbind(2)
    rows = (y * layout.row_step + x * heads).add_(layout.rows)
    corners = rows[:, :, :, None] + layout.corners  # (B, N, M, 4, L, P)
    (left, top), (right, bottom) = (pixel.unbind(2) for pixel in axis_weights)
    upper, lower = weights * top, weights * bottom
    corner_weights = torch.stack([upper * left, upper * right, lower * left, lower * right], dim=3)
    summed = weighted_row_sum(
        values.reshape(-1, channels), corners.flatten(3).flatten(0, 2), corner_weights.flatten(3).flatten(0, 2)
    )
    return summed.view(batch, queries, heads * channels)


def _axis_weights(positions: Tensor, floor: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bilinear weights of pixel ``first`` and of the one after it; zero where both are off the map."""
    fraction = positions - floor
    complement = 1 - fraction
    shift = floor - first  # 0 inside, -1 just before the first pixel, 1 just after the last one.
    zero = fraction.new_zeros(())
    inside = shift == 0
    of_first = torch.where(inside, complement, torch.where(shift == -1, fraction, zero))
    of_second = torch.where(inside, fraction, torch.where(shift == 1, complement, zero))
    return of_first, of_second


class _Layout:
    """Where the pixels of several flattened maps lie in the table of rows (batch, pixel, head).

    Attributes:
        last_first: (2, 1, L, 1), width - 2 and height - 2.
        row_step: (L, 1), rows from a pixel to the one below.
        rows: (B, 1, M, L, 1), the row of each map's first pixel.
        corners: (4, L, 1), rows from a pixel to itself, right, below, below right.
    """

    def __init__(self, sizes: Sequence[MapSize], *, heads: int, batch: int, length: int, device: torch.device) -> None:
        index_type = torch.int32 if batch * length * heads < 2**31 else torch.int64
        height, width = torch.tensor(sizes, device=device).unbind(1)
        self.last_first = torch.stack([width - 2, height - 2]).view(2, 1, -1, 1).float()
        row_step = width * heads
        self.row_step = row_step[:, None].to(index_type)
        starts = (height * width).cumsum(0) - height * width
        samples = torch.arange(batch, device=device).view(-1, 1, 1, 1, 1) * (length * heads)
        head = torch.arange(heads, device=device).view(-1, 1, 1)
        self.rows = (samples + head + starts[:, None] * heads).to(index_type)
        right = torch.full_like(row_step, heads)
        self.corners = torch.stack([0 * right, right, row_step, row_step + right])[:, :, None].to(index_type)

    @classmethod
    def of(cls, sizes: Sequence[MapSize], *, heads: int, batch: int, length: int, device: torch.device) -> "_Layout":
        return cls(sizes, heads=heads, batch=batch, length=length, device=device)


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


def _sum_of_grids(values: Tensor, positions: Tensor, weights: Tensor, sizes: Sequence[MapSize]) -> Tensor:
    """Compute `deformable_attention` by sampling one map after the other, as is faster on GPUs."""
    batch, _, heads, channels = values.shape
    queries = positions.shape[1]
    per_head = weights.permute(0, 2, 1, 3, 4).reshape(batch * heads, 1, queries, -1)
    samples = []
    for level, part in enumerate(values.split([height * width for height, width in sizes], dim=1)):
        height, width = sizes[level]
        maps = part.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        size = torch.tensor([width, height], device=positions.device)
        pixel = positions[:, :, :, :, level].permute(0, 3, 1, 4, 2).flatten(0, 1)
        grid = (2 * pixel + 1) / size - 1
        samples.append(F.grid_sample(maps, grid.to(maps.dtype), align_corners=False))
    summed = (torch.cat(samples, dim=-1) * per_head).sum(-1)
    return summed.view(batch, heads * channels, queries).mT
