"""Mask logits: the product of mask embeddings and features, in the layout that the features have."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genvis.model.detector.optimized.linear import linear, uses_onednn


def mask_logits(embeddings: Tensor, features: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply mask embeddings with the features of every pixel.

    No map is copied if it is channels last, as those of the optimized detector are.

    Args:
        embeddings: (Q, C).
        features: (T, C, h, w).
        bias: (Q,), added to the logits of each query.

    Returns:
        (T, Q, h, w) float32, contiguous.
    """
    if len(embeddings) == 0:  # A convolution needs a kernel.
        return features.new_zeros((len(features), 0, *features.shape[-2:]), dtype=torch.float32)
    if uses_onednn(features) and features.is_contiguous(memory_format=torch.channels_last):
        # The pixels are the rows of a weight, so that the maps of all queries come out one after the other.
        rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # (T, h·w, C)
        frames = [linear(embeddings[None], pixels, None) for pixels in rows]  # (1, Q, h·w) each
        logits = (frames[0] if len(frames) == 1 else torch.cat(frames)).unflatten(2, features.shape[-2:])
        return logits.float() if bias is None else logits.float().add_(bias.float()[:, None, None])
    return F.conv2d(features, embeddings[:, :, None, None], bias).float().contiguous()


def embeddings_before_projection(embeddings: Tensor, projection: nn.Conv2d) -> tuple[Tensor, Tensor | None]:
    """Carry a linear projection of maps over to the mask embeddings, so that no pixel needs to be projected.

    The product of an embedding e with projected pixels, e·(W f + b) = (eW)·f + e·b: so W is applied to some 100 queries
    instead of all pixels.

    Args:
        embeddings: (..., C_m).
        projection: A 1x1 convolution from C to C_m channels.

    Returns:
        (..., C), at least float32, for pixels before the projection; and (...), to be added to the product, or None.
    """
    # One product of 100 rows costs nothing in single precision, and its rounding would meet every pixel.
    wide = torch.promote_types(embeddings.dtype, torch.float32)
    precise = embeddings.to(wide)
    bias = None if projection.bias is None else precise @ projection.bias.to(wide)
    return precise @ projection.weight.flatten(1).to(wide), bias


def projected_mask_logits(embeddings: Tensor, projection: nn.Conv2d, features: Tensor) -> Tensor:
    """Multiply mask embeddings with a linear projection of maps, without projecting a pixel.

    Args:
        embeddings: (Q, C_m).
        projection: A 1x1 convolution from C to C_m channels.
        features: (T, C, h, w), before the projection.

    Returns:
        (T, Q, h, w) float32, contiguous.
    """
    carried, bias = embeddings_before_projection(embeddings, projection)
    return mask_logits(carried.to(embeddings.dtype), features, None if bias is None else bias.to(embeddings.dtype))
