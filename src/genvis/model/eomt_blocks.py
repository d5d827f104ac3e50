"""Parts that EoMT and VidEoMT share: a plain ViT whose last blocks also see queries, read by three small heads.

Both are computed from the modules of transformers' classes, so that their checkpoints load as they are. Only two things
differ from there: frames need not be square, and parts can be called one by one. On CPUs, inference computes blocks and
upscaling from the same parameters in an order that takes half the time, see `genvis.model.detector.optimized`.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import EomtConfig, VideomtConfig
from transformers.models.eomt.modeling_eomt import EomtEmbeddings, EomtForUniversalSegmentation
from transformers.models.videomt.modeling_videomt import VideomtEmbeddings, VideomtForUniversalSegmentation

from genvis.errors import InputError
from genvis.model.detector.optimized.upscaling import upscaled_map, upscaled_mask_logits
from genvis.model.detector.optimized.vision_transformer import Block, is_inference_on_cpu, vit_block

Grid = tuple[int, int]
Config = EomtConfig | VideomtConfig
Network = EomtForUniversalSegmentation | VideomtForUniversalSegmentation


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


def patch_side(config: Config) -> int:
    """Return the side of a patch in pixels.

    Raises:
        InputError: If the sizes of the network contradict each other.
    """
    patch, image, blocks = config.patch_size, config.image_size, config.num_blocks
    if not isinstance(patch, int) or not isinstance(image, int) or patch < 1 or image < patch:
        raise InputError(f"image_size {image} and patch_size {patch} must be integers, with a patch within the image.")
    if not 1 <= blocks <= config.num_hidden_layers:
        raise InputError(f"num_blocks is {blocks}; it must be within 1..{config.num_hidden_layers}, the layers.")
    return patch


def check_pixel_values(config: Config, pixel_values: Tensor) -> Grid:
    """Return how many patches, (gh, gw), an input has.

    Args:
        config: Of the network.
        pixel_values: (F, 3, H, W).

    Raises:
        InputError: If its shape is another, or a side is no multiple of the patch size.
    """
    patch = patch_side(config)
    if pixel_values.ndim != 4 or pixel_values.shape[1] != 3 or 0 in pixel_values.shape:
        raise InputError(f"Pixel values must be (F, 3, H, W) with F at least 1, not {tuple(pixel_values.shape)}.")
    height, width = (int(side) for side in pixel_values.shape[-2:])
    if height % patch or width % patch:
        raise InputError(f"Pixel values of {height}x{width} are no multiple of {patch}: pad them.")
    return height // patch, width // patch


def embed_patches(embeddings: EomtEmbeddings | VideomtEmbeddings, pixel_values: Tensor) -> Tensor:
    """Turn frames into tokens.

    Args:
        embeddings: The module whose parameters are used.
        pixel_values: (F, 3, H, W), H and W multiples of the patch size.

    Returns:
        (F, 1 + R + gh·gw, C): the class token, R register tokens, and the patches row by row.
    """
    projection = embeddings.patch_embeddings.projection
    pixels = pixel_values.to(projection.weight.dtype, memory_format=torch.channels_last)
    patches = projection(pixels)  # (F, C, gh, gw)
    grid = (int(patches.shape[-2]), int(patches.shape[-1]))
    tokens = patches.flatten(2).mT  # (F, gh·gw, C)
    tokens = tokens + resampled_positions(embeddings.position_embeddings.weight, grid)
    prefix = torch.cat([embeddings.cls_token, embeddings.register_tokens], dim=1)  # (1, 1 + R, C)
    return embeddings.dropout(torch.cat([prefix.expand(tokens.shape[0], -1, -1), tokens], dim=1))


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
    wide = table.to(torch.promote_types(table.dtype, torch.float32)).unflatten(0, (side, side))  # (g, g, C)
    # What is remembered is read outside of inference mode, too, and must be no tensor of a tracer.
    matrix = _resampling if torch.compiler.is_compiling() else _remembered_resampling
    with torch.inference_mode(mode=False):
        rows, columns = (matrix(side, length, wide.device, wide.dtype) for length in grid)
    resampled = columns @ (rows @ wide.flatten(1)).unflatten(1, (side, -1))  # (gh, gw, C)
    return resampled.flatten(0, 1).to(table.dtype)


def _resampling(side: int, length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return what resamples ``side`` values to ``length``, as a matrix (length, side)."""
    identity = torch.eye(side, device=device, dtype=dtype)[None, None]
    return F.interpolate(identity, (length, side), mode="bicubic", antialias=True, align_corners=False)[0, 0]


_remembered_resampling = lru_cache(maxsize=16)(_resampling)


def run_blocks(blocks: Iterable[nn.Module], tokens: Tensor, *, mask: Tensor | None = None, optimized: bool) -> Tensor:
    """Run blocks of the transformer one after the other.

    Args:
        blocks: Transformers' modules.
        tokens: (F, N, C).
        mask: (F, 1, N, N), added to the scores of the attention, or None.
        optimized: Whether `vit_block` runs them, or they themselves.

    Returns:
        (F, N, C).
    """
    for block in blocks:
        tokens = vit_block(cast(Block, block), tokens, mask) if optimized else block(tokens, mask)
    return tokens


def read_heads(model: Network, normalised: Tensor, grid: Grid, *, optimized: bool) -> EoMTHeads:
    """Read classes, mask embeddings and features from the last block's output after the final LayerNorm.

    Args:
        model: The module whose parameters are used.
        normalised: (F, Q + 1 + R + gh·gw, C).
        grid: (gh, gw).
        optimized: As in `run_blocks`.
    """
    queries = normalised[:, : model.config.num_queries]  # (F, Q, C)
    return EoMTHeads(
        class_logits=model.class_predictor(queries),
        mask_embeddings=model.mask_head(queries),
        mask_features=upscaled_patches(model, normalised, grid, optimized=optimized),
    )


def upscaled_patches(model: Network, normalised: Tensor, grid: Grid, *, optimized: bool) -> Tensor:
    """Return the patch tokens of (F, Q + 1 + R + gh·gw, C) as a map upscaled to stride 4, (F, C, 4·gh, 4·gw)."""
    patches = normalised[:, -grid[0] * grid[1] :].unflatten(1, grid)  # (F, gh, gw, C)
    if optimized and is_inference_on_cpu(patches):
        return upscaled_map(model.upscale_block, patches)
    return model.upscale_block(patches.permute(0, 3, 1, 2))


def mask_logits_of_patches(
    model: Network, normalised: Tensor, grid: Grid, embeddings: Tensor, *, optimized: bool
) -> Tensor:
    """Return the product of mask embeddings, (F, Q, C), with `upscaled_patches`, (F, Q, 4·gh, 4·gw) float32."""
    if optimized and is_inference_on_cpu(normalised) and len(model.upscale_block.block):
        patches = normalised[:, -grid[0] * grid[1] :].unflatten(1, grid)  # (F, gh, gw, C)
        return upscaled_mask_logits(model.upscale_block, patches, embeddings)
    features = upscaled_patches(model, normalised, grid, optimized=False)
    return torch.einsum("fqc,fchw->fqhw", embeddings, features).float()
