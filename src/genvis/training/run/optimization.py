"""The optimizer's groups of parameters and the course of the learning rate."""

import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from genvis.model.tracker.propagation_gate import PropagationGate
from genvis.training.recipe.recipe import OptimizerOptions

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
# Bare parameters that are embeddings in all but their class.
_EMBEDDINGS = ("relative_position_bias_table", "absolute_pos_embed", "position_embeddings", "level_embed")

# Single numbers that begin with a meaning (claims and moving places): decay would take it from them, and a step that is
# right for one of many weights hardly moves them.
_NUMBERS = ("place_weight", "nothing", "gain", "damping")
_NUMBER_MULTIPLIER = 10.0


def parameter_groups(model: nn.Module, options: OptimizerOptions) -> list[dict[str, Any]]:
    """Group the trainable parameters by learning rate and weight decay.

    Args:
        model: The network; parameters below a module named ``encoder`` of ``pixel_level_module`` are the backbone's.
        options: Rates and decay. Norms, embeddings, gates' biases and the numbers of claims have no weight decay, and
            the last ten times the rate.

    Returns:
        Groups for AdamW, in a fixed order.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for kind, decays, parameter in _described(model):
        groups.setdefault((kind, decays), []).append(parameter)
    multipliers = {"": 1.0, "backbone": options.backbone_multiplier, "number": _NUMBER_MULTIPLIER}
    return [
        {
            "params": groups[kind, decays],
            "lr": options.learning_rate * multipliers[kind],
            "weight_decay": options.weight_decay if decays else 0.0,
        }
        for kind, decays in sorted(groups)
    ]


def _described(model: nn.Module) -> Iterator[tuple[str, bool, nn.Parameter]]:
    seen: set[nn.Parameter] = set()
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            is_embedding = isinstance(module, nn.Embedding) or name in _EMBEDDINGS
            is_open_gate = isinstance(module, PropagationGate) and name == "bias"
            decays = not (isinstance(module, _NORMS) or is_embedding or is_open_gate or name in _NUMBERS)
            kind = "number" if name in _NUMBERS else "backbone" if "pixel_level_module.encoder" in module_name else ""
            yield kind, decays, parameter


def rate_factor(step: int, *, options: OptimizerOptions, max_steps: int) -> float:
    """Return the factor of the highest learning rate in a step.

    Args:
        step: From 0.
        options: The schedule.
        max_steps: Steps of the whole run.
    """
    if options.schedule == "one_cycle":
        rise = max(1, round(options.rising_share * max_steps))
        if step < rise:
            return 0.04 + 0.96 * _half_cosine(step / rise)
        return 1.0 - (1.0 - 1e-4) * _half_cosine(min(1.0, (step - rise) / max(1, max_steps - rise)))
    factor = 1.0
    if step < options.warmup_steps:
        share = step / options.warmup_steps
        factor = options.warmup_factor * (1.0 - share) + share
    if options.schedule == "steps":
        factor *= options.gamma ** sum(step >= milestone for milestone in options.milestones)
    return factor


def _half_cosine(share: float) -> float:
    """Rise smoothly from 0 to 1."""
    return 0.5 - 0.5 * math.cos(math.pi * share)
