"""From what a recipe says of the model to the network with its first weights."""

import logging
from typing import Any, cast

import torch

from genvis.categories import Categories, known_categories
from genvis.checkpoints.load import load_backbone, load_genvis
from genvis.data.annotations.youtube_vis import file_categories
from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.training.recipe.recipe import ModelOptions

_log = logging.getLogger(__name__)


def build_model(options: ModelOptions) -> GenVIS:
    """Build the network of a recipe.

    Weights are taken over one by one where name and shape agree. What has no counterpart, such as class heads of
    other categories, is newly initialised, and a line of the log says so.

    Args:
        options: Configuration, weights to start from and categories.

    Raises:
        InputError: If the configuration is impossible, or the weights fit none of it.
    """
    source = load_genvis(options.init) if options.init else None
    given: GenVISConfig | None = None if source is None else cast(GenVISConfig, source.config)
    config = _configuration(options, given)
    model = GenVIS(config)
    if source is None:
        if options.backbone:
            take_over_backbone(model, options.backbone)
        return model
    report = take_over(model, source)
    if report:
        _log.warning("Newly initialised, not from '%s': %s.", options.init, "; ".join(report))
    return model


def take_over_backbone(model: GenVIS, name: str) -> None:
    """Give the detector's backbone the weights of a transformers backbone, for example trained on ImageNet.

    Args:
        model: Takes the weights.
        name: A Hub id or a folder.

    Raises:
        InputError: If there is no such backbone, or a weight of ours has no counterpart of its shape.
    """
    given = load_backbone(name).state_dict()
    encoder = as_mask2former(model.detector).parts()["backbone"]
    wanted = encoder.state_dict()
    taken, missing = {}, []
    for key, tensor in wanted.items():
        # The norms of the output stages belong to the detector, not to the classifier that was trained before.
        if "hidden_states_norms" in key:
            continue
        found = given.get(key, given.get(key.removeprefix("swin."), torch.empty(0)))
        if found.shape == tensor.shape:
            taken[key] = found
        else:
            missing.append(key)
    if missing:
        raise InputError(
            f"'{name}' is no backbone for this model: {len(missing)} of {len(wanted)} weights have no counterpart, "
            f"{missing[0]} for one."
        )
    encoder.load_state_dict(taken, strict=False)


def take_over(model: GenVIS, source: GenVIS) -> list[str]:
    """Copy all weights whose name and shape agree; class heads only if the labels are the same.

    Args:
        model: Takes the weights.
        source: Gives them.

    Returns:
        What was not copied, as words for a message; empty if everything was.

    Raises:
        InputError: If hardly anything fits, so that this would be training from scratch.
    """
    given, wanted = source.state_dict(), model.state_dict()
    same_labels = source.config.categories.names == model.config.categories.names
    heads = ("class_predictor.",)
    taken = {
        name: tensor
        for name, tensor in given.items()
        if name in wanted
        and wanted[name].shape == tensor.shape
        and (same_labels or not any(head in name for head in heads))
    }
    left = [name for name in wanted if name not in taken]
    if len(taken) < len(wanted) / 4:
        raise InputError(
            f"Only {len(taken)} of {len(wanted)} weights fit the model: choose weights of the same architecture."
        )
    model.load_state_dict(taken, strict=False)
    report = []
    if not same_labels:
        old, new = source.config.categories, model.config.categories
        report.append(f"the class heads ({len(old)} classes of '{old.name}' became {len(new)} of '{new.name}')")
    others = sorted({name.split(".")[0] + "." + name.split(".")[1] for name in left if "class_predictor." not in name})
    return report + ([f"parts of {', '.join(others)}"] if others else [])


def _configuration(options: ModelOptions, given: GenVISConfig | None) -> GenVISConfig:
    if options.name:
        fields = GenVISConfig.from_recipe(options.name).to_dict()
    elif given is not None:
        fields = given.to_dict()
        if given.method == "minvis":  # A detector: the tracker is newly initialised, unless the recipe wants none.
            fields.update(method="genvis", propagate_queries=True, memory_read="index")
    elif options.config:
        fields = {}
    else:
        raise InputError("The recipe says nothing of the model: set model.name, model.init or model.config.")
    detector = options.config.get("detector", {})
    fields.update({name: value for name, value in options.config.items() if name != "detector"})
    if detector:
        fields["detector"] = {**fields.get("detector", {}), **detector}
    for name in ("transformers_version", "architectures", "dtype"):
        fields.pop(name, None)
    try:
        config = GenVISConfig(**fields)
    except (TypeError, ValueError) as error:
        raise InputError(f"model.config is impossible: {' '.join(str(error).split()).rstrip('.')}.") from None
    labels = _labels(options, given if not options.name else None)
    return config.with_labels(labels) if labels is not None else config


def _labels(options: ModelOptions, given: GenVISConfig | None) -> Categories | None:
    if options.categories.endswith(".json"):
        return file_categories(options.categories)
    if options.categories:
        return known_categories(options.categories)
    if given is not None or options.name:
        return None
    raise InputError("A model from scratch needs classes: set model.categories, for example to 'ovis'.")


def parameter_table(model: GenVIS) -> list[tuple[str, int, int]]:
    """Return for each part of the network its name, its parameters and how many of them are trained."""
    rows = []
    for name, part in _parts(model).items():
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
        rows.append((name, sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)))
    return rows


def _parts(model: GenVIS) -> dict[str, Any]:
    parts = dict(model.detector.parts())
    if model.tracker is not None:
        parts["tracker"] = model.tracker
    return parts
