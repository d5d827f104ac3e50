"""Constructed results with one kind of error each: it is named, counted, and costs what fixing it would bring."""

from pathlib import Path
from typing import Any

import pytest

from genvis.evaluation import evaluate
from genvis.evaluation.evaluation_report import ErrorCost
from tests.evaluation.evaluation_helpers import annotation, as_results, data_set, detection, load, moving

TOP, BOTTOM = moving(0, 0), moving(0, 14)
NOTHING: list[Any] = [None] * 10


def errors(tracks: list[dict[str, Any]], results: list[dict[str, Any]], folder: Path) -> dict[str, ErrorCost]:
    report = evaluate(results, load(data_set(tracks), folder), errors=True)
    costs = [error.cost for error in report.errors]
    assert costs == sorted(costs, reverse=True)
    assert all(error.cost >= -1e-12 for error in report.errors)
    return {error.kind: error for error in report.errors}


def only(found: dict[str, ErrorCost], kind: str, *, count: int, cost: float) -> None:
    """This kind of error occurs and costs, and no other does."""
    assert found[kind].count == count
    assert found[kind].cost == pytest.approx(cost)
    for other, error in found.items():
        if other != kind:
            assert (error.count, error.cost) == (0, pytest.approx(0)), other


def test_no_errors(tmp_path: Path) -> None:
    document = data_set([annotation(TOP), annotation(BOTTOM, 2)])
    found = errors([annotation(TOP), annotation(BOTTOM, 2)], as_results(document), tmp_path)
    assert all((error.count, error.cost) == (0, pytest.approx(0)) for error in found.values())
    assert len(found) == 7


def test_missed(tmp_path: Path) -> None:
    found = errors([annotation(TOP), annotation(BOTTOM, 2)], [detection(TOP)], tmp_path)
    only(found, "missed", count=1, cost=0.5)


def test_wrong_class(tmp_path: Path) -> None:
    found = errors([annotation(TOP), annotation(BOTTOM, 2)], [detection(TOP), detection(BOTTOM, 1, 0.5)], tmp_path)
    only(found, "classification", count=1, cost=0.5)


def test_duplicate_with_a_lower_score_costs_only_where_objects_follow(tmp_path: Path) -> None:
    results = [detection(TOP, score=0.9), detection(TOP, score=0.8), detection(BOTTOM, score=0.7)]
    found = errors([annotation(TOP), annotation(BOTTOM)], results, tmp_path)
    # Precision is 1 up to a recall of 0.5 and 2/3 beyond.
    only(found, "duplicate", count=1, cost=1 - (51 + 50 * 2 / 3) / 101)


def test_false_alarm(tmp_path: Path) -> None:
    results = [detection(moving(20, 7, step=0), score=0.95), detection(TOP, score=0.9)]
    found = errors([annotation(TOP)], results, tmp_path)
    only(found, "background", count=1, cost=0.5)


def test_fragments_of_one_object(tmp_path: Path) -> None:
    parts = [TOP[:4] + NOTHING[4:], NOTHING[:4] + TOP[4:7] + NOTHING[7:], NOTHING[:7] + TOP[7:]]
    results = [detection(masks, score=score) for masks, score in zip(parts, (0.9, 0.8, 0.7), strict=True)]
    found = errors([annotation(TOP)], results, tmp_path)
    only(found, "fragmentation", count=3, cost=1)


def test_switched_identities(tmp_path: Path) -> None:
    results = [detection(TOP[:5] + BOTTOM[5:]), detection(BOTTOM[:5] + TOP[5:], score=0.8)]
    found = errors([annotation(TOP), annotation(BOTTOM)], results, tmp_path)
    only(found, "id switch", count=2, cost=1)


def test_switch_to_an_object_of_another_class(tmp_path: Path) -> None:
    results = [detection(TOP[:5] + BOTTOM[5:]), detection(BOTTOM, 2)]
    found = errors([annotation(TOP), annotation(BOTTOM, 2)], results, tmp_path)
    only(found, "id switch", count=1, cost=0.5)


def test_poor_masks(tmp_path: Path) -> None:
    # Moved by 3 of 8 columns, the IoU is 5/11; by 1, 7/9, which fails only at 0.8 and above.
    poor = errors([annotation(TOP)], [detection(moving(3, 0))], tmp_path)
    only(poor, "localization", count=1, cost=1)
    better = errors([annotation(TOP)], [detection(moving(1, 0))], tmp_path)
    only(better, "localization", count=0, cost=0.4)


def test_error_of_a_detection_that_another_makes_up_for(tmp_path: Path) -> None:
    # The object is found, so that correcting its mask only takes it away.
    results = [detection(moving(3, 0), score=0.95), detection(TOP, score=0.9)]
    only(errors([annotation(TOP)], results, tmp_path), "localization", count=1, cost=0.5)


def test_crowds_are_no_errors(tmp_path: Path) -> None:
    crowd = annotation(BOTTOM, iscrowd=1)
    found = errors([annotation(TOP), crowd], [detection(TOP), detection(BOTTOM, score=0.95)], tmp_path)
    assert all((error.count, error.cost) == (0, pytest.approx(0)) for error in found.values())
