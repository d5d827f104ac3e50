"""Presence: a probability to be visible means the same, whatever weight "no object" had in training."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.trackers.propagation import tracks_of_queries
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.training.run.run import build_module
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")
MASKS = torch.zeros(1, 3, 2, 2)


def presence(class_logits: Tensor, weight: float) -> Tensor:
    return tracks_of_queries(class_logits, MASKS, no_object_weight=weight).presence


@given(st.lists(st.floats(-8, 8), min_size=9, max_size=9), st.floats(1e-3, 1e3))
def test_a_weight_moves_the_odds_of_no_object_by_what_it_multiplies_its_loss_with(
    logits: list[float], weight: float
) -> None:
    trained = torch.tensor(logits).reshape(3, 3)
    shifted = trained - torch.tensor([0.0, 0.0, math.log(weight / 0.1)])
    torch.testing.assert_close(presence(trained, weight), presence(shifted, 0.1), rtol=1e-3, atol=1e-5)


def test_the_published_weight_changes_no_bit_and_scores_never_change() -> None:
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    published = tracks_of_queries(logits, MASKS)
    assert torch.equal(published.presence, 1 - logits.softmax(dim=-1)[:, -1])
    heavier = tracks_of_queries(logits, MASKS, no_object_weight=1.0)
    assert torch.equal(heavier.class_evidence, published.class_evidence)
    assert (heavier.presence > published.presence).all()


def test_a_model_says_with_which_weight_it_was_trained(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path / "run", "genvis")
    recipe.loss.weights = replace(recipe.loss.weights, no_object=0.7)
    model = build_module(recipe).model
    model.eval().save_pretrained(tmp_path / "model")
    loaded = GenVIS.from_pretrained(tmp_path / "model")
    assert loaded.config.no_object_weight == 0.7
    assert VideoSegmenter(loaded).tracker.no_object_weight == 0.7


@pytest.mark.parametrize("tracker", ["propagation", "clip_queries"])
def test_absent_objects_are_those_of_the_model(tiny_model: Any, golden_frames: Any, tracker: Any) -> None:
    def visible() -> Tensor:
        segmenter = VideoSegmenter(tiny_model, resolution=64, tracker=tracker)
        clip, _ = segmenter.tracker.track(segmenter.prepare(list(golden_frames[:1])).pixel_values, None)
        assert clip is not None
        return clip.presence

    usual, weight = visible(), tiny_model.config.no_object_weight
    try:
        tiny_model.config.no_object_weight = 1.0
        heavier = visible()
    finally:
        tiny_model.config.no_object_weight = weight
    torch.testing.assert_close(heavier, usual / (usual + 0.1 * (1 - usual)))


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_weights_are_refused(weight: float) -> None:
    with pytest.raises(InputError, match="no_object_weight is"):
        GenVISConfig(no_object_weight=weight)
