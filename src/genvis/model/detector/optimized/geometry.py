"""Geometry of feature maps: depends on their sizes alone, computed once, shared by all layers and frames."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from transformers.models.mask2former.modeling_mask2former import Mask2FormerSinePositionEmbedding

MapSize = tuple[int, int]


class MapGeometry(NamedTuple):
    """L feature maps, flattened one after the other to S pixels, and how deformable attention reads them.

    M heads read P points on each map; a sample is one of M·L·P.

    Attributes:
        sizes: Height and width of the maps.
        sine: (S, C), the sine embedding of each pixel's position in its map.
        reference: (S, 2·M·L·P), where each pixel lies on the map of each sample: all x, then all y, in that map's
            pixels, the centre of its first pixel being 0. At least float32.
        last_first: (2, M, L, P), width - 2 and height - 2: the last pixel with a pixel after it.
        row_steps: (2, M, L, P), int32: in a table with a row for each pixel and head, the rows from a pixel to the one
            on its right and to the one below.
        first_rows: (M, L, P), int32, the row of the map's first pixel.
    """

    sizes: tuple[MapSize, ...]
    sine: Tensor
    reference: Tensor
    last_first: Tensor
    row_steps: Tensor
    first_rows: Tensor

    @property
    def pixels(self) -> list[int]:
        """The number of pixels of each map."""
        return [height * width for height, width in self.sizes]


def map_geometry(sizes: tuple[MapSize, ...], *, channels: int, heads: int, points: int, like: Tensor) -> MapGeometry:
    """Return the geometry of maps; that of the sizes used last is remembered.

    Args:
        sizes: Height and width of each map.
        channels: C, of the position embedding.
        heads: M.
        points: P.
        like: Gives the device, and the type of the position embedding.
    """
    layout = _Layout(sizes, channels, heads, points)
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return _build(layout, like.device, like.dtype)
    # What is kept may be used for training later, which tensors made in inference mode may not.
    with torch.inference_mode(mode=False):
        return _remembered(layout, like.device, like.dtype)


class _Layout(NamedTuple):
    sizes: tuple[MapSize, ...]
    channels: int
    heads: int
    points: int


def _build(layout: _Layout, device: torch.device, dtype: torch.dtype) -> MapGeometry:
    sizes, channels, heads, points = layout
    embedding = Mask2FormerSinePositionEmbedding(num_position_features=channels // 2, normalize=True)
    sine = [embedding(torch.Size((1, channels, *size)), device, dtype)[0].flatten(1).T for size in sizes]
    height, width = torch.tensor(sizes, device=device).unbind(1)
    samples = (heads, len(sizes), points)
    pixels = height * width
    first_rows = (pixels.cumsum(0) - pixels)[:, None] * heads + torch.arange(heads, device=device).view(-1, 1, 1)
    right = torch.full_like(width, heads)
    row_steps = torch.stack([right, width * heads])[:, None, :, None]
    last_first = torch.stack([width - 2, height - 2])[:, None, :, None]
    reference = _reference(sizes, device=device, dtype=torch.promote_types(dtype, torch.float32))[:, :, None, :, None]
    return MapGeometry(
        sizes=sizes,
        sine=torch.cat(sine),
        reference=reference.expand(-1, -1, *samples).flatten(1),
        last_first=last_first.expand(2, *samples).float().contiguous(),
        row_steps=row_steps.expand(2, *samples).int().contiguous(),
        first_rows=first_rows.expand(samples).int().contiguous(),
    )


_remembered = lru_cache(maxsize=4)(_build)


def _reference(sizes: tuple[MapSize, ...], *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return (S, 2, L): x and y of each pixel on each map."""
    target = torch.tensor(sizes, device=device, dtype=dtype).flip(1).T  # (2, L): widths, heights
    positions = []
    for height, width in sizes:
        y = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
        relative = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)
        positions.append(relative[:, :, None] * target - 0.5)
    return torch.cat(positions)
