"""Unified Video Label Assignment: Eq. 2 and 3 of the paper, and the baseline of its Table 4."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.errors import TrainingDiverged
from genvis.training.criterion.hungarian_matching import UNASSIGNED, match
from genvis.training.criterion.uvla import TooManyObjectsWarning, VideoLabelAssignment, assign_new_objects
from genvis.training.recipe.loss_options import AssignmentMethod


def costs(seed: int, layers: int, queries: int, objects: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=(layers, queries, objects))


def test_the_cheapest_pairs_are_matched() -> None:
    queries, objects = match(np.array([[9.0, 1.0], [2.0, 0.0], [7.0, 7.0]]))
    assert dict(zip(objects.tolist(), queries.tolist(), strict=True)) == {0: 1, 1: 0}


def test_a_new_object_never_takes_an_occupied_query_even_if_it_fits_best() -> None:
    cost = np.array([[0.0, -100.0], [0.0, 5.0], [0.0, 4.0]])
    after = assign_new_objects(cost[:, 1:], new=np.array([1]), assigned=np.array([0, UNASSIGNED]))
    assert after.tolist() == [0, 2]


def test_infinite_alpha_is_the_large_alpha_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        cost = rng.normal(size=(8, 5))
        assigned = np.array([3, UNASSIGNED, 6, UNASSIGNED, UNASSIGNED])
        new = np.array([1, 3])
        ours = assign_new_objects(cost[:, new], new=new, assigned=assigned)
        penalised = cost[:, [1, 3]].copy()
        penalised[[3, 6]] += 1e5
        queries, objects = match(penalised)
        assert ours[new[objects]].tolist() == queries.tolist()
        assert ours[[0, 2, 4]].tolist() == [3, 6, UNASSIGNED]


def one_video(objects: int, *, layers: int = 1, method: AssignmentMethod = "uvla") -> VideoLabelAssignment:
    return VideoLabelAssignment(np.zeros(objects, np.int64), layers=layers, method=method)


def step(video: VideoLabelAssignment, cost: Any, visible: list[bool]) -> Any:
    """Take in a clip with the costs (layers, Q, N) of all objects."""
    new = video.unmatched(np.array(visible, dtype=bool))
    return video.update(cost[..., new], new)


def test_an_object_that_vanishes_and_returns_keeps_its_query() -> None:
    video = one_video(2)
    first = step(video, costs(0, 1, 4, 2), [True, False])
    away = step(video, costs(1, 1, 4, 2), [False, True])
    back = step(video, costs(2, 1, 4, 2), [True, True])
    assert first[0, 1] == UNASSIGNED
    assert away[0, 0] == first[0, 0]
    assert away[0, 1] not in (UNASSIGNED, first[0, 0])
    assert back.tolist() == away.tolist()


def test_more_objects_than_queries_is_a_warning_and_the_worst_are_dropped() -> None:
    cost = np.array([[[0.0, 50.0, 1.0], [1.0, 60.0, 0.0]]])
    video = one_video(3)
    with pytest.warns(TooManyObjectsWarning, match="3 new objects for 2 free queries"):
        after = step(video, cost, [True, True, True])
    assert after.tolist() == [[0, UNASSIGNED, 1]]
    with pytest.warns(TooManyObjectsWarning):
        assert step(video, cost, [True, True, True]).tolist() == [[0, UNASSIGNED, 1]]


def test_layers_are_assigned_separately() -> None:
    cost = np.array([[[0.0], [1.0]], [[1.0], [0.0]]])
    assert step(one_video(1, layers=2), cost, [True]).tolist() == [[0], [1]]


def test_videos_are_assigned_separately() -> None:
    video = VideoLabelAssignment(np.array([0, 1, 1]), layers=1)
    cost = np.array([[[0.0, 0.0, 5.0], [9.0, 9.0, 1.0]]])
    assert step(video, cost, [True, True, False]).tolist() == [[0, 0, UNASSIGNED]]
    assert step(video, cost, [True, True, True]).tolist() == [[0, 0, 1]]


def test_correspondence_learning_keeps_the_matching_of_the_first_clip() -> None:
    video = one_video(2, method="correspondence")
    first = step(video, costs(0, 1, 4, 2), [True, False])
    assert video.unmatched(np.array([True, True])).tolist() == []
    later = step(video, costs(1, 1, 4, 2), [True, True])
    assert later.tolist() == first.tolist()
    assert later[0, 1] == UNASSIGNED


def test_correspondence_learning_without_any_object_in_the_first_clip_matches_nothing() -> None:
    video = one_video(1, method="correspondence")
    step(video, costs(0, 1, 4, 1), [False])
    assert step(video, costs(1, 1, 4, 1), [True]).tolist() == [[UNASSIGNED]]


def test_only_new_objects_need_costs() -> None:
    video = one_video(2, layers=2)
    assert video.unmatched(np.array([False, False])).tolist() == []
    step(video, costs(0, 2, 5, 2), [True, False])
    assert video.unmatched(np.array([True, False])).tolist() == []
    assert video.unmatched(np.array([True, True])).tolist() == [1]


def test_costs_that_are_not_finite_say_that_training_diverged() -> None:
    with pytest.raises(TrainingDiverged, match="diverged"):
        step(one_video(1), np.array([[[np.nan]]]), [True])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    queries=st.integers(1, 12),
    objects=st.integers(0, 10),
    clips=st.integers(1, 8),
    method=st.sampled_from(["uvla", "correspondence"]),
)
@pytest.mark.filterwarnings("ignore::genvis.training.criterion.uvla.TooManyObjectsWarning")
def test_no_query_ever_holds_two_objects_and_no_object_ever_changes_query(
    seed: int, queries: int, objects: int, clips: int, method: str
) -> None:
    rng = np.random.default_rng(seed)
    video = one_video(objects, layers=2, method="uvla" if method == "uvla" else "correspondence")
    before = video.assigned.copy()
    seen = np.zeros(objects, dtype=bool)
    for clip in range(clips):
        visible = rng.random(objects) < 0.4
        after = step(video, rng.normal(size=(2, queries, objects)), visible.tolist())
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
