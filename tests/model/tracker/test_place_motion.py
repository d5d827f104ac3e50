"""Places of hidden objects, which move on as the objects moved."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from genvis.errors import InputError
from genvis.model.config import PLACE_GRID, PLACE_MOTION
from genvis.model.tracker.places import PlaceMotion, centres_of, moved_places
from genvis.model.tracker.tracker import Tracker
from tests.model.tiny_models import random_queries, tiny_config, tiny_model

few = settings(max_examples=30, deadline=None)
whole = st.integers(-PLACE_GRID, PLACE_GRID)
fraction = st.floats(-1, 1, width=32)


def place_at(x: float, y: float) -> Tensor:
    """Return the place (P,) of a mask of the size of a cell whose centre is at x and y, in cells."""
    cells = torch.arange(PLACE_GRID) + 0.5
    rows, columns = ((1 - (cells - at).abs()).clamp(min=0) for at in (y, x))
    return normalize(torch.outer(rows, columns).flatten(), dim=0)


@few
@given(x=st.floats(1, 7, width=32), y=st.floats(1, 7, width=32))
def test_centres_are_where_the_masks_are(x: float, y: float) -> None:
    torch.testing.assert_close(centres_of(place_at(x, y)), torch.tensor([x, y]), atol=1e-4, rtol=1e-4)


def test_no_place_has_a_finite_centre() -> None:
    assert centres_of(torch.zeros(3, PLACE_GRID**2)).tolist() == [[0, 0]] * 3


@few
@given(right=whole, down=whole, seed=st.integers(0, 99))
def test_whole_cells_are_moved_exactly_and_what_leaves_is_gone(right: int, down: int, seed: int) -> None:
    cells = torch.rand(PLACE_GRID, PLACE_GRID, generator=torch.Generator().manual_seed(seed))
    wanted = torch.zeros_like(cells)
    for row in range(PLACE_GRID):
        for column in range(PLACE_GRID):
            if 0 <= row + down < PLACE_GRID and 0 <= column + right < PLACE_GRID:
                wanted[row + down, column + right] = cells[row, column]
    moved = moved_places(cells.flatten(), torch.tensor([float(right), float(down)]))
    torch.testing.assert_close(moved, wanted.flatten())


@few
@given(right=fraction, down=fraction)
def test_parts_of_cells_move_the_centre(right: float, down: float) -> None:
    way = torch.tensor([right, down])
    torch.testing.assert_close(
        centres_of(moved_places(place_at(4, 3.5), way)), torch.tensor([4, 3.5]) + way, atol=1e-4, rtol=1e-4
    )


@few
@given(right=st.floats(-0.25, 0.25, width=32), down=st.floats(-0.25, 0.25, width=32), hidden=st.integers(0, 3))
@torch.no_grad()
def test_a_hidden_object_is_expected_where_it_moves_to(right: float, down: float, hidden: int) -> None:
    """It is seen for 12 clips, so that the velocity is known, and then not seen for some."""
    motion, velocity, start = PlaceMotion(), torch.tensor([right, down]), torch.tensor([4.0, 4.0])
    motion.gain.fill_(1.0)
    motion.damping.fill_(20.0)  # Nothing is damped.
    state = torch.zeros(PLACE_GRID**2 + PLACE_MOTION)
    for clip in range(-11, 1):
        x, y = (start + clip * velocity).tolist()
        state = motion.seen(state, place_at(x, y))
    for _ in range(hidden):
        state = motion.unseen(state)
    expected = centres_of(motion.expected(state))
    torch.testing.assert_close(expected, start + (hidden + 1) * velocity, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_what_was_never_seen_has_no_velocity() -> None:
    motion = PlaceMotion()
    state = motion.seen(torch.zeros(PLACE_GRID**2 + PLACE_MOTION), place_at(6, 2))
    _, velocity, way = motion.parts(state)
    assert not velocity.any()
    assert not way.any()


@torch.no_grad()
def test_a_velocity_is_bounded_and_dies_away() -> None:
    motion = PlaceMotion()
    motion.gain.fill_(20.0)
    state = motion.seen(motion.seen(torch.zeros(PLACE_GRID**2 + PLACE_MOTION), place_at(1, 4)), place_at(7, 4))
    assert motion.parts(state)[1].tolist() == [3.0, 0.0]
    for _ in range(200):
        state = motion.unseen(state)
    assert float(motion.parts(state)[1].norm()) < 1e-6
    assert not motion.expected(state).any(), "it has left the frame"


def tokens(places: list[Tensor]) -> Tensor:
    """Return frame queries (1, 1, 5, 32 + P), all of one look; those without a place here are nowhere."""
    rows = torch.zeros(5, PLACE_GRID**2)
    for row, place in zip(rows, places, strict=False):
        row.copy_(place)
    looks = random_queries(1, 1, 1, 32, seed=0).float().expand(1, 1, 5, 32)
    return torch.cat([looks, rows[None, None]], dim=-1)


@torch.no_grad()
def test_look_alikes_that_cross_unseen_keep_their_queries() -> None:
    """Two objects of one look come towards each other, vanish, and are seen again after they have passed each other."""

    def claimed(propagation: str) -> Tensor:
        torch.manual_seed(0)
        model = tiny_model(frame_reading="claims", memory_read="none", propagation=propagation)
        tracker = model.tracker
        assert isinstance(tracker, Tracker)
        for layer in tracker.decoder.layers:
            layer.place_weight.fill_(30.0)
        if tracker.place_motion is not None:
            tracker.place_motion.gain.fill_(1.0)
            tracker.place_motion.damping.fill_(20.0)
        tracker.heads.class_predictor.weight.zero_()
        sure = torch.tensor([0.0, 0.0, 0.0, -50.0])
        state = None
        for clip in range(9):
            left, right = place_at(1 + 0.3 * clip, 4), place_at(7 - 0.3 * clip, 4)
            tracker.heads.class_predictor.bias.copy_(sure)
            _, state = tracker(tokens([left, right]), state)
            if clip == 0:
                # So that it is known which query has which object: two queries, the rest of them nowhere.
                queries = state.instance_queries.clone()
                queries[..., 32:] = 0
                queries[0, 0, 32 : 32 + PLACE_GRID**2] = left
                queries[0, 1, 32 : 32 + PLACE_GRID**2] = right
                state = state._replace(instance_queries=queries)
        assert state is not None
        for _ in range(6):
            tracker.heads.class_predictor.bias.copy_(-sure)
            _, state = tracker(tokens([]), state)
        tracker.heads.class_predictor.bias.copy_(sure)
        # 15 clips after the start: each is where the other one was last seen, and a little beyond.
        _, state = tracker(tokens([place_at(1 + 0.3 * 15, 4), place_at(7 - 0.3 * 15, 4)]), state)
        return centres_of(state.instance_queries[0, :2, 32 : 32 + PLACE_GRID**2])[:, 0]

    moved, stayed = claimed("motion"), claimed("occupancy")
    assert moved[0] > 4.5
    assert moved[1] < 3.5
    assert stayed[0] < 3.5, "it took the other one's object"
    assert stayed[1] > 4.5


def test_motion_needs_places_to_move() -> None:
    with pytest.raises(InputError, match="propagation 'motion' moves the places that claims compare"):
        tiny_config(propagation="motion", memory_read="none")
    assert tiny_config(propagation="motion", memory_read="none", frame_reading="claims").place_state == 68
