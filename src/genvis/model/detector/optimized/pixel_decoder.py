"""Pixel decoder of Mask2Former with optimized deformable attention.

Reference: transformers' `Mask2FormerPixelDecoder`, whose parameters are used.
"""

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

from genvis.model.detector.optimized.deformable_attention import deformable_attention, sample_weights
from genvis.model.detector.optimized.geometry import MapGeometry, MapSize, map_geometry
from genvis.model.detector.optimized.linear import apply_linear, feedforward, linear


class PixelFeatures(NamedTuple):
    """Pixel decoder outputs of F frames.

    Attributes:
        levels: The maps of stride 32, 16 and 8, each (F, H_l·W_l, C).
        geometry: Of these maps.
        stride4: (F, C, H/4, W/4), before the mask projection.
    """

    levels: tuple[Tensor, ...]
    geometry: MapGeometry
    stride4: Tensor


def decode_pixels(decoder: Mask2FormerPixelDecoder, features: Sequence[Tensor]) -> PixelFeatures:
    """Compute what ``decoder`` does, except for its mask projection.

    Args:
        decoder: The module whose parameters are used.
        features: Maps of the backbone, stride 4 to 32, each (F, C_l, H_l, W_l).
    """
    maps = list(features[::-1][: decoder.num_feature_levels])
    sizes = tuple((int(x.shape[-2]), int(x.shape[-1])) for x in maps)
    projected = [project(x).flatten(2).mT for project, x in zip(decoder.input_projections, maps, strict=True)]
    hidden = torch.cat(projected, dim=1)
    geometry = decoder_geometry(decoder, sizes, like=hidden)
    levels = zip(decoder.level_embed, geometry.sine.split(geometry.pixels), strict=True)
    position = torch.cat([sine + embedding for embedding, sine in levels])
    for layer in decoder.encoder.layers:
        hidden = _encoder_layer(cast(Mask2FormerPixelDecoderEncoderLayer, layer), hidden, position, geometry)
    tokens = hidden.split(geometry.pixels, dim=1)
    # Cut to rows before transposing: the other way round, one frame would no longer count as channels last.
    finest = tokens[-1].unflatten(1, sizes[-1]).permute(0, 3, 1, 2)
    for index, feature in enumerate(features[: decoder.num_fpn_levels][::-1]):
        lateral = decoder.lateral_convolutions[index](feature)
        upsampled = F.interpolate(finest, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        convolution, norm, _ = decoder.output_convolutions[index]
        finest = norm(convolution(upsampled.add_(lateral))).relu_()
    return PixelFeatures(levels=tokens, geometry=geometry, stride4=finest)


def decoder_geometry(decoder: Mask2FormerPixelDecoder, sizes: tuple[MapSize, ...], *, like: Tensor) -> MapGeometry:
    """Return the geometry of the maps of stride 32, 16 and 8 for the attention of ``decoder``."""
    attention = cast(Mask2FormerPixelDecoderEncoderLayer, decoder.encoder.layers[0]).self_attn
    return map_geometry(
        sizes, channels=attention.d_model, heads=attention.n_heads, points=attention.n_points, like=like
    )


def _encoder_layer(
    layer: Mask2FormerPixelDecoderEncoderLayer, hidden: Tensor, position: Tensor, geometry: MapGeometry
) -> Tensor:
    """Deformable attention among all pixels of all maps and feed-forward; normalised afterwards: (F, S, C) to same."""
    attended = _self_attention(layer.self_attn, hidden, position, geometry)
    attended = F.dropout(attended, p=layer.dropout, training=layer.training)
    hidden = layer.self_attn_layer_norm(attended.add_(hidden))

    def activate(inner: Tensor) -> Tensor:
        return F.dropout(inner.relu_(), p=layer.activation_dropout, training=layer.training)

    inner = feedforward(layer.fc1, activate if layer.training else F.relu, layer.fc2, hidden)
    inner = F.dropout(inner, p=layer.dropout, training=layer.training)
    return cast(Tensor, layer.final_layer_norm(inner.add_(hidden)))


def _self_attention(
    attention: Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
    hidden: Tensor,
    position: Tensor,
    geometry: MapGeometry,
) -> Tensor:
    batch, length, channels = hidden.shape
    heads, levels, points = attention.n_heads, attention.n_levels, attention.n_points
    values = apply_linear(attention.value_proj, hidden).view(batch, length, heads, channels // heads)
    # All x, then all y, then all weights: so the arithmetic on them runs over contiguous memory.
    weight, bias = (
        torch.cat([of_offsets.unflatten(0, (heads, levels, points, 2)).movedim(3, 0).flatten(0, 3), of_weights])
        for of_offsets, of_weights in zip(
            attention.sampling_offsets.parameters(), attention.attention_weights.parameters(), strict=True
        )
    )
    projected = linear(hidden + position, weight, bias)
    offsets, logits = projected.split([2 * heads * levels * points, heads * levels * points], dim=-1)
    positions = (offsets + geometry.reference).unflatten(-1, (2, heads, levels, points))
    weights = sample_weights(logits.unflatten(-1, (heads, levels * points)))
    summed = deformable_attention(values, positions, weights.unflatten(-1, (levels, points)), geometry)
    return apply_linear(attention.output_proj, summed)
