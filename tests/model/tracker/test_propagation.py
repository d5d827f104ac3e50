"""Propagation that is not the published one: weighted by occupancy, or gated, in all forms of a model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.inference.segmenter import VideoSegmenter
from genvis.model.genvis import GenVIS
from genvis.model.tracker.propagation_gate import PropagationGate
from genvis.model.tracker.tracker import Tracker
from tests.model.tiny_models import assert_sessions_go_on_exactly, random_queries, tiny_model

PROPAGATIONS = ("occupancy", "gated")
few = settings(max_examples=10, deadline=None)


def _model(propagation: str, **fields: Any) -> GenVIS:
    model = tiny_model(propagation=propagation, **({"memory_read": "none"} | fields))
    assert model.tracker is not None
    if model.tracker.gate is not None:  # As after some training.
        torch.nn.init.normal_(model.tracker.gate.weight, std=0.2)
        torch.nn.init.zeros_(model.tracker.gate.bias)
    return model


def _tracker(model: GenVIS) -> Tracker:
    assert model.tracker is not None
    return model.tracker.double()


def _published(model: GenVIS, **fields: Any) -> Tracker:
    """The same weights with the published propagation."""
    plain = tiny_model(**({"memory_read": "none"} | fields))
    given = model.state_dict()
    plain.load_state_dict({name: given[name] for name in plain.state_dict()})
    return _tracker(plain)


@few
@given(seed=st.integers(0, 99), memory_read=st.sampled_from(["none", "index"]))
def test_a_gate_of_one_is_the_published_propagation(seed: int, memory_read: str) -> None:
    model = _model("gated", memory_read=memory_read)
    tracker, plain = _tracker(model), _published(model, memory_read=memory_read)
    assert tracker.gate is not None
    torch.nn.init.zeros_(tracker.gate.weight)
    torch.nn.init.constant_(tracker.gate.bias, 1000)
    state = expected = None
    with torch.no_grad():
        for clip in range(3):
            queries = random_queries(2, 2, 5, 32, seed=seed + clip)
            found, state = tracker(queries, state)
            wanted, expected = plain(queries, expected)
            assert torch.equal(found.class_logits, wanted.class_logits)
            assert torch.equal(state.instance_queries, expected.instance_queries)


@few
@given(seed=st.integers(0, 99))
def test_a_gate_mixes_this_clip_with_what_it_started_from(seed: int) -> None:
    model = _model("gated")
    tracker, plain = _tracker(model), _published(model)
    assert tracker.gate is not None
    with torch.no_grad():
        _, before = tracker(random_queries(1, 1, 5, 32, seed=seed))
        queries = random_queries(1, 2, 5, 32, seed=seed + 1)
        _, after = tracker(queries, before)
        _, prototypes = plain(queries, before)
        both = torch.cat([prototypes.instance_queries, before.instance_queries], dim=-1)
        gate = (both @ tracker.gate.weight.T + tracker.gate.bias).sigmoid()
    assert float(gate.max() - gate.min()) > 0.5
    expected = gate * prototypes.instance_queries + (1 - gate) * before.instance_queries
    torch.testing.assert_close(after.instance_queries, expected)


def test_a_new_gate_is_almost_open() -> None:
    tracker = tiny_model(propagation="gated", memory_read="none").tracker
    assert tracker is not None
    assert tracker.gate is not None
    prototypes, before = torch.randn(2, 1, 6, 32)
    with torch.no_grad():
        share = (tracker.gate(prototypes, before) - before) / (prototypes - before)
    torch.testing.assert_close(share, torch.full_like(share, 0.982), rtol=1e-2, atol=0)
    assert tiny_model().tracker.gate is None  # type: ignore[union-attr]


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_the_state_has_a_constant_size(propagation: str) -> None:
    tracker, state = _tracker(_model(propagation)), None
    sizes = set()
    with torch.no_grad():
        for clip in range(5):
            _, state = tracker(random_queries(1, 1, 5, 32, seed=clip), state)
            sizes.add(sum(part.numel() for part in (state.instance_queries, state.memory.keys, state.memory.values)))
    assert sizes == {6 * 32}


@few
@given(seed=st.integers(0, 99), memory_read=st.sampled_from(["none", "index"]))
def test_a_model_trained_with_occupancy_does_by_itself_what_the_option_does(seed: int, memory_read: str) -> None:
    model = _model("occupancy", memory_read=memory_read)
    tracker, plain = _tracker(model), _published(model, memory_read=memory_read)
    state = asked = expected = without = None
    with torch.no_grad():
        for clip in range(3):
            queries = random_queries(2, 2, 5, 32, seed=seed + clip)
            _, state = tracker(queries, state)
            _, asked = tracker(queries, asked, occupancy_weighted=True)
            _, expected = plain(queries, expected, occupancy_weighted=True)
            _, without = plain(queries, without)
            assert torch.equal(state.instance_queries, expected.instance_queries)
            assert torch.equal(state.instance_queries, asked.instance_queries)  # Not weighted twice.
            assert not torch.equal(state.instance_queries, without.instance_queries)


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_what_comes_before_the_mixture_learns_from_later_clips(propagation: str) -> None:
    tracker = _model(propagation).tracker
    assert tracker is not None
    _, state = tracker(random_queries(1, 2, 5, 32).float())
    output, _ = tracker(random_queries(1, 2, 5, 32, seed=1).float(), state)
    output.mask_embeddings.square().mean().backward()
    learned = {name for name, one in tracker.named_parameters() if one.grad is not None and one.grad.any()}
    if tracker.gate is not None:
        assert {"gate.weight", "gate.bias"} <= learned
    # How sure a class is does not learn to move queries about.
    assert not any("class_predictor" in name for name in learned)


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_models_are_saved_and_loaded_with_their_propagation(propagation: str, tmp_path: Path) -> None:
    model = _model(propagation)
    model.save_pretrained(tmp_path)
    loaded = GenVIS.from_pretrained(tmp_path)
    assert loaded.config.propagation == propagation
    found, wanted = loaded.state_dict(), model.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert any("gate" in name for name in wanted) == (propagation == "gated")
    vita, minvis = loaded.as_vita(), loaded.as_minvis()
    assert (vita.config.propagation, minvis.config.propagation) == ("full", "full")
    assert not any(isinstance(module, PropagationGate) for module in vita.modules())


@pytest.mark.parametrize("propagation", PROPAGATIONS)
def test_sessions_are_saved_and_go_on_exactly(propagation: str, tmp_path: Path) -> None:
    model = _model(propagation)
    segmenter = VideoSegmenter(model, resolution=64)
    assert segmenter.settings()["propagation"] == propagation
    assert "propagation" not in VideoSegmenter(tiny_model(), resolution=64).settings()
    assert_sessions_go_on_exactly(model, tmp_path)
