"""Configuration of a published checkpoint, read from its tensors: every size but the head counts."""

import logging
import math
import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genvis.categories import Categories, known_categories, known_category_sets
from genvis.checkpoints.bounds import MOST_CATEGORIES, check_fields
from genvis.errors import InputError
from genvis.model.config import GenVISConfig

_log = logging.getLogger(__name__)

_DEFORMABLE_POINTS_AND_LEVELS = 4 * 3  # Of each head; Mask2Former fixes both.
_STAGES = ["stage1", "stage2", "stage3", "stage4"]


@dataclass(frozen=True)
class PublishedSettings:
    """Settings of a published checkpoint that cannot be inferred from its tensors; the defaults are the published ones.

    Attributes:
        num_attention_heads: Heads of the tracker; None takes as many as the detector has.
        clip_length: N_f of inference: 1 is online, 3 the published semi-online models.
        encoder_window_size: Frames per window of a VITA checkpoint's object encoder.
        categories: Name of the category set; None guesses it from the number of classes (25 OVIS, 40 YouTube-VIS
            2021, 80 COCO) and numbers the classes of any other.
    """

    num_attention_heads: int | None = None
    clip_length: int = 1
    encoder_window_size: int = 6
    categories: str | None = None


def config_from_tensors(state: dict[str, Tensor], *, settings: PublishedSettings, file: str) -> GenVISConfig:
    """Return the configuration of the network that a published state dict belongs to.

    Args:
        state: Published names and tensors of a GenVIS, VITA or Mask2Former checkpoint.
        settings: Settings that cannot be inferred from the tensors.
        file: Name of the checkpoint, for messages.

    Raises:
        InputError: If the checkpoint is of another model, or labels or heads do not fit.
    """
    read = TensorSizes(state, file=file)
    heads = read.rows("sem_seg_head.pixel_decoder.transformer.encoder.layers.0.self_attn.attention_weights.weight")
    heads //= _DEFORMABLE_POINTS_AND_LEVELS
    classes = read.rows("sem_seg_head.predictor.class_embed.weight") - 1
    labels = categories_of(settings.categories, classes, file=file)
    predictor = "sem_seg_head.predictor"
    detector: dict[str, Any] = {
        "backbone_config": _resnet(read) if "backbone.stem.conv1.weight" in state else _swin(read),
        "feature_size": read.rows("sem_seg_head.pixel_decoder.layer_1.weight", dimensions=4),
        "mask_feature_size": read.rows("sem_seg_head.pixel_decoder.mask_features.weight", dimensions=4),
        "hidden_dim": read.rows(f"{predictor}.decoder_norm.weight", dimensions=1),
        "encoder_layers": read.count(
            r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm1\.weight"
        ),
        "encoder_feedforward_dim": read.rows("sem_seg_head.pixel_decoder.transformer.encoder.layers.0.linear1.weight"),
        # transformers counts the prediction before the first layer.
        "decoder_layers": read.count(rf"{predictor}\.transformer_ffn_layers\.(\d+)\.norm\.weight") + 1,
        "dim_feedforward": read.rows(f"{predictor}.transformer_ffn_layers.0.linear1.weight"),
        "num_queries": read.rows(f"{predictor}.query_embed.weight"),
        "num_attention_heads": heads,
    }
    fields: dict[str, Any] = {
        "detector": detector,
        "hidden_dim": detector["hidden_dim"],
        "num_attention_heads": settings.num_attention_heads or heads,
        "clip_length": settings.clip_length,
        "detections_per_video": {"ovis": 20, "coco": 100}.get(labels.name, 10),
        "min_size_test": 360 if "backbone.stem.conv1.weight" in state else 448,
    }
    fields |= _tracker(read, settings)
    check_fields(fields, file=file)
    return GenVISConfig(**fields).with_labels(labels)


