"""The network of a recipe, with its first weights."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psutil
import torch
from torch import nn
from transformers import PreTrainedConfig

from genvis.categories import Categories, known_categories
from genvis.checkpoints.bounds import check_fields
from genvis.checkpoints.load import load_backbone, load_genvis
from genvis.data.annotations.youtube_vis import file_categories
from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.model.tracker.object_decoder import ObjectDecoderLayer
from genvis.training.recipe.recipe import ModelOptions

# Of a Mask2Former, an EoMT and the tracker, and of RF-DETR's queries and proposals.
_CLASS_HEADS = ("class_predictor.", "class_embed.")
# Of a comparison of looks at first: factor of the scalar products, and of everything that is to begin small.
_SHARPNESS = 2.0
_SMALL = 0.1
_log = logging.getLogger(__name__)


def build_model(options: ModelOptions, *, freeze_detector: bool = False) -> GenVIS:
    """Build the network of a recipe.

    Weights are taken over one by one where name and shape agree. What has no counterpart, such as class heads of
    other categories, is newly initialised, and a line of the log says so.

    Args:
        options: Configuration, weights to start from and categories.
        freeze_detector: The detector is not trained, so that it keeps its class heads and categories.

    Raises:
        InputError: If the configuration is impossible, or the weights fit none of it.
    """
    source = load_genvis(options.init) if options.init else None
    given: GenVISConfig | None = None if source is None else cast(GenVISConfig, source.config)
    with _explained():
        config = _configuration(options, given, freeze_detector=freeze_detector)
        _check_memory(config)
        model = GenVIS(config)
    if source is None:
        if options.backbone:
            take_over_backbone(model, options.backbone)
        if options.heads == "detector":
            raise InputError("model.heads is 'detector', but without model.init the detector is as new as the tracker.")
        if options.attention == "looks":
            raise InputError("model.attention is 'looks', but without model.init the detector's queries say nothing.")
        if options.tracker == "new":
            raise InputError("model.tracker is 'new', but without model.init all is: leave out model.tracker.")
        return model
    report = take_over(model, source, with_tracker=options.tracker == "init")
    if report:
        _log.warning("Newly initialised, not from '%s': %s.", options.init, "; ".join(report))
    if options.heads == "detector":
        take_over_heads(model)
    if options.memory == "silent":
        silence_memory(model)
    if options.attention == "looks":
        compare_looks(model)
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
        # The norms of the output stages belong to the detector, not to the pretrained classifier.
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


def take_over(model: GenVIS, source: GenVIS, *, with_tracker: bool = True) -> list[str]:
    """Copy all weights whose name and shape agree; class heads only if the labels are the same.

    Args:
        model: Takes the weights.
        source: Gives them.
        with_tracker: Take its tracker's too.

    Returns:
        What was not copied, as words for a message; empty if everything was.

    Raises:
        InputError: If hardly anything fits, so that this would be training from scratch.
    """
    given, wanted = source.state_dict(), model.state_dict()
    gives_tracker = with_tracker and source.tracker is not None
    if not gives_tracker:
        given = {name: tensor for name, tensor in given.items() if not name.startswith("tracker.")}
    kept = {
        "detector": _names(source.config.detector_config) == _names(model.config.detector_config),
        "tracker": source.config.categories.names == model.config.categories.names,
    }

    def is_new_head(name: str) -> bool:
        return any(head in name for head in _CLASS_HEADS) and not kept[name.partition(".")[0]]

    taken = {
        name: tensor
        for name, tensor in given.items()
        if name in wanted and wanted[name].shape == tensor.shape and not is_new_head(name)
    }
    # A detector has no tracker to give: what it has must fit.
    expected = wanted if gives_tracker else given
    if len(taken) < len(expected) / 4:
        raise InputError(
            f"Only {len(taken)} of {len(expected)} weights fit the model: choose weights of the same architecture."
        )
    model.load_state_dict(taken, strict=False)
    report = []
    heads = [name for name in given if name in wanted and is_new_head(name)]
    if heads:
        old, new = source.config.categories, model.config.categories
        report.append(f"the class heads ({len(old)} classes of '{old.name}' became {len(new)} of '{new.name}')")
    others = {".".join(name.split(".")[:2]) for name in wanted if name not in taken and not is_new_head(name)}
    if not gives_tracker:
        report += ["the tracker"] if model.tracker is not None else []
        others = {name for name in others if not name.startswith("tracker.")}
    return report + ([f"parts of {', '.join(sorted(others))}"] if others else [])


def take_over_heads(model: GenVIS) -> None:
    """Give the tracker the detector's heads for classes and masks, that for classes only if these agree.

    Args:
        model: With a tracker.

    Raises:
        InputError: If it has none, or the detector's heads have another form or other sizes.
    """
    tracker, config = model.tracker, model.config
    if tracker is None:
        raise InputError("A MinVIS model has no tracker whose heads could start: leave out model.heads.")
    wanted, given = tracker.state_dict(), model.detector.tracker_heads()
    fits = {name for name, tensor in given.items() if wanted[name].shape == tensor.shape}
    if not {name for name in given if "class_predictor" not in name} <= fits or not given:
        raise InputError(
            f"The heads of a {type(model.detector).__name__} do not fit the tracker: set model.heads to 'init', or "
            "hidden_dim and mask_feature_size in model.config to the sizes of a Mask2Former detector."
        )
    if _names(config.detector_config) != list(config.categories.names):
        fits -= {name for name in fits if any(head in name for head in _CLASS_HEADS)}
    tracker.load_state_dict({name: given[name] for name in fits}, strict=False)
    _log.info("The tracker starts with the detector's heads: %s.", ", ".join(sorted(fits)))


def silence_memory(model: GenVIS) -> None:
    """Set the values that a memory adds to the queries to zero: V_q and V_m of the paper's section 3.3.

    Keys stay as they are, so that the gradient of the values is not zero.

    Args:
        model: With a prototype memory.

    Raises:
        InputError: If it has none.
    """
    reader = None if model.tracker is None else model.tracker.memory_reader
    if reader is None:
        raise InputError("model.memory is 'silent', but the model has no prototype memory: leave out model.memory.")
    with torch.no_grad():
        for value in (reader.query_value, reader.memory_value):
            value.weight.zero_()
            value.bias.zero_()


def compare_looks(model: GenVIS) -> None:
    """Let the tracker start with a comparison: an instance query reads the frame queries that resemble it.

    Frame queries pass the object encoder nearly as they are. In the object decoder, the cross-attention weighs them by
    their scalar product with the instance queries and adds them, so that a query becomes more like what it reads, and
    finds it again in the next clip. Whatever else the layers do begins small. (The paper begins with random weights.)

    Args:
        model: With a tracker, whose queries are as wide as the detector's.

    Raises:
        InputError: If it has none, or they are not.
    """
    tracker = model.tracker
    if tracker is None:
        raise InputError("A MinVIS model has no tracker that could compare looks: leave out model.attention.")
    width, given = tracker.input_projection.out_features, tracker.input_projection.in_features
    if width != given:
        raise InputError(
            f"model.attention is 'looks', but frame queries have {given} channels, instance queries {width}: set "
            f"hidden_dim in model.config to {given}, or leave out model.attention."
        )
    same = torch.eye(width)
    with torch.no_grad():
        tracker.input_projection.weight.copy_(same)
        tracker.input_projection.bias.zero_()
        for encoder_layer in tracker.encoder.layers:
            layer = cast(nn.TransformerEncoderLayer, encoder_layer)
            layer.self_attn.out_proj.weight.zero_()
            layer.linear2.weight.mul_(_SMALL)
        for decoder_layer in tracker.decoder.layers:
            reader = cast(ObjectDecoderLayer, decoder_layer)
            attention = reader.cross_attention
            attention.in_proj_weight.copy_(torch.cat([_SHARPNESS**0.5 * same, _SHARPNESS**0.5 * same, same]))
            attention.in_proj_bias.zero_()
            attention.out_proj.weight.copy_(same)
            reader.self_attention.out_proj.weight.mul_(_SMALL)
            reader.linear2.weight.mul_(_SMALL)
        # Who a query is must not outweigh what it holds.
        tracker.decoder.query_position.weight.mul_(_SMALL)
        if tracker.decoder.frame_query_position is not None:
            tracker.decoder.frame_query_position.weight.mul_(_SMALL)


def _names(config: PreTrainedConfig) -> list[str]:
    return [str(label) for _, label in sorted((config.id2label or {}).items())]


def _configuration(options: ModelOptions, given: GenVISConfig | None, *, freeze_detector: bool = False) -> GenVISConfig:
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
    detector = options.config.get("detector") or {}
    if not isinstance(detector, dict):
        raise InputError(f"model.config.detector is '{detector!s:.40}': it must be a mapping of its fields.")
    fields.update({name: value for name, value in options.config.items() if name != "detector"})
    if detector:
        fields["detector"] = {**fields.get("detector", {}), **detector}
    for name in ("transformers_version", "architectures", "dtype"):
        fields.pop(name, None)
    check_fields(options.config, file="model.config")
    config = GenVISConfig(**fields)
    labels = _labels(options, given if not options.name else None)
    if labels is not None:
        config = config.with_labels(labels)
    if given is None or not freeze_detector:
        return config
    # Nothing would train new class heads: the detector keeps those that it has.
    fields, kept = config.to_dict(), given.detector_config
    fields["detector"].update(id2label=kept.id2label, label2id=kept.label2id)
    return GenVISConfig(**fields)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn whatever transformers and torch raise for an impossible configuration into one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(f"model.config is impossible: {reason[:500]}.") from error


def _check_memory(config: GenVISConfig) -> None:
    """Refuse a network that is larger than the memory before any of it is allocated."""
    with torch.device("meta"):
        size = sum(parameter.nbytes for parameter in GenVIS(config).parameters())
    room = psutil.virtual_memory().total
    if size > room:
        raise InputError(
            f"model.config describes a network of {size / 2**30:,.0f} GB, but this machine has {room / 2**30:,.0f} GB "
            "of memory: choose smaller sizes."
        )


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
