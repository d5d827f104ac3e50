"""The pixel decoder of Mask2Former, computed from the modules of transformers with the fast deformable attention."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerPixelDecoder,
    Mask2FormerPixelDecoderEncoderLayer,
    Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
)

from genvis.model.deformable_attention import MapSize, deformable_attention


class PixelFeatures(NamedTuple):
    """What the pixel decoder says of F frames.

    Attributes:
        levels: The maps of stride 32, 16 and 8, each (F, H_l·W_l, C).
        sizes: Their heights and widths.
        stride4: (F, C, H/4, W/4), before the mask projection.
    """

    levels: tuple[Tensor, ...]
    sizes: tuple[MapSize, ...]
    stride4: Tensor


def decode_pixels(decoder: Mask2FormerPixelDecoder, features: Sequence[Tensor]) -> PixelFeatures:
    """Compute what ``decoder`` does, except for its mask projection.

    Args:
        decoder: The module whose parameters are used.
        features: Maps of the backbone, stride 4 to 32, each (F, C_l, H_l, W_l).
    """
    maps = list(features[::-1][: decoder.num_feature_levels])
    sizes = tuple((int(x.shape[-2]), int(x.shape[-1])) for x in maps)
    tokens, positions = [], []
    for level, x in enumerate(maps):
        tokens.append(decoder.input_projections[level](x).flatten(2).mT)
        sine = decoder.position_embedding(x.shape, x.device, x.dtype)[:1]
        positions.append(sine.flatten(2).mT + decoder.level_embed[level])
    hidden, position = torch.cat(tokens, dim=1), torch.cat(positions, dim=1)
    reference = reference_positions(sizes, device=hidden.device)
    for layer in decoder.encoder.layers:
        hidden = _encoder_layer(cast(Mask2FormerPixelDecoderEncoderLayer, layer), hidden, position, reference, sizes)
    levels = hidden.split([height * width for height, width in sizes], dim=1)
    finest = levels[-1].mT.unflatten(2, sizes[-1])
    for index, feature in enumerate(features[: decoder.num_fpn_levels][::-1]):
        lateral = decoder.lateral_convolutions[index](feature)
        upsampled = F.interpolate(finest, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        finest = decoder.output_convolutions[index](lateral + upsampled)
    return PixelFeatures(levels=levels, sizes=sizes, stride4=finest)


def reference_positions(sizes: Sequence[MapSize], *, device: torch.device) -> Tensor:
    """Return where each pixel of L flattened maps lies on each map, (S, 2, L): x and y in that map's pixels.

    The centre of a map's first pixel is 0.
    """
    target = torch.tensor(sizes, device=device, dtype=torch.float64).flip(1).T  # (2, L): widths, heights
    positions = []
    for height, width in sizes:
        y = (torch.arange(height, device=device, dtype=torch.float64) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=torch.float64) + 0.5) / width
        relative = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)
        positions.append(relative[:, :, None] * target - 0.5)
    return torch.cat(positions).float()


def _encoder_layer(
    layer: Mask2FormerPixelDecoderEncoderLayer,
    hidden: Tensor,
    position: Tensor,
    reference: Tensor,
    sizes: Sequence[MapSize],
) -> Tensor:
    attended = _attention(layer.self_attn, hidden, position, reference, sizes)
    attended = F.dropout(attended, p=layer.dropout, training=layer.training)
    hidden = layer.self_attn_layer_norm(hidden + attended)
    inner = F.dropout(layer.activation_fn(layer.fc1(hidden)), p=layer.activation_dropout, training=layer.training)
    inner = F.dropout(layer.fc2(inner), p=layer.dropout, training=layer.training)
    return layer.final_layer_norm(hidden + inner)


def _attention(
    attention: Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
    hidden: Tensor,
    position: Tensor,
    reference: Tensor,
    sizes: Sequence[MapSize],
) -> Tensor:
    batch, length, channels = hidden.shape
    heads, levels, points = attention.n_heads, attention.n_levels, attention.n_points
    queries = hidden + position
    values = attention.value_proj(hidden).view(batch, length, heads, channels // heads)
    offsets = attention.sampling_offsets(queries).view(batch, length, heads, levels, points, 2)
    weights = attention.attention_weights(queries).view(batch, length, heads, levels * points).softmax(-1)
    positions = offsets.permute(0, 1, 5, 2, 3, 4) + reference[:, :, None, :, None]
    summed = deformable_attention(values, positions, weights.unflatten(-1, (levels, points)), sizes)
    return attention.output_proj(summed)
