"""Ranges of the numbers in a recipe, and the settings that must agree."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from genvis.errors import InputError
from genvis.training.recipe.recipe import Recipe

_LONGEST_SIDE = 16_384
_MOST = 1 << 40

# Least and greatest value; of all other numbers 0 and 2^40. "data.sources" stands for each of them.
_RANGES: dict[str, tuple[float, float]] = {
    "optimizer.backbone_multiplier": (0, 1e6),
    "optimizer.clip_norm": (0, 1e9),
    "optimizer.epsilon": (1e-30, 1),
    "optimizer.gamma": (0, 1),
    "optimizer.learning_rate": (1e-12, 1e3),
    "optimizer.rising_share": (0, 1),
    "optimizer.warmup_factor": (0, 1),
    "optimizer.weight_decay": (0, 1e3),
    "loss.clip_lengths": (1, 4096),
    "loss.detector_layers": (1, 1000),
    "loss.disappearance": (0, 1),
    "loss.fixed_grid": (0, 4096),
    "loss.points.count": (1, 1 << 24),
    "loss.points.importance_ratio": (0, 1),
    "loss.points.oversample_ratio": (1, 1000),
    "loss.query_noise": (0, 1),
    "loss.weights.no_object": (1e-6, 1e6),
    "data.augmentation.crop_size": (1, _LONGEST_SIDE),
    "data.augmentation.image_size": (1, _LONGEST_SIDE),
    "data.augmentation.max_size": (1, _LONGEST_SIDE),
    "data.augmentation.rotation": (0, 180),
    "data.augmentation.scale": (1e-3, 1e3),
    "data.augmentation.short_sides": (1, _LONGEST_SIDE),
    "data.batch_size": (1, 1 << 16),
    "data.clips": (1, 4096),
    "data.frames_per_clip": (1, 4096),
    "data.sources.height": (16, _LONGEST_SIDE),
    "data.sources.width": (16, _LONGEST_SIDE),
    "data.validation.height": (16, _LONGEST_SIDE),
    "data.validation.width": (16, _LONGEST_SIDE),
    "data.validation_frames": (1, 1 << 20),
    "data.workers": (0, 1024),
    "cache.views": (1, 1 << 32),
    "run.accumulate": (1, 1 << 16),
    "run.devices": (1, 4096),
    "run.ema_decay": (0, 1 - 1e-9),
    "run.log_steps": (1, _MOST),
    "run.max_steps": (1, _MOST),
    "run.nodes": (1, 4096),
    "run.seed": (0, (1 << 63) - 1),
    "run.threads": (0, 4096),
}
_NOT_EMPTY = ("data.sources", "data.augmentation.short_sides")
_RISING = ("data.augmentation.crop_size", "data.augmentation.scale")


def check_recipe(recipe: Recipe) -> None:
    """Make sure that every number is finite and in its range, and that the settings agree.

    Raises:
        InputError: Naming the option, its value and the range.
    """
    for name in _left_empty("", recipe):
        raise InputError(f"{name} is empty: give a value, or leave the line out for the default.")
    for name, value in _numbers("", recipe):
        low, high = _RANGES.get(name, (0, _MOST))
        if not low <= value <= high:  # Also true of NaN.
            raise InputError(f"{name} is {value!s:.40}: give a number from {low:g} to {high:g}.")
    for name in _NOT_EMPTY:
        if not _value(recipe, name):
            raise InputError(f"{name} is empty: name at least one.")
    for name in _RISING:
        low, high = _value(recipe, name)
        if low > high:
            raise InputError(f"{name} is {low} to {high}: the smaller value comes first.")
    clip_length, frames = recipe.model.config.get("clip_length"), recipe.data.frames_per_clip
    if recipe.stage == "genvis" and clip_length not in (None, frames):
        raise InputError(
            f"model.config.clip_length is {clip_length} but data.frames_per_clip is {frames}: leave clip_length out; "
            "the model is trained, and later used, with data.frames_per_clip."
        )
    _check_losses(recipe)
    if recipe.cache.folder and recipe.stage != "genvis":
        raise InputError("cache.folder needs a frozen detector: it is for stage 'genvis' only.")


def _check_losses(recipe: Recipe) -> None:
    """Make sure that the losses fit stage and samples."""
    longest, sample = max(recipe.loss.clip_lengths, default=0), recipe.data.clips * recipe.data.frames_per_clip
    if longest and recipe.stage != "genvis":
        raise InputError("loss.clip_lengths divides the frames of stage 'genvis': leave it out.")
    if 2 * longest > sample:
        raise InputError(
            f"loss.clip_lengths has {longest}, but a sample has {sample} frames (data.clips x data.frames_per_clip) "
            "and needs two clips to learn propagation: give at most half of them."
        )
    for name in ("disappearance", "query_noise"):
        value = getattr(recipe.loss, name)
        if value and recipe.stage != "genvis":
            raise InputError(f"loss.{name} is {value:g}, but is for stage 'genvis' only: set it to 0.")
    if recipe.loss.identity and (recipe.stage == "vita" or sample < 2):
        remedy = "set it to 0." if recipe.stage == "vita" else "set it to 0, or data.clips to 2."
        raise InputError(
            f"loss.identity is {recipe.loss.identity:g}, but compares frames of a video in stage 'detector' and clips "
            f"in stage 'genvis': {remedy}"
        )


def _left_empty(name: str, value: Any) -> Iterator[str]:
    """Return the names of all options below a value that are None, though None is none of their values."""
    if is_dataclass(value):
        kinds = get_type_hints(type(value))
        for field in fields(value):
            below, given = f"{name}.{field.name}" if name else field.name, getattr(value, field.name)
            if given is None and type(None) not in get_args(kinds[field.name]):
                yield below
            yield from _left_empty(below, given)
    elif isinstance(value, list):
        for part in value:
            yield from _left_empty(name, part)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, int | float]]:
    """Return all numbers below a value with their names; ``model.config`` checks itself."""
    if is_dataclass(value):
        for field in fields(value):
            below = f"{name}.{field.name}" if name else field.name
            if below != "model.config":
                yield from _numbers(below, getattr(value, field.name))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _numbers(name, part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _numbers(f"{name}.{key}", part)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def _value(recipe: Recipe, name: str) -> Any:
    value: Any = recipe
    for part in name.split("."):
        value = getattr(value, part)
    return value
