"""Tiny random models of every pretrained family, in the layout of their Hub repositories."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    EomtConfig,
    EomtForUniversalSegmentation,
    EomtImageProcessor,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    PreTrainedModel,
    RfDetrConfig,
    RfDetrForInstanceSegmentation,
    RfDetrImageProcessor,
    SwinConfig,
    VideomtConfig,
    VideomtForUniversalSegmentation,
    VideomtVideoProcessor,
)

STAGES = ["stage1", "stage2", "stage3", "stage4"]
LABELS = ("cat", "dog", "boat")
FAMILIES = ("videomt", "eomt", "rf_detr", "mask2former")


def tiny_family(family: str, *, seed: int = 0, **fields: Any) -> PreTrainedModel:
    """Return a random model of transformers' class of a family, in evaluation mode.

    Args:
        family: One of `FAMILIES`.
        seed: Of its weights.
        **fields: Of its configuration, besides the tiny sizes; ``id2label`` changes the classes.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _MAKERS[family](fields).eval()
        _make_lively(model)
    return model


def save_tiny_family(folder: Path, family: str, *, seed: int = 0, **fields: Any) -> Path:
    """Save `tiny_family` with its preprocessor configuration to a folder, as a Hub repository holds it."""
    tiny_family(family, seed=seed, **fields).save_pretrained(folder)
    _PROCESSORS[family].save_pretrained(folder)
    return folder


def _labels(fields: dict[str, Any]) -> dict[str, Any]:
    id2label = fields.pop("id2label", None) or dict(enumerate(LABELS))
    return {"id2label": id2label, "label2id": {label: index for index, label in id2label.items()}, **fields}


def _eomt_sizes(fields: dict[str, Any]) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "mlp_ratio": 2,
        "image_size": 96,
        "patch_size": 16,
        "num_blocks": 2,
        "num_queries": 7,
    }
    return sizes | _labels(fields)


def _videomt(fields: dict[str, Any]) -> PreTrainedModel:
    return VideomtForUniversalSegmentation(VideomtConfig(**_eomt_sizes(fields)))


def _eomt(fields: dict[str, Any]) -> PreTrainedModel:
    return EomtForUniversalSegmentation(EomtConfig(**_eomt_sizes(fields)))


def _rf_detr(fields: dict[str, Any]) -> PreTrainedModel:
    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": 96,
        "patch_size": 12,
        "num_windows": 2,
        "out_features": ["stage2", "stage3"],
    }
    sizes: dict[str, Any] = {
        "backbone_config": backbone,
        "d_model": 32,
        "decoder_ffn_dim": 32,
        "decoder_layers": 2,
        "decoder_self_attention_heads": 2,
        "decoder_cross_attention_heads": 2,
        "decoder_n_points": 2,
        "num_queries": 9,
        "group_detr": 2,
        "c2f_num_blocks": 1,
        "intermediate_size": 32,
    }
    return RfDetrForInstanceSegmentation(RfDetrConfig(**(sizes | _labels(fields))))


def _mask2former(fields: dict[str, Any]) -> PreTrainedModel:
    backbone = SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_features=STAGES, image_size=64
    )
    sizes: dict[str, Any] = {
        "backbone_config": backbone,
        "feature_size": 32,
        "mask_feature_size": 32,
        "hidden_dim": 32,
        "encoder_layers": 1,
        "encoder_feedforward_dim": 32,
        "decoder_layers": 3,
        "dim_feedforward": 32,
        "num_queries": 6,
        "num_attention_heads": 4,
    }
    return Mask2FormerForUniversalSegmentation(Mask2FormerConfig(**(sizes | _labels(fields))))


_PROCESSORS = {
    "videomt": VideomtVideoProcessor(size={"height": 96, "width": 96}),
    "eomt": EomtImageProcessor(size={"shortest_edge": 96, "longest_edge": 96}, do_pad=True),
    "rf_detr": RfDetrImageProcessor(size={"height": 96, "width": 96}),
    "mask2former": Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}),
}
_MAKERS = {"videomt": _videomt, "eomt": _eomt, "rf_detr": _rf_detr, "mask2former": _mask2former}


@torch.no_grad()
def _make_lively(model: PreTrainedModel) -> None:
    """Move weights that start at zero or one, which would hide a lost tensor, and spread class scores and masks."""
    if isinstance(model, RfDetrForInstanceSegmentation):
        nn.init.zeros_(model.model.class_embed.bias)  # It starts so low that nothing would ever be detected.
    for name, parameter in model.named_parameters():
        if parameter.ndim <= 1 or "token" in name or "position_embeddings" in name:
            parameter.add_(0.1 * torch.randn_like(parameter))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and ("class_predictor" in name or name.endswith("class_embed")):
            module.weight.normal_(std=0.3)
        elif isinstance(module, nn.Linear) and ("mask_embedder.2" in name or name == "query_features_proj"):
            module.weight.normal_(std=0.5)
