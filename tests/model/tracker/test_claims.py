"""Queries that compete for detections, and know where their objects were, in all forms of a model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.config import PLACE_GRID
from genvis.model.genvis import GenVIS
from genvis.model.outputs import FramePrediction
from genvis.model.tracker.claiming_decoder import ClaimingDecoderLayer
from genvis.model.tracker.places import places_of
from genvis.model.tracker.tracker import Tracker
from tests.model.tiny_models import assert_sessions_go_on_exactly, random_frames, random_queries, tiny_model

few = settings(max_examples=15, deadline=None)
PLACES = PLACE_GRID**2
CLAIMS: dict[str, Any] = {"frame_reading": "claims", "memory_read": "none"}
all_propagations = pytest.mark.parametrize("propagation", ["full", "occupancy", "motion"])


def claiming_tracker(propagation: str = "full") -> Tracker:
    tracker = tiny_model(propagation=propagation, **CLAIMS).tracker
    assert tracker is not None
    return tracker


def tokens(frames: int, *, seed: int) -> Tensor:
    """Frame queries (1, T, 5, 32 + P) at different places."""
    places = torch.zeros(1, frames, 5, PLACES)
    for one in range(5):
        places[..., one, 7 * one : 7 * one + 4] = 0.5
    return torch.cat([random_queries(1, frames, 5, 32, seed=seed).float(), places], dim=-1)


def prediction(masks: list[Tensor], scores: list[float]) -> FramePrediction:
    """One frame, a query for each mask."""
    features = torch.stack(masks)[None]  # A channel is the mask of a query.
    return FramePrediction(torch.tensor(scores)[None, :, None], torch.eye(len(masks))[None], features)


def block(left: int, top: int, size: int = 8) -> Tensor:
    """Logits of a square in a frame of 32 x 32: its place is a few cells of the grid."""
    logits = torch.full((32, 32), -30.0)
    logits[top : top + size, left : left + size] = 30.0
    return logits


def test_places_are_where_the_masks_are():
    places = places_of(prediction([block(0, 0), block(24, 24), block(4, 0)], [0.9, 0.8, 0.7]))[0]
    assert places.shape == (3, PLACES)
    cells = places.unflatten(1, (PLACE_GRID, PLACE_GRID))
    assert torch.nonzero(cells[0] > 1e-6).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert torch.nonzero(cells[1] > 1e-6).tolist() == [[6, 6], [6, 7], [7, 6], [7, 7]]
    torch.testing.assert_close(places @ places.T, torch.tensor([[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]]))


@few
@given(seed=st.integers(0, 99), frames=st.integers(1, 3))
def test_no_more_than_all_of_a_clip_is_read(seed, frames):
    """With a weight of nothing that is 0, all is read of the detections."""
    tracker = claiming_tracker()
    layer = tracker.decoder.layers[0]
    assert isinstance(layer, ClaimingDecoderLayer)
    read = tokens(frames, seed=seed).flatten(1, 2)
    queries = random_queries(1, 6, 1, 32, seed=seed + 1)[:, :, 0].float()
    places = torch.rand(1, 6, PLACES, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        found, shares = layer.claim(
            queries, torch.zeros(6, 32), read[..., :32], None, places=places, token_places=read[..., 32:]
        )
        assert bool((shares.sum(dim=-1) < 1).all())
        layer.nothing.fill_(-100.0)
        _, shares = layer.claim(
            queries, torch.zeros(6, 32), read[..., :32], None, places=places, token_places=read[..., 32:]
        )
    assert found.isfinite().all()
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(1, 6))


def test_a_query_that_others_leave_nothing_reads_nothing():
    tracker = claiming_tracker()
    layer = tracker.decoder.layers[0]
    assert isinstance(layer, ClaimingDecoderLayer)
    read = tokens(1, seed=0)[:, 0]
    queries = random_queries(1, 6, 1, 32, seed=1)[:, :, 0].float()
    places = torch.cat([read[..., 32:], torch.zeros(1, 1, PLACES)], dim=1)  # Five where a detection is, one nowhere.
    with torch.no_grad():
        layer.place_weight.fill_(40.0)
        _, shares = layer.claim(
            queries, torch.zeros(6, 32), read[..., :32], None, places=places, token_places=read[..., 32:]
        )
    assert bool((shares[0, :5].sum(dim=-1) > 0.9).all())
    assert float(shares[0, 5].sum()) < 0.1


def test_whoever_was_there_and_looks_so_claims_it():
    """Two queries that look alike: the one that was at its place has the detection, the other has the rest."""
    tracker = claiming_tracker()
    layer = tracker.decoder.layers[0]
    assert isinstance(layer, ClaimingDecoderLayer)
    read = tokens(1, seed=0)[:, 0]
    queries = random_queries(1, 1, 1, 32, seed=1)[:, 0].float().expand(1, 2, 32)
    places = torch.stack([read[0, 0, 32:], read[0, 1, 32:]])[None]
    with torch.no_grad():
        _, shares = layer.claim(
            queries, torch.zeros(2, 32), read[..., :32], None, places=places, token_places=read[..., 32:]
        )
    assert shares[0, 0, 0] > 20 * shares[0, 1, 0]
    assert shares[0, 1, 1] > 20 * shares[0, 0, 1]


def make_all(tracker: Tracker, *, present: bool) -> None:
    """Let all queries be sure that their object is visible, or that it is not."""
    with torch.no_grad():
        tracker.heads.class_predictor.weight.zero_()
        tracker.heads.class_predictor.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -50.0 if present else 50.0]))


@all_propagations
def test_a_query_that_never_had_an_object_is_nowhere(propagation: str):
    tracker = claiming_tracker(propagation)
    for present in (False, True):
        make_all(tracker, present=present)
        with torch.no_grad():
            _, state = tracker(tokens(1, seed=0))
        places = state.instance_queries[..., 32 : 32 + PLACES]
        assert float(places.norm(dim=-1).max()) <= 1 + 1e-4
        assert bool(places.norm(dim=-1).max() > 0.1) == present


@all_propagations
def test_the_query_of_a_hidden_object_is_nowhere_or_waits_where_it_was(propagation: str):
    tracker = claiming_tracker(propagation)
    make_all(tracker, present=True)
    with torch.no_grad():
        _, before = tracker(tokens(1, seed=0))
        make_all(tracker, present=False)
        _, after = tracker(tokens(1, seed=1), before)
    if propagation != "full":
        kept = slice(32 + PLACES)  # Nothing had moved yet.
        assert torch.equal(after.instance_queries[..., kept], before.instance_queries[..., kept])
    else:
        assert not after.instance_queries[..., 32:].any()


@few
@given(seed=st.integers(0, 99))
def test_the_order_of_detections_means_nothing(seed):
    tracker = claiming_tracker()
    assert tracker.decoder.frame_query_position is not None
    torch.nn.init.zeros_(tracker.decoder.frame_query_position.weight)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    state = other = None
    with torch.no_grad():
        for clip in range(3):
            read = tokens(2, seed=seed + clip)
            found, state = tracker(read, state)
            again, other = tracker(read[:, :, order], other)
            torch.testing.assert_close(found.class_logits, again.class_logits, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(state.instance_queries, other.instance_queries, atol=1e-4, rtol=1e-4)


@all_propagations
def test_all_parts_learn(propagation: str):
    tracker = claiming_tracker(propagation)
    _, state = tracker(tokens(1, seed=0))
    _, state = tracker(tokens(1, seed=1), state)
    output, _ = tracker(tokens(1, seed=2), state)
    (output.mask_embeddings.square().mean() + output.class_logits.square().mean()).backward()
    learned = {name for name, one in tracker.named_parameters() if one.grad is not None and one.grad.any()}
    if propagation == "motion":
        assert "place_motion.gain" in learned
    own = ("place_weight", "nothing")
    assert {f"decoder.layers.{layer}.{name}" for layer in range(2) for name in own} <= learned
    assert "query_features.weight" in learned


def test_models_are_saved_and_loaded_with_their_reading(tmp_path: Path):
    model = tiny_model(**CLAIMS)
    model.save_pretrained(tmp_path)
    loaded = GenVIS.from_pretrained(tmp_path)
    assert loaded.config.frame_reading == "claims"
    found, wanted = loaded.state_dict(), model.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert loaded.as_vita().config.frame_reading == loaded.as_minvis().config.frame_reading == "attention"


@all_propagations
def test_sessions_are_saved_and_go_on_exactly(propagation: str, tmp_path: Path):
    model = tiny_model(propagation=propagation, **CLAIMS)
    segmenter = VideoSegmenter(model, resolution=64)
    assert segmenter.settings()["frame_reading"] == "claims"
    assert "frame_reading" not in VideoSegmenter(tiny_model(), resolution=64).settings()
    assert_sessions_go_on_exactly(model, tmp_path)


def test_a_call_of_the_model_is_what_a_session_does():
    model = tiny_model(**CLAIMS)
    frames = random_frames(1, 2, 64, 96)
    with torch.no_grad():
        one, state = model(frames[:, :1])
        two, _ = model(frames[:, 1:], state)
        detected = model.detector(model.prepare_frames(frames))
        assert model.tracker is not None
        read = model.tracker.tokens(model.detector, detected)
        _, following = model.tracker(read[:1][None])
        output, _ = model.tracker(read[1:][None], following)
    torch.testing.assert_close(two.class_logits, output.class_logits[-1], atol=1e-5, rtol=1e-5)
    assert one.class_logits.shape == (1, 6, 4)


def test_a_state_of_another_reading_is_refused():
    _, state = tiny_model(memory_read="none")(random_frames(1, 1, 64, 96))
    with pytest.raises(InputError, match="instance queries of shape"):
        tiny_model(**CLAIMS)(random_frames(1, 1, 64, 96), state)
