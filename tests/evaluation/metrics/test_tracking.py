"""Tracking metrics on constructed results whose scores are known."""

import sys
from pathlib import Path
from typing import Any

import pytest

from genvis.errors import InputError, MissingExtraError
from genvis.evaluation import evaluate
from genvis.evaluation.evaluation_report import IdentityScores
from tests.evaluation.evaluation_helpers import annotation, as_results, data_set, detection, load, moving

pytest.importorskip("trackeval")
TOP, BOTTOM = moving(0, 0), moving(0, 14)


def scores(tracks: list[dict[str, Any]], results: list[dict[str, Any]], folder: Path, **options: Any) -> IdentityScores:
    identity = evaluate(results, load(data_set(tracks), folder), identity=True, **options).identity
    assert identity is not None
    return identity


def test_ground_truth_is_perfect(tmp_path: Path) -> None:
    tracks = [annotation(TOP), annotation(BOTTOM, 2), annotation([None] * 10, 3)]
    identity = scores(tracks, as_results(data_set(tracks)), tmp_path)
    assert (identity.hota, identity.deta, identity.assa, identity.idf1) == pytest.approx((1, 1, 1, 1))
    assert (identity.id_switches, identity.fragmentations, identity.hota_per_class) == (0, 0, pytest.approx(1))


def test_switched_identities(tmp_path: Path) -> None:
    results = [detection(TOP[:5] + BOTTOM[5:]), detection(BOTTOM[:5] + TOP[5:])]
    identity = scores([annotation(TOP), annotation(BOTTOM)], results, tmp_path)
    # All is detected; each pair of identities agrees in 5 of the 15 frames that either covers.
    assert identity.deta == pytest.approx(1)
    assert identity.assa == pytest.approx(1 / 3)
    assert identity.hota == pytest.approx((1 / 3) ** 0.5)
    assert identity.idf1 == pytest.approx(0.5)
    assert identity.id_switches == 2


def test_a_gap_is_a_fragmentation(tmp_path: Path) -> None:
    results = [detection(TOP[:4] + [None] * 2 + TOP[6:]), detection(BOTTOM)]
    identity = scores([annotation(TOP), annotation(BOTTOM)], results, tmp_path)
    assert (identity.fragmentations, identity.id_switches) == (1, 0)
    assert identity.deta == pytest.approx(0.9)


def test_wrong_class_finds_nothing(tmp_path: Path) -> None:
    identity = scores([annotation(TOP)], [detection(TOP, 2)], tmp_path)
    assert (identity.hota, identity.idf1, identity.hota_per_class) == (0, 0, 0)


def test_score_threshold(tmp_path: Path) -> None:
    results = [detection(TOP), detection(BOTTOM, score=0.2)]
    assert scores([annotation(TOP)], results, tmp_path).deta == pytest.approx(1)
    assert scores([annotation(TOP)], results, tmp_path, score_threshold=0.1).deta == pytest.approx(0.5)
    with pytest.raises(InputError, match="threshold"):
        scores([annotation(TOP)], results, tmp_path, score_threshold=float("nan"))


def test_detections_in_a_crowd_do_not_count(tmp_path: Path) -> None:
    tracks = [annotation(TOP), annotation(BOTTOM, iscrowd=1)]
    assert scores(tracks, [detection(TOP), detection(BOTTOM)], tmp_path).deta == pytest.approx(1)
    other_class = scores(tracks, [detection(TOP), detection(BOTTOM, 2)], tmp_path)
    assert other_class.deta == pytest.approx(0.5)


def test_overlapping_detections_of_one_object(tmp_path: Path) -> None:
    identity = scores([annotation(TOP)], [detection(TOP), detection(moving(0, 0, size=7))], tmp_path)
    assert identity.deta == pytest.approx(0.5)
    assert identity.idf1 == pytest.approx(2 / 3)


def test_no_detections_and_no_objects(tmp_path: Path) -> None:
    assert scores([annotation(TOP)], [], tmp_path).hota == 0
    assert scores([], [detection(TOP)], tmp_path).hota == 0


def test_missing_trackeval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    monkeypatch.delitem(sys.modules, "trackeval.metrics", raising=False)
    with pytest.raises(MissingExtraError, match=r"genvis\[eval\]"):
        scores([annotation(TOP)], [], tmp_path)
