"""Groups of parameters and the course of the learning rate."""

import pytest
import torch

from genvis.training.recipe.recipe import ModelOptions, OptimizerOptions
from genvis.training.run.optimization import parameter_groups, rate_factor
from genvis.training.stages.model_building import build_model
from tests.training.tiny import CONFIG


def test_norms_and_embeddings_do_not_decay_and_the_backbone_learns_slower() -> None:
    model = build_model(ModelOptions(config=CONFIG, categories="ovis"))
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, OptimizerOptions(learning_rate=1.0, backbone_multiplier=0.1, weight_decay=0.5))
    seen = [names[parameter] for group in groups for parameter in group["params"]]
    assert sorted(seen) == sorted(names.values())
    rates = {names[p]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    encoder = "detector.mask2former.pixel_level_module.encoder.embedder.embedder"
    assert rates[f"{encoder}.convolution.weight"] == (0.1, 0.5)
    assert rates[f"{encoder}.normalization.weight"] == (0.1, 0.0)
    assert rates["detector.class_predictor.weight"] == (1.0, 0.5)
    assert rates["detector.mask2former.transformer_module.queries_features.weight"] == (1.0, 0.0)
    assert rates["detector.mask2former.transformer_module.level_embed.weight"] == (1.0, 0.0)
    assert rates["tracker.heads.norm.bias"] == (1.0, 0.0)
    assert rates["tracker.query_features.weight"] == (1.0, 0.0)


@pytest.mark.parametrize("propagation", ["motion", "gated"])
def test_numbers_that_begin_with_a_meaning_do_not_decay(propagation: str) -> None:
    reading = {"motion": "claims", "gated": "attention"}[propagation]
    config = CONFIG | {"frame_reading": reading, "memory_read": "none", "propagation": propagation}
    tracker = build_model(ModelOptions(config=config, categories="ovis")).tracker
    groups = parameter_groups(tracker, OptimizerOptions(learning_rate=0.5, weight_decay=1.0))
    names = {parameter: name for name, parameter in tracker.named_parameters()}
    rates = {names[p]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    numbers = {name for name in rates if name.endswith(("place_weight", "nothing", "gain", "damping"))}
    assert len(numbers) == (2 * len(tracker.decoder.layers) + 2 if propagation == "motion" else 0)
    assert {rates[name] for name in numbers} <= {(5.0, 0.0)}
    gate = {name: rates[name] for name in rates if name.startswith("gate.")}
    assert gate == ({"gate.weight": (0.5, 1.0), "gate.bias": (0.5, 0.0)} if propagation == "gated" else {})
    assert {rates[name] for name in rates if name.endswith("in_proj_weight")} == {(0.5, 1.0)}


def test_frozen_parameters_are_left_out() -> None:
    model = build_model(ModelOptions(config=CONFIG, categories="ovis"))
    model.detector.requires_grad_(False)
    groups = parameter_groups(model, OptimizerOptions())
    learned = {id(parameter) for group in groups for parameter in group["params"]}
    assert learned == {id(parameter) for parameter in model.tracker.parameters()}


def test_steps_fall_at_their_milestones() -> None:
    options = OptimizerOptions(schedule="steps", milestones=[10, 20], gamma=0.1, warmup_steps=4, warmup_factor=0.2)
    factors = [rate_factor(step, options=options, max_steps=30) for step in range(30)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[9:11] == pytest.approx([1.0, 0.1])
    assert factors[20] == pytest.approx(0.01)


def test_the_published_warm_up_is_none() -> None:
    assert rate_factor(0, options=OptimizerOptions(), max_steps=10) == 1.0


def test_one_cycle_rises_once_and_falls_to_almost_nothing() -> None:
    options = OptimizerOptions(schedule="one_cycle", rising_share=0.25)
    factors = torch.tensor([rate_factor(step, options=options, max_steps=100) for step in range(101)])
    assert int(factors.argmax()) == 25
    assert float(factors.max()) == pytest.approx(1.0)
    assert (factors[1:26] > factors[:25]).all()
    assert (factors[26:] < factors[25:-1]).all()
    assert float(factors[0]) == pytest.approx(0.04)
    assert float(factors[-1]) == pytest.approx(1e-4, rel=1e-3)
