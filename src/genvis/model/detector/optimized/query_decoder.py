"""Masked-attention decoder of Mask2Former without outputs that are never read.

Reference: transformers' `Mask2FormerTransformerModule`, whose parameters are used.

Each layer attends only where the previous layer's masks are foreground. It needs these masks at stride 32, 16 or 8
alone; and as resizing and the product over channels are both linear, the maps are resized, once for each stride,
instead of the masks of every query and layer.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerAttention,
    Mask2FormerMaskedAttentionDecoderLayer,
    Mask2FormerMLPPredictionHead,
    Mask2FormerTransformerModule,
)

from genvis.model.detector.optimized.geometry import MapSize
from genvis.model.detector.optimized.linear import apply_linear, linear, uses_onednn
from genvis.model.detector.optimized.pixel_decoder import PixelFeatures
from genvis.model.detector.optimized.query_attention import attend_by_heads, multihead_attention


class LevelTokens(NamedTuple):
    """Pixels of one level that queries read.

    Attributes:
        keys: (F, N, C), input of the key projection.
        values: (F, N, C), input of the value projection.
        attend: (F, 1, Q_f, N), true where a query may attend.
    """

    keys: Tensor
    values: Tensor
    attend: Tensor


def decode_queries(
    transformer: Mask2FormerTransformerModule, mask_projection: nn.Conv2d, pixels: PixelFeatures
) -> list[Tensor]:
    """Compute what ``transformer`` does to its queries.

    Args:
        transformer: The module whose parameters are used.
        mask_projection: From the stride-4 map to mask features.
        pixels: Of F frames.

    Returns:
        The queries, (F, Q_f, C), before the first layer and after each layer, normalised.
    """
    decoder = transformer.decoder
    frames = pixels.stride4.shape[0]
    keys, values = _level_tokens(transformer, pixels)
    position = transformer.queries_embedder.weight
    queries = transformer.queries_features.weight.expand(frames, -1, -1)
    normalised = [decoder.layernorm(queries)]
    masks = LayerMasks(decoder.mask_predictor.mask_embedder, mask_projection, pixels)
    for index, layer in enumerate(decoder.layers):
        level = index % len(keys)
        tokens = LevelTokens(keys[level], values[level], masks(normalised[-1], level))
        queries = _decoder_layer(cast(Mask2FormerMaskedAttentionDecoderLayer, layer), queries, position, tokens)
        normalised.append(decoder.layernorm(queries))
    return normalised


def _level_tokens(
    transformer: Mask2FormerTransformerModule, pixels: PixelFeatures
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs, (F, H_l·W_l, C), of the keys and of the values of each level."""
    keys, values = [], []
    sines = pixels.geometry.sine.split(pixels.geometry.pixels)
    for level, (tokens, size, sine) in enumerate(zip(pixels.levels, pixels.geometry.sizes, sines, strict=True)):
        projection = transformer.input_projections[level]
        if isinstance(projection, nn.Conv2d):
            projected = projection(tokens.mT.unflatten(2, size)).flatten(2).mT
        else:
            projected = tokens
        embedding = transformer.level_embed.weight[level]
        values.append(projected + embedding)
        keys.append(projected + (embedding + sine))
    return keys, values


class LayerMasks:
    """Where the queries may attend on the maps of each stride; computed without gradient, as it is not differentiable.

    Args:
        mask_embedder: From normalised queries to mask embeddings.
        mask_projection: A 1x1 convolution from the stride-4 map to mask features. It is linear too, so it is applied
            to the embeddings instead of the map.
        pixels: Of F frames.
    """

    def __init__(
        self, mask_embedder: Mask2FormerMLPPredictionHead, mask_projection: nn.Conv2d, pixels: PixelFeatures
    ) -> None:
        self.mask_embedder = mask_embedder
        self.weight = mask_projection.weight.detach().flatten(1).T  # (C, C_m), as of a layer that goes back
        self.bias = mask_projection.bias
        self.maps = [_resized(pixels.stride4.detach(), size) for size in pixels.geometry.sizes]

    @torch.no_grad()
    def __call__(self, normalised_queries: Tensor, level: int) -> Tensor:
        """Return (F, 1, Q_f, H_l·W_l), true where a query may attend; everywhere if its mask is empty."""
        embeddings = _embeddings(self.mask_embedder, normalised_queries)
        carried = linear(embeddings, self.weight, None)
        if uses_onednn(carried):
            frames = [linear(e[None], pixels, None) for e, pixels in zip(carried, self.maps[level], strict=True)]
            logits = frames[0] if len(frames) == 1 else torch.cat(frames)
        else:  # A graph has any number of frames.
            logits = carried @ self.maps[level].mT
        if self.bias is not None:
            logits += (embeddings @ self.bias)[..., None]
        attend = logits >= 0
        return (attend | ~attend.any(dim=-1, keepdim=True))[:, None]


def _embeddings(head: Mask2FormerMLPPredictionHead, queries: Tensor) -> Tensor:
    """Return mask embeddings, (F, Q_f, C_m), of normalised queries, (F, Q_f, C)."""
    for block in head.layers:
        layer, activation = block.layers
        queries = apply_linear(layer, queries, activation)
    return queries


@torch.no_grad()
def _resized(stride4: Tensor, size: MapSize) -> Tensor:
    """Resize (F, C, H, W) and flatten to (F, H_l·W_l, C)."""
    resized = F.interpolate(stride4, size=size, mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1).flatten(1, 2)


def _decoder_layer(
    layer: Mask2FormerMaskedAttentionDecoderLayer,
    queries: Tensor,
    position: Tensor,
    tokens: LevelTokens,
) -> Tensor:
    """Masked cross-attention, self-attention, feed-forward; normalised after each: (F, Q_f, C) to the same."""

    def dropped(x: Tensor) -> Tensor:
        return F.dropout(x, p=layer.dropout, training=layer.training)

    placed = queries + position
    attended = multihead_attention(layer.cross_attn, placed, tokens.keys, tokens.values, attend=tokens.attend)
    queries = layer.cross_attn_layer_norm(queries + dropped(attended))
    attended = _self_attention(layer.self_attn, queries, position)
    queries = layer.self_attn_layer_norm(queries + dropped(attended))
    hidden = apply_linear(layer.fc2, dropped(apply_linear(layer.fc1, queries, layer.activation_fn)))
    return cast(Tensor, layer.final_layer_norm(queries + dropped(hidden)))


def _self_attention(attention: Mask2FormerAttention, queries: Tensor, position: Tensor) -> Tensor:
    placed = queries + position
    query, key = apply_linear(attention.q_proj, placed), apply_linear(attention.k_proj, placed)
    value = apply_linear(attention.v_proj, queries)
    dropout = attention.dropout if attention.training else 0.0
    attended = attend_by_heads(query, key, value, heads=attention.num_heads, dropout=dropout)
    return apply_linear(attention.out_proj, attended)
