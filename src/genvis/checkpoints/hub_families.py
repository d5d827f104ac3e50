"""Families of the Hub that become detectors of a GenVIS: their weights under our names, and their categories."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from transformers import (
    EomtConfig,
    EomtForUniversalSegmentation,
    Mask2FormerForUniversalSegmentation,
    PreTrainedConfig,
    PreTrainedModel,
    RfDetrConfig,
    RfDetrForInstanceSegmentation,
)

from genvis.categories import Categories, known_categories, known_category_sets
from genvis.checkpoints.build import build_network, explained
from genvis.checkpoints.model_folder import ModelFolder
from genvis.checkpoints.registry import find_entry
from genvis.errors import InputError
from genvis.model.config import DETECTOR_CONFIGS, GenVISConfig
from genvis.model.detector.base import FrameDetector
from genvis.model.detector.eomt import EoMTDetector
from genvis.model.detector.mask2former import Mask2FormerDetector
from genvis.model.detector.rf_detr import RFDETRDetector, input_divisor
from genvis.model.eomt_blocks import patch_side
from genvis.model.genvis import GenVIS
from genvis.model.preprocessing import Preprocessing

_DETECTIONS = 100  # Of COCO's evaluation; each of them is a (query, category) pair.


class _Family(NamedTuple):
    """Class of transformers whose names the weights have, and our detector that takes them."""

    network: type[PreTrainedModel]
    detector: type[FrameDetector]


_FAMILIES = {
    "mask2former": _Family(Mask2FormerForUniversalSegmentation, Mask2FormerDetector),
    "eomt": _Family(EomtForUniversalSegmentation, EoMTDetector),
    "rf_detr": _Family(RfDetrForInstanceSegmentation, RFDETRDetector),
}
DETECTOR_FAMILIES = tuple(_FAMILIES)
"""Values of ``model_type`` whose models become detectors."""


def detector_config(folder: ModelFolder) -> GenVISConfig:
    """Return the configuration of a detector of transformers as a `GenVIS` without a tracker.

    Raises:
        InputError: If a configuration of the folder is impossible.
    """
    categories = hub_categories(folder)
    with explained(folder.name):
        detector = DETECTOR_CONFIGS[folder.model_type].from_dict(folder.config | _labels(categories))
        preprocessing = Preprocessing.from_image_processor(
            folder.model_type, folder.preprocessor, side=_usual_side(detector), divisor=required_divisor(detector)
        )
        return GenVISConfig(
            detector=detector.to_dict(),
            method="minvis",
            propagate_queries=False,
            memory_read="none",
            detections_per_video=_DETECTIONS,
            **preprocessing_fields(preprocessing),
        ).with_labels(categories)


def detector_from_hub(folder: ModelFolder, config: GenVISConfig, dtype: torch.dtype) -> GenVIS:
    """Return a detector of transformers as a `GenVIS` without a tracker.

    Args:
        folder: Its folder.
        config: Of `detector_config`.
        dtype: Of the network.

    Raises:
        InputError: If a tensor is missing, unknown or misshapen.
    """
    family = _FAMILIES[folder.model_type]
    source = build_network(  # transformers' own class: it knows how to convert names of older versions.
        family.network,
        config.detector_config,
        folder.tensors(),
        name=folder.name,
        dtype=dtype,
        may_lack=is_unused,
        may_ignore=lambda _: True,
    )
    tensors = {f"detector.{name}": tensor for name, tensor in family.detector.renamed(source.state_dict()).items()}
    return build_network(GenVIS, config, tensors, name=folder.name, dtype=dtype)


def is_unused(name: str) -> bool:
    """Whether a tensor of a Hub model is of its loss or its pretraining, so that it may be missing."""
    return name.startswith("criterion.") or name.endswith("mask_token")


def required_divisor(detector: PreTrainedConfig) -> int:
    """Return the multiple, in pixels, that both sides of a detector's input need."""
    if isinstance(detector, EomtConfig):
        return patch_side(detector)
    if isinstance(detector, RfDetrConfig):
        return input_divisor(detector)
    return 32  # The coarsest of Mask2Former's maps.


