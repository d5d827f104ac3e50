"""Bounds of every number in the configuration of a model, checked before anything is allocated.

The bounds are far above every published model. They keep a hostile or damaged ``config.json`` from asking for
terabytes, and turn it into one sentence.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from genvis.errors import InputError


class Bound(NamedTuple):
    """Range of a number, both ends included; ``is_whole`` demands an integer."""

    low: float
    high: float
    is_whole: bool = True


_CHANNELS = Bound(1, 8192)
_FEEDFORWARD = Bound(1, 65_536)
_LAYERS = Bound(0, 200)
_HEADS = Bound(1, 256)
_QUERIES = Bound(1, 10_000)
_SIDE = Bound(1, 8192)
_SMALL = Bound(1, 64)
_TOKENS = Bound(0, 64)
_SHARE = Bound(0, 1, is_whole=False)
_RATIO = Bound(0.01, 64, is_whole=False)

BOUNDS: Mapping[str, Bound] = {
    **dict.fromkeys(
        ("hidden_size", "hidden_sizes", "hidden_dim", "d_model", "embed_dim", "embedding_size"),
        _CHANNELS,
    ),
    **dict.fromkeys(("feature_size", "mask_feature_size", "num_channels"), _CHANNELS),
    **dict.fromkeys(
        ("dim_feedforward", "encoder_feedforward_dim", "decoder_ffn_dim", "intermediate_size"),
        _FEEDFORWARD,
    ),
    **dict.fromkeys(
        ("num_hidden_layers", "num_layers", "encoder_layers", "decoder_layers", "object_decoder_layers", "depths"),
        _LAYERS,
    ),
    **dict.fromkeys(("num_blocks", "c2f_num_blocks", "num_upscale_blocks"), _LAYERS),
    **dict.fromkeys(
        ("num_attention_heads", "num_heads", "decoder_self_attention_heads", "decoder_cross_attention_heads"),
        _HEADS,
    ),
    **dict.fromkeys(("num_queries", "num_instance_queries", "detections_per_video", "num_labels"), _QUERIES),
    **dict.fromkeys(("image_size", "min_size_test", "max_size_test"), _SIDE),
    "size_divisibility": Bound(1, 1024),
    **dict.fromkeys(("patch_size", "window_size", "num_windows", "decoder_n_points", "group_detr"), _SMALL),
    **dict.fromkeys(("common_stride", "encoder_stride", "feature_strides", "mask_downsample_ratio"), _SMALL),
    **dict.fromkeys(("num_feature_levels", "mask_point_sample_ratio"), _SMALL),
    "num_register_tokens": _TOKENS,
    "encoder_window_size": Bound(0, 10_000),
    "clip_length": Bound(1, 10_000),
    "memory_clips": Bound(1, 10_000_000),
    **dict.fromkeys(("mlp_ratio", "hidden_expansion"), _RATIO),
    **dict.fromkeys(
        ("dropout", "attention_dropout", "activation_dropout", "drop_path_rate", "hidden_dropout_prob"), _SHARE
    ),
    **dict.fromkeys(("attention_probs_dropout_prob", "layer_norm_eps"), _SHARE),
    **dict.fromkeys(("pixel_mean", "image_mean"), Bound(-1000, 1000, is_whole=False)),
    **dict.fromkeys(("pixel_std", "image_std"), Bound(0.001, 1000, is_whole=False)),
    "rescale_factor": Bound(1e-5, 1, is_whole=False),
    "resample": Bound(0, 5),
    **dict.fromkeys(("height", "width", "shortest_edge", "longest_edge", "max_size", "size"), _SIDE),
}
"""Bounds by the name of a field, in the configurations of all families and of their preprocessors."""

MOST_CATEGORIES = 10_000
MOST_CHARACTERS = 200
_LONGEST_LIST = 64
_OF_CHANNELS = ("pixel_mean", "pixel_std", "image_mean", "image_std")
_MOST_NESTING = 8


def check_fields(fields: Mapping[str, Any], *, file: str) -> None:
    """Check every number of a configuration against `BOUNDS`, and its categories.

    Args:
        fields: Content of ``config.json`` or ``preprocessor_config.json``, nested as it is.
        file: Name of the file, for messages.

    Raises:
        InputError: If a number is out of its bounds, no number at all, or not finite; or if the categories are too
            many, not numbered from 0, or not text.
    """
    for path, name, value in _walk(fields, file=file):
        if name in ("id2label", "label2id"):
            _check_labels(value, path, file=file) if name == "id2label" else None
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{file} says {path} is {value}: it must be a finite number.")
        bound = BOUNDS.get(name)
        if bound is not None and value is not None and not isinstance(value, Mapping):
            _check_bound(value, bound, path, file=file)


def _walk(fields: Mapping[str, Any], *, file: str, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """Yield the path, the name and the value of every field, at every depth."""
    if depth > _MOST_NESTING:
        raise InputError(f"{file} is nested deeper than {_MOST_NESTING} levels: it is no configuration of a model.")
    for name, value in fields.items():
        path = f"{prefix}{name}"
        yield path, name, value
        if isinstance(value, Mapping) and name not in ("id2label", "label2id"):
            yield from _walk(value, file=file, prefix=f"{path}.", depth=depth + 1)


def _check_bound(value: Any, bound: Bound, path: str, *, file: str) -> None:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > _LONGEST_LIST:
            raise InputError(f"{file} says {path} has {len(value)} entries: it may have {_LONGEST_LIST}.")
        if path.rpartition(".")[2] in _OF_CHANNELS and len(value) != 3:
            raise InputError(f"{file} says {path} has {len(value)} entries: it must have one for each of 3 channels.")
        for entry in value:
            _check_bound(entry, bound, path, file=file)
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and bound.is_whole and isinstance(value, float):
        is_number = value.is_integer()
    if not is_number or not bound.low <= value <= bound.high:
        kind = "a whole number" if bound.is_whole else "a number"
        raise InputError(
            f"{file} says {path} is {_shown(value)}: it must be {kind} from {bound.low:g} to {bound.high:g}."
        )


def _check_labels(value: Any, path: str, *, file: str) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping) or len(value) > MOST_CATEGORIES:
        held = f"{len(value)} entries" if isinstance(value, Mapping) else _shown(value)
        raise InputError(f"{file} says {path} is {held}: it must be at most {MOST_CATEGORIES} names by number.")
    if {str(key) for key in value} != {str(index) for index in range(len(value))}:
        raise InputError(f"{file} numbers its categories ({path}) otherwise than 0, 1, 2 ... {len(value) - 1}.")
    for key, label in value.items():
        if not isinstance(label, str) or len(label) > MOST_CHARACTERS:
            raise InputError(
                f"{file} says {path}.{key} is {_shown(label)}: it must be a name of at most {MOST_CHARACTERS} "
                "characters."
            )


def _shown(value: Any) -> str:
    """Return a value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # An integer of more digits than Python prints.
        return "a number of thousands of digits"
    return text if len(text) <= 40 else f"{text[:40]}..."