class TensorSizes:
    """Sizes of the tensors of a published checkpoint, by name.

    Args:
        state: Published names and tensors.
        file: Name of the checkpoint, for messages.
        kind: Kind of checkpoint that it should be, for messages.
    """

    def __init__(
        self, state: dict[str, Tensor], *, file: str, kind: str = "GenVIS, VITA or Mask2Former checkpoint"
    ) -> None:
        self._state, self._file, self._kind = state, file, kind

    def shape(self, name: str, *, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a tensor that must have so many dimensions, none of them empty.

        Raises:
            InputError: If there is no such tensor, or it has another number of dimensions.
        """
        if name not in self._state:
            raise InputError(
                f"{self._file} is no {self._kind}: it has no tensor '{name}' among its {len(self._state)}."
            )
        shape = tuple(self._state[name].shape)
        if len(shape) != dimensions or 0 in shape:
            raise InputError(
                f"{self._file} is no {self._kind}: its tensor '{name}' is {shape}, which is not of {dimensions} "
                "dimensions, all above 0."
            )
        return shape

    def rows(self, name: str, *, dimensions: int = 2) -> int:
        """Return the length of a tensor's first dimension."""
        return self.shape(name, dimensions=dimensions)[0]

    def count(self, pattern: str) -> int:
        """Return how many numbers the group of a pattern takes among the names."""
        return len({match[1] for match in (re.fullmatch(pattern, name) for name in self._state) if match})

    def has(self, prefix: str) -> bool:
        """Whether a name begins so."""
        return any(name.startswith(prefix) for name in self._state)


def _resnet(read: TensorSizes) -> dict[str, Any]:
    is_bottleneck = read.has("backbone.res2.0.conv3.")
    last = "conv3" if is_bottleneck else "conv2"
    return {
        "model_type": "resnet",
        "embedding_size": read.rows("backbone.stem.conv1.weight", dimensions=4),
        "hidden_sizes": [read.rows(f"backbone.res{stage}.0.{last}.weight", dimensions=4) for stage in range(2, 6)],
        "depths": [read.count(rf"backbone\.res{stage}\.(\d+)\.conv1\.weight") for stage in range(2, 6)],
        "layer_type": "bottleneck" if is_bottleneck else "basic",
        "out_features": _STAGES,
    }


def _swin(read: TensorSizes) -> dict[str, Any]:
    tables = [f"backbone.layers.{stage}.blocks.0.attn.relative_position_bias_table" for stage in range(4)]
    return {
        "model_type": "swin",
        "embed_dim": read.rows("backbone.patch_embed.proj.weight", dimensions=4),
        "depths": [read.count(rf"backbone\.layers\.{stage}\.blocks\.(\d+)\.norm1\.weight") for stage in range(4)],
        "num_heads": [read.shape(table, dimensions=2)[1] for table in tables],
        # The table has a row for each of the (2 w - 1)^2 offsets within a window of w x w.
        "window_size": (math.isqrt(read.rows(tables[0])) + 1) // 2,
        "mlp_ratio": read.rows("backbone.layers.0.blocks.0.mlp.fc1.weight")
        / read.rows("backbone.norm0.weight", dimensions=1),
        "out_features": _STAGES,
    }


def _tracker(read: TensorSizes, settings: PublishedSettings) -> dict[str, Any]:
    if not read.has("vita_module."):
        return {"method": "minvis", "propagate_queries": False, "memory_read": "none"}
    fields: dict[str, Any] = {
        "num_instance_queries": read.rows("vita_module.query_embed.weight"),
        "mask_feature_size": read.rows("vita_module.vita_mask_features.weight", dimensions=4),
        "encoder_layers": read.count(r"vita_module\.enc_ffn\.(\d+)\.norm\.weight"),
        "object_decoder_layers": read.count(r"vita_module\.transformer_ffn_layers\.(\d+)\.norm\.weight"),
        "dim_feedforward": read.rows("vita_module.enc_ffn.0.linear1.weight"),
    }
    if not read.has("vita_module.pre_memory_embed_k."):
        fields |= {"method": "vita", "propagate_queries": False, "memory_read": "none"}
        fields |= {"encoder_window_size": settings.encoder_window_size}
    return fields


def categories_of(name: str | None, classes: int, *, file: str) -> Categories:
    """Return the categories of a published checkpoint.

    Args:
        name: Name of the category set; None guesses it from the number of classes.
        classes: Number of classes that the class head has.
        file: Name of the checkpoint, for messages.

    Raises:
        InputError: If the set has another number of categories, or there is none of that name.
    """
    if not 1 <= classes <= MOST_CATEGORIES:
        raise InputError(f"{file} has {classes} classes: from 1 to {MOST_CATEGORIES} are possible.")
    if name is None:
        name = {25: "ovis", 40: "youtube_vis_2021", 80: "coco"}.get(classes)
        if classes == 40:
            _log.warning(
                "%s has 40 classes, as YouTube-VIS 2019 and 2021 have: taking those of 2021; name the categories "
                "youtube_vis_2019 if it was trained on that.",
                file,
            )
    if name is None:
        return Categories(
            "", tuple(range(1, classes + 1)), tuple(f"class {number}" for number in range(1, classes + 1))
        )
    labels = known_categories(name)
    if len(labels) != classes:
        fitting = [other for other in known_category_sets() if len(known_categories(other)) == classes]
        remedy = f"choose {' or '.join(fitting)}" if fitting else "leave the categories out"
        raise InputError(f"{file} has {classes} classes but '{name}' has {len(labels)}: {remedy}.")
    return labels