def check_divisor(config: GenVISConfig, *, file: str) -> None:
    """Check that frames are padded to sides that the detector can take.

    Raises:
        InputError: If ``size_divisibility`` is no multiple of what the detector needs.
    """
    divisor = required_divisor(config.detector_config)
    if config.size_divisibility % divisor:
        raise InputError(
            f"{file} says size_divisibility is {config.size_divisibility}: it must be a multiple of {divisor}."
        )


def preprocessing_fields(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the fields of a `GenVISConfig` that give this preprocessing."""
    own = ("short_side", "max_size", "divisor", "mean", "std")
    published = Preprocessing(short_side=1)
    return {
        "min_size_test": preprocessing.short_side,
        "max_size_test": preprocessing.max_size or preprocessing.short_side,
        "size_divisibility": preprocessing.divisor,
        "pixel_mean": list(preprocessing.mean),
        "pixel_std": list(preprocessing.std),
        "resizing": {
            field.name: getattr(preprocessing, field.name)
            for field in fields(Preprocessing)
            if field.name not in own and getattr(preprocessing, field.name) != getattr(published, field.name)
        },
    }


def _usual_side(detector: PreTrainedConfig) -> int:
    """Return the side of the input, in pixels, where there is no preprocessor configuration."""
    if detector.model_type == "mask2former":
        return 800
    side = (detector if isinstance(detector, EomtConfig) else detector.backbone_config).image_size
    return int(side if isinstance(side, int) else side[0])


def _labels(categories: Categories) -> dict[str, Any]:
    id2label = dict(enumerate(categories.names))
    return {"id2label": id2label, "label2id": {label: index for index, label in id2label.items()}}


def hub_categories(folder: ModelFolder) -> Categories:
    """Return the categories of a model of the Hub, with the ids of their data set where it can be recognised.

    A model whose names are those of COCO, YouTube-VIS or OVIS gets that set. One that numbers its categories as COCO
    does, with gaps (RF-DETR), keeps these ids. Names of COCO with others behind (panoptic models) keep COCO's ids, the
    others follow. Where the names are only numbers, the registry names the set. All else is numbered from 1.
    """
    labels = _names(folder.config)
    known = {_plain(label): number for number, label in zip(*_coco(), strict=True)}
    for name in known_category_sets():
        if tuple(map(_plain, known_categories(name).names)) == tuple(map(_plain, labels)):
            return Categories(name, known_categories(name).ids, labels)
    ids = [known.get(_plain(label)) for label in labels]
    if any(ids) and all(number in (None, index) for index, number in enumerate(ids)):
        return Categories("coco", tuple(range(len(labels))), labels)
    count = len(known)
    if tuple(ids[:count]) == tuple(known.values()):
        following = range(max(known.values()) + 1, max(known.values()) + 1 + len(labels) - count)
        return Categories("coco", (*known.values(), *following), labels)
    entry = find_entry(folder.name)
    if entry is not None and entry.categories and _are_numbers(labels):
        registered = known_categories(entry.categories)
        if len(registered) == len(labels):
            return registered
        if len(labels) == max(registered.ids) + 1:  # Numbered by category id, with gaps, as RF-DETR is.
            names = dict(zip(registered.ids, registered.names, strict=True))
            return Categories(
                registered.name,
                tuple(range(len(labels))),
                tuple(names.get(index, "N/A") for index in range(len(labels))),
            )
    return Categories("", tuple(range(1, len(labels) + 1)), labels)


def _names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a configuration in order; transformers' own default is two of them."""
    id2label = config.get("id2label")
    if not id2label:
        return tuple(f"LABEL_{index}" for index in range(config.get("num_labels") or 2))
    return tuple(str(label) for _, label in sorted(id2label.items(), key=lambda item: int(item[0])))


def _coco() -> tuple[tuple[int, ...], tuple[str, ...]]:
    coco = known_categories("coco")
    return coco.ids, coco.names


def _plain(label: str) -> str:
    """Return a name without what data sets write differently: case, blanks, underscores, hyphens."""
    return re.sub(r"[\s_-]+", " ", label).strip().lower()


def _are_numbers(labels: tuple[str, ...]) -> bool:
    """Whether names say nothing but a number, as ``LABEL_7``, ``class 7`` and ``7`` do."""
    return all(re.fullmatch(r"(label|class|category)?[\s_-]*\d+", label, re.IGNORECASE) for label in labels)
