"""What depends on the sizes of feature maps alone: computed once for each size, shared by all layers and frames."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from transformers.models.mask2former.modeling_mask2former import Mask2FormerSinePositionEmbedding

MapSize = tuple[int, int]


class MapGeometry(NamedTuple):
    """L feature maps, flattened one after the other to S pixels, that deformable attention reads.

    Attributes:
        sizes: Height and width of the maps.
        sine: (S, C), the sine embedding of each pixel's position in its map.
        reference: (S, 2, L), where each pixel lies on each map: x and y in that map's pixels, the centre of its first
            pixel being 0.
        last_first: (2, L), width - 2 and height - 2: the last pixel with a pixel after it.
        widths: (L,), integer.
        starts: (L,), integer, the first of the S pixels of each map.
    """

    sizes: tuple[MapSize, ...]
    sine: Tensor
    reference: Tensor
    last_first: Tensor
    widths: Tensor
    starts: Tensor


def map_geometry(sizes: tuple[MapSize, ...], *, channels: int, like: Tensor) -> MapGeometry:
    """Return the geometry of maps.

    Args:
        sizes: Height and width of each map.
        channels: C of the position embedding.
        like: Gives the device and the type of the position embedding.
    """
    if torch.compiler.is_compiling():
        return _build(sizes, channels, like.device, like.dtype)
    # What is kept may be used for training later, which tensors made in inference mode may not.
    with torch.inference_mode(mode=False):
        return _remembered(sizes, channels, like.device, like.dtype)


def _build(sizes: tuple[MapSize, ...], channels: int, device: torch.device, dtype: torch.dtype) -> MapGeometry:
    embedding = Mask2FormerSinePositionEmbedding(num_position_features=channels // 2, normalize=True)
    sine = [embedding(torch.Size((1, channels, *size)), device, dtype)[0].flatten(1).T for size in sizes]
    height, width = torch.tensor(sizes, device=device).unbind(1)
    pixels = height * width
    return MapGeometry(
        sizes=sizes,
        sine=torch.cat(sine),
        reference=_reference(sizes, device=device),
        last_first=torch.stack([width - 2, height - 2]).float(),
        widths=width,
        starts=pixels.cumsum(0) - pixels,
    )


_remembered = lru_cache(maxsize=8)(_build)


def _reference(sizes: tuple[MapSize, ...], *, device: torch.device) -> Tensor:
    target = torch.tensor(sizes, device=device).flip(1).T.float()  # (2, L): widths, heights
    positions = []
    for height, width in sizes:
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        relative = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)
        positions.append(relative[:, :, None] * target - 0.5)
    return torch.cat(positions)
