"""The authors' VidEoMT checkpoints (``.pth``, names of timm's ViT): which of our parameters each tensor is."""

import math
import re
from typing import Any

import torch
from torch import Tensor

from genvis.checkpoints.bounds import check_fields
from genvis.checkpoints.build import build_network, explained, listed
from genvis.checkpoints.infer_config import PublishedSettings, TensorSizes, categories_of
from genvis.errors import InputError
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig

_VIT = r"backbone\.encoder\.backbone\."

# Published pattern -> ours; all patterns match in full. "{qkv}": the rows are the three projections of an
# attention, which we hold apart.
_TABLE: tuple[tuple[str, str], ...] = (
    (_VIT + r"cls_token", r"embeddings.cls_token"),
    (_VIT + r"reg_token", r"embeddings.register_tokens"),
    (_VIT + r"pos_embed", r"embeddings.position_embeddings.weight"),
    (_VIT + r"patch_embed\.proj\.(\w+)", r"embeddings.patch_embeddings.projection.\1"),
    (_VIT + r"blocks\.(\d+)\.norm(\d)\.(\w+)", r"layers.\1.norm\2.\3"),
    (_VIT + r"blocks\.(\d+)\.attn\.qkv\.(\w+)", r"layers.\1.attention.{qkv}_proj.\2"),
    (_VIT + r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"layers.\1.attention.out_proj.\2"),
    (_VIT + r"blocks\.(\d+)\.ls(\d)\.gamma", r"layers.\1.layer_scale\2.lambda1"),
    (_VIT + r"blocks\.(\d+)\.mlp\.(fc\d)\.(\w+)", r"layers.\1.mlp.\2.\3"),
    (_VIT + r"norm\.(\w+)", r"layernorm.\1"),
    (r"backbone\.attn_mask_probs", r"attn_mask_probs"),
    (r"backbone\.q\.weight", r"query.weight"),
    (r"backbone\.query_updater\.(\w+)", r"query_updater.\1"),
    (r"backbone\.class_head\.(\w+)", r"class_predictor.\1"),
    (r"backbone\.mask_head\.0\.(\w+)", r"mask_head.fc1.\1"),
    (r"backbone\.mask_head\.2\.(\w+)", r"mask_head.fc2.\1"),
    (r"backbone\.mask_head\.4\.(\w+)", r"mask_head.fc3.\1"),
    (r"backbone\.upscale\.(\d+)\.(conv\d)\.(\w+)", r"upscale_block.block.\1.\2.\3"),
    (r"backbone\.upscale\.(\d+)\.norm\.(\w+)", r"upscale_block.block.\1.layernorm2d.\2"),
    (r"criterion\.empty_weight", r"criterion.empty_weight"),
)
_COMPILED = tuple((re.compile(published), ours) for published, ours in _TABLE)
# Not in a published file: never used at inference, and zero.
_ABSENT = ("embeddings.mask_token",)
# Normalisation that a whole Detectron2 model saves beside its weights.
_DERIVED = ("pixel_mean", "pixel_std")
_HEAD_CHANNELS = 64  # Of every DINOv2 model.


def is_published_videomt(state: dict[str, Tensor]) -> bool:
    """Whether a state dict is of a published VidEoMT."""
    return any(re.match(_VIT, name) for name in state) and "backbone.q.weight" in state


def videomt_from_published(state: dict[str, Tensor], *, settings: PublishedSettings, file: str) -> VidEoMT:
    """Return the model of a published state dict.

    Args:
        state: Published names and tensors.
        settings: Settings that cannot be inferred from the tensors; ``categories`` and ``clip_length`` are used.
        file: Name of the checkpoint, for messages.

    Returns:
        The model, in evaluation mode, on the CPU, in float32.

    Raises:
        InputError: If tensors are unknown, missing or misshapen, each of which is named.
    """
    config = config_of_published(state, settings=settings, file=file)
    with explained(file), torch.device("meta"):  # Shapes only: nothing is allocated for what does not fit.
        expected = VidEoMT(config).state_dict()
    renamed, unknown = rename_published_videomt(state)
    problems = [f"unknown: {name}" for name in unknown]
    problems += [f"missing: the tensor for {name}" for name in expected if name not in {*renamed, *_ABSENT}]
    problems += [f"unknown: the tensor for {name}" for name in renamed if name not in expected]
    problems += [
        f"misshapen: the tensor for {name} is {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in renamed.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if problems:
        raise InputError(f"{file} does not fit the VidEoMT of its sizes: {listed(problems)}.")
    renamed |= {name: torch.zeros(expected[name].shape) for name in _ABSENT}
    return build_network(VidEoMT, config, renamed, name=file)


def rename_published_videomt(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of a published state dict by our names, and the published names that have no place."""
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in state.items():
        if name in _DERIVED:
            continue
        target = _our_name(name)
        if target is None:
            unknown.append(name)
        elif "{qkv}" in target and tensor.ndim > 0:
            for part, rows in zip("qkv", tensor.tensor_split(3), strict=True):
                renamed[target.replace("{qkv}", part)] = rows
        else:
            renamed[target] = tensor[0] if target == "embeddings.position_embeddings.weight" else tensor
    return renamed, unknown


def config_of_published(state: dict[str, Tensor], *, settings: PublishedSettings, file: str) -> VidEoMTConfig:
    """Return the configuration of a published checkpoint, its sizes inferred from the tensors.

    Args:
        state: Published names and tensors.
        settings: Settings that cannot be inferred from the tensors.
        file: Name of the checkpoint, for messages.

    Raises:
        InputError: If a tensor is missing or has another number of dimensions, a size is out of bounds, or the
            classes are not as many as the class head has.
    """
    read = TensorSizes(state, file=file, kind="published VidEoMT")
    vit = "backbone.encoder.backbone."
    width, _, patch, _ = read.shape(f"{vit}patch_embed.proj.weight", dimensions=4)
    _, positions, _ = read.shape(f"{vit}pos_embed", dimensions=3)
    classes = read.shape("backbone.class_head.weight", dimensions=2)[0] - 1
    categories = categories_of(settings.categories, classes, file=file)
    fields: dict[str, Any] = {
        "hidden_size": width,
        "num_hidden_layers": read.count(rf"{_VIT}blocks\.(\d+)\.norm1\.weight"),
        "num_attention_heads": max(1, width // _HEAD_CHANNELS),
        "mlp_ratio": read.shape(f"{vit}blocks.0.mlp.fc1.weight", dimensions=2)[0] // width,
        "image_size": math.isqrt(positions) * patch,
        "patch_size": patch,
        "num_upscale_blocks": read.count(r"backbone\.upscale\.(\d+)\.conv1\.weight"),
        "num_blocks": read.shape("backbone.attn_mask_probs", dimensions=1)[0],
        "num_queries": read.shape("backbone.q.weight", dimensions=2)[0],
        "num_register_tokens": read.shape(f"{vit}reg_token", dimensions=3)[1],
        "clip_length": settings.clip_length,
    }
    check_fields(fields, file=file)
    id2label = dict(enumerate(categories.names))
    with explained(file):
        return VidEoMTConfig(
            **fields,
            id2label=id2label,
            label2id={label: index for index, label in id2label.items()},
            categories_name=categories.name,
            category_ids=list(categories.ids),
        )


def _our_name(name: str) -> str | None:
    for published, ours in _COMPILED:
        match = published.fullmatch(name)
        if match:
            return match.expand(ours)
    return None
