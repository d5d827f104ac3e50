"""Unified Video Label Assignment: Eq. 2 and 3 of the paper, and the baseline of its Table 4."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.errors import TrainingDiverged
from genvis.training.criterion.assignment import (
    UNASSIGNED,
    TooManyObjectsWarning,
    VideoLabelAssignment,
    match,
    match_new_objects,
)


def costs(seed: int, layers: int, queries: int, objects: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=(layers, queries, objects))


def test_the_cheapest_pairs_are_matched() -> None:
    queries, objects = match(np.array([[9.0, 1.0], [2.0, 0.0], [7.0, 7.0]]))
    assert dict(zip(objects.tolist(), queries.tolist(), strict=True)) == {0: 1, 1: 0}


def test_a_new_object_never_takes_an_occupied_query_even_if_it_fits_best() -> None:
    cost = np.array([[0.0, -100.0], [0.0, 5.0], [0.0, 4.0]])
    after = match_new_objects(cost, visible=np.array([True, True]), assigned=np.array([0, UNASSIGNED]))
    assert after.tolist() == [0, 2]


def test_infinite_alpha_is_the_large_alpha_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        cost = rng.normal(size=(8, 5))
        assigned = np.array([3, UNASSIGNED, 6, UNASSIGNED, UNASSIGNED])
        visible = np.array([False, True, True, True, False])
        ours = match_new_objects(cost, visible=visible, assigned=assigned)
        penalised = cost[:, [1, 3]].copy()
        penalised[[3, 6]] += 1e5
        queries, objects = match(penalised)
        assert ours[np.array([1, 3])[objects]].tolist() == queries.tolist()
        assert ours[[0, 2, 4]].tolist() == [3, 6, UNASSIGNED]


def test_an_object_that_vanishes_and_returns_keeps_its_query() -> None:
    video = VideoLabelAssignment(layers=1, objects=2)
    first = video.update(costs(0, 1, 4, 2), np.array([True, False])).copy()
    away = video.update(costs(1, 1, 4, 2), np.array([False, True])).copy()
    back = video.update(costs(2, 1, 4, 2), np.array([True, True])).copy()
    assert first[0, 1] == UNASSIGNED
    assert away[0, 0] == first[0, 0]
    assert away[0, 1] not in (UNASSIGNED, first[0, 0])
    assert back.tolist() == away.tolist()


def test_more_objects_than_queries_is_a_warning_and_the_worst_are_dropped() -> None:
    cost = np.array([[[0.0, 50.0, 1.0], [1.0, 60.0, 0.0]]])
    video = VideoLabelAssignment(layers=1, objects=3)
    with pytest.warns(TooManyObjectsWarning, match="3 new objects for 2 free queries"):
        after = video.update(cost, np.array([True, True, True]))
    assert after.tolist() == [[0, UNASSIGNED, 1]]
    with pytest.warns(TooManyObjectsWarning):
        assert video.update(cost, np.array([True, True, True])).tolist() == [[0, UNASSIGNED, 1]]


def test_layers_are_assigned_separately() -> None:
    cost = np.array([[[0.0], [1.0]], [[1.0], [0.0]]])
    assert VideoLabelAssignment(layers=2, objects=1).update(cost, np.array([True])).tolist() == [[0], [1]]


def test_correspondence_learning_keeps_the_matching_of_the_first_clip() -> None:
    video = VideoLabelAssignment(layers=1, objects=2, method="correspondence")
    first = video.update(costs(0, 1, 4, 2), np.array([True, False])).copy()
    assert not video.wants_costs(np.array([True, True]))
    later = video.update(None, np.array([True, True]))
    assert later.tolist() == first.tolist()
    assert later[0, 1] == UNASSIGNED


def test_correspondence_learning_without_any_object_in_the_first_clip_matches_nothing() -> None:
    video = VideoLabelAssignment(layers=1, objects=1, method="correspondence")
    video.update(None, np.array([False]))
    assert video.update(None, np.array([True])).tolist() == [[UNASSIGNED]]


def test_nothing_new_needs_no_costs() -> None:
    video = VideoLabelAssignment(layers=2, objects=2)
    assert not video.wants_costs(np.array([False, False]))
    video.update(costs(0, 2, 5, 2), np.array([True, False]))
    assert not video.wants_costs(np.array([True, False]))
    assert video.wants_costs(np.array([True, True]))
    with pytest.raises(ValueError, match="new objects"):
        video.update(None, np.array([True, True]))


def test_costs_that_are_not_finite_say_that_training_diverged() -> None:
    with pytest.raises(TrainingDiverged, match="diverged"):
        VideoLabelAssignment(layers=1, objects=1).update(np.array([[[np.nan]]]), np.array([True]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    queries=st.integers(1, 12),
    objects=st.integers(0, 10),
    clips=st.integers(1, 8),
    method=st.sampled_from(["uvla", "correspondence"]),
)
@pytest.mark.filterwarnings("ignore::genvis.training.criterion.assignment.TooManyObjectsWarning")
def test_no_query_ever_holds_two_objects_and_no_object_ever_changes_query(
    seed: int, queries: int, objects: int, clips: int, method: str
) -> None:
    rng = np.random.default_rng(seed)
    video = VideoLabelAssignment(layers=2, objects=objects, method="uvla" if method == "uvla" else "correspondence")
    before = video.assigned.copy()
    seen = np.zeros(objects, dtype=bool)
    for clip in range(clips):
        visible = rng.random(objects) < 0.4
        after = video.update(rng.normal(size=(2, queries, objects)), visible)
        held = before != UNASSIGNED
        assert (after[held] == before[held]).all()
        seen |= visible
        for layer in after:
            taken = layer[layer != UNASSIGNED]
            assert len(set(taken.tolist())) == len(taken)
            assert (layer[~seen] == UNASSIGNED).all()
            assert ((taken >= 0) & (taken < queries)).all()
            if method == "uvla":
                assert len(taken) == min(queries, int(seen.sum()))
            elif clip:
                assert (layer == before[0]).all() or (layer == before[1]).all()
        before = after.copy()
