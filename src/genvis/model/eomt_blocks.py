"""Parts that EoMT and VidEoMT share: a plain ViT whose last blocks also see queries, read by three small heads.

Both are computed from the modules of transformers' classes, so that their checkpoints load as they are. Only two things
differ from there: frames need not be square, and parts can be called one by one.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.eomt.modeling_eomt import EomtEmbeddings, EomtForUniversalSegmentation

Grid = tuple[int, int]


class EoMTHeads(NamedTuple):
    """Outputs of the three heads for F frames.

    Attributes:
        class_logits: (F, Q, K + 1), the last class is "no object".
        mask_embeddings: (F, Q, C).
        mask_features: (F, C, 4·gh, 4·gw) for patches of 16 pixels, so stride 4; masks are their product.
    """

    class_logits: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor


def patch_grid(config: Any, pixel_values: Tensor) -> Grid:
    """Return how many patches, (gh, gw), an input (F, 3, H, W) has."""
    height, width = pixel_values.shape[-2:]
    return int(height) // config.patch_size, int(width) // config.patch_size


def embed_patches(embeddings: EomtEmbeddings, pixel_values: Tensor) -> Tensor:
    """Turn frames into tokens.

    Args:
        embeddings: The module whose parameters are used.
        pixel_values: (F, 3, H, W), H and W multiples of the patch size.

    Returns:
        (F, 1 + R + gh·gw, C): the class token, R register tokens, and the patches row by row.
    """
    projection = embeddings.patch_embeddings.projection
    patches = projection(pixel_values.to(projection.weight.dtype))  # (F, C, gh, gw)
    grid = (int(patches.shape[-2]), int(patches.shape[-1]))
    tokens = patches.flatten(2).mT  # (F, gh·gw, C)
    tokens = tokens + resampled_positions(embeddings.position_embeddings.weight, grid)
    prefix = torch.cat([embeddings.cls_token, embeddings.register_tokens], dim=1)  # (1, 1 + R, C)
    return embeddings.dropout(torch.cat([prefix.expand(len(tokens), -1, -1), tokens], dim=1))


def resampled_positions(table: Tensor, grid: Grid) -> Tensor:
    """Return the learned positions of a square grid resampled for another grid, as timm's ``resample_abs_pos_embed``.

    Args:
        table: (g·g, C), the positions of the grid of training.
        grid: (gh, gw), the grid that is wanted.

    Returns:
        (gh·gw, C), bicubic with antialiasing; ``table`` itself for its own grid.
    """
    side = round(len(table) ** 0.5)
    if grid == (side, side):
        return table
    maps = table.float().T.unflatten(1, (side, side))[None]  # (1, C, g, g)
    resampled = F.interpolate(maps, size=grid, mode="bicubic", antialias=True, align_corners=False)
    return resampled[0].flatten(1).T.to(table.dtype)


def read_heads(model: EomtForUniversalSegmentation, normalised: Tensor, grid: Grid) -> EoMTHeads:
    """Read classes, mask embeddings and features from the last block's output after the final LayerNorm.

    Args:
        model: The module whose parameters are used.
        normalised: (F, Q + 1 + R + gh·gw, C).
        grid: (gh, gw).
    """
    queries = normalised[:, : model.config.num_queries]  # (F, Q, C)
    return EoMTHeads(
        class_logits=model.class_predictor(queries),
        mask_embeddings=model.mask_head(queries),
        mask_features=upscaled_patches(model, normalised, grid),
    )


def upscaled_patches(model: EomtForUniversalSegmentation, normalised: Tensor, grid: Grid) -> Tensor:
    """Return the patch tokens of (F, Q + 1 + R + gh·gw, C) as a map upscaled to stride 4, (F, C, 4·gh, 4·gw)."""
    patches = normalised[:, -grid[0] * grid[1] :]  # (F, gh·gw, C)
    return model.upscale_block(patches.mT.unflatten(2, grid))
