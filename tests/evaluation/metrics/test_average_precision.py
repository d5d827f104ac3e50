"""Average precision equals the official numbers, and a plain reference on generated data."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from genvis.evaluation import evaluate
from genvis.evaluation.evaluation_report import EvaluationReport
from genvis.evaluation.metrics.average_precision import average_precision
from tests.evaluation.evaluation_helpers import (
    HEIGHT,
    WIDTH,
    annotation,
    as_results,
    data_set,
    detection,
    load,
    moving,
    rectangle,
)
from tests.evaluation.reference_evaluation import reference_evaluation

GOLDEN = Path(__file__).parents[2] / "golden" / "evaluation"


def official(report: EvaluationReport, name: str) -> float:
    """The official evaluation prints -1 where there is nothing to score."""
    value = getattr(report.scores, name.lower())
    return -1.0 if value is None else value


@pytest.mark.parametrize("all_pairs", [False, True])
def test_equals_the_official_evaluation(all_pairs: bool) -> None:
    expected = json.loads((GOLDEN / "ytvis_eval_metrics.json").read_text())
    report = evaluate(GOLDEN / "ytvis_eval_results.json", GOLDEN / "ytvis_eval_annotations.json", errors=all_pairs)
    for name, value in expected["metrics"].items():
        assert official(report, name) == pytest.approx(value, abs=1e-9), name
    assert [category.ap for category in report.categories] == pytest.approx(expected["per_category_AP"], abs=1e-9)


def test_reference_equals_the_official_evaluation() -> None:
    expected = json.loads((GOLDEN / "ytvis_eval_metrics.json").read_text())
    annotations, results = (
        json.loads((GOLDEN / f"ytvis_eval_{name}.json").read_text()) for name in ("annotations", "results")
    )
    metrics = reference_evaluation(annotations, results)
    for name, value in expected["metrics"].items():
        got = metrics[name.lower()]
        assert (-1 if got is None else got) == pytest.approx(value, abs=1e-9), name


def blob(random: np.random.Generator, height: int, width: int) -> dict[str, Any] | None:
    """A random mask: absent, empty, a rectangle with holes, or the whole frame."""
    kind = random.integers(0, 10)
    if kind == 0:
        return None
    mask = np.zeros((height, width), np.uint8)
    if kind == 1:
        return {"size": [height, width], "counts": coco_mask.encode(np.asfortranarray(mask))["counts"].decode()}
    if kind == 2:
        mask[:] = 1
    top, left = random.integers(0, height), random.integers(0, width)
    mask[top : top + random.integers(1, height), left : left + random.integers(1, width)] = 1
    if kind > 6:
        mask &= random.random((height, width)) < 0.9
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def disturbed(random: np.random.Generator, mask: dict[str, Any] | None) -> dict[str, Any] | None:
    """A detection of a mask: shifted a little, sometimes lost."""
    if mask is None or random.random() < 0.1:
        return None
    dense = np.roll(coco_mask.decode(mask), random.integers(-1, 2, 2), axis=(0, 1))
    encoded = coco_mask.encode(np.asfortranarray(dense))
    return {"size": mask["size"], "counts": encoded["counts"].decode()}


def random_case(seed: int, *, side: int, occlusion: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations with crowds, absences and occlusion, and results with ties, duplicates and false alarms."""
    random = np.random.default_rng(seed)
    videos, frames = int(random.integers(1, 4)), int(random.integers(1, 9))
    tracks, results = [], []
    for video in random.permutation(np.arange(1, videos + 1)).tolist():
        for _ in range(random.integers(0, 5)):
            masks = [blob(random, side, side + 8) for _ in range(frames)]
            track = annotation(masks, int(random.integers(1, 3)), video, iscrowd=int(random.random() < 0.2))
            if occlusion:
                levels = ["no_occlusion", "slight_occlusion", "severe_occlusion", None]
                track["occlusion"] = [levels[place] for place in random.integers(0, 4, frames)]
            tracks.append(track)
            for _ in range(random.integers(0, 4)):
                found = [disturbed(random, mask) for mask in masks]
                category = track["category_id"] if random.random() < 0.8 else int(random.integers(1, 4))
                results.append(detection(found, category, float(random.integers(0, 5) / 4), video))
        for _ in range(random.integers(0, 3)):
            masks = [blob(random, side, side + 8) for _ in range(frames)]
            results.append(detection(masks, int(random.integers(1, 4)), float(random.random()), video))
    order = random.permutation(len(results))
    document = data_set(tracks, videos=videos, frames=frames, height=side, width=side + 8)
    random.shuffle(document["videos"])
    return document, [results[place] for place in order]


def assert_equal_to_reference(document: dict[str, Any], results: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        annotations = load(document, Path(folder))
    expected = reference_evaluation(document, results)
    for all_pairs in (False, True):
        report = evaluate(results, annotations, errors=all_pairs)
        per_category = {f"AP of {category.category_id}": category.ap for category in report.categories}
        for name, value in expected.items():
            got = per_category[name] if name in per_category else getattr(report.scores, name)
            assert (got is None) == (value is None), name
            assert got is None or got == pytest.approx(value, abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_equals_the_reference_on_small_masks(seed: int, occlusion: bool) -> None:
    assert_equal_to_reference(*random_case(seed, side=10, occlusion=occlusion))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_equals_the_reference_on_masks_of_all_size_ranges(seed: int) -> None:
    assert_equal_to_reference(*random_case(seed, side=300, occlusion=False))


def test_limits_on_detections_per_class_and_video(tmp_path: Path) -> None:
    # 101 wrong detections with better scores push the right one out of the 100 that take part.
    document = data_set([annotation(moving(0, 0))])
    wrong = [detection(moving(0, 16, step=0), score=0.9) for _ in range(100)]
    right = detection(moving(0, 0), score=0.5)
    assert evaluate([*wrong[:99], right], load(document, tmp_path)).scores.ar100 == 1
    assert evaluate([*wrong, right], load(document, tmp_path)).scores.ar100 == 0
    assert evaluate([*wrong[:9], right], load(document, tmp_path)).scores.ar10 == 1
    assert evaluate([*wrong[:10], right], load(document, tmp_path)).scores.ar10 == 0


def test_ground_truth_as_results_is_perfect(tmp_path: Path) -> None:
    document = data_set(
        [
            annotation(moving(0, 0), 1, occlusion=["no_occlusion"] * 10),
            annotation(moving(0, 12), 2, occlusion=["slight_occlusion"] * 5 + ["severe_occlusion"] * 5),
            annotation([None] * 5 + moving(9, 5, frames=5), 1, occlusion=["severe_occlusion"] * 10),
            annotation(moving(20, 14, step=0), 1, iscrowd=1),
        ]
    )
    scores = evaluate(as_results(document), load(document, tmp_path)).scores
    assert (scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ar10) == (1, 1, 1, 1, 1)
    assert (scores.ap_slightly_occluded, scores.ap_moderately_occluded, scores.ap_heavily_occluded) == (1, 1, 1)
    assert scores.ap_medium is None


def test_occlusion_levels_as_numbers_and_their_mean(tmp_path: Path) -> None:
    # 0.25 on average is slight, a little more is moderate; frames without a level or a mask do not count.
    document = data_set(
        [
            annotation(moving(0, 0), occlusion=[1] * 10),
            annotation(moving(0, 12), occlusion=[1] * 9 + [2]),
            annotation(moving(16, 0)[:5] + [None] * 5, occlusion=[2, 2, 2, None, None] + [0] * 5),
            annotation(moving(16, 12), occlusion=None),
        ]
    )
    results = as_results(document)
    for missing, (slight, moderate, heavy) in enumerate([(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1)]):
        kept = [track for place, track in enumerate(results) if place != missing]
        scores = evaluate(kept, load(document, tmp_path)).scores
        assert scores.ap_slightly_occluded == slight
        assert scores.ap_moderately_occluded == moderate
        assert scores.ap_heavily_occluded == heavy


def test_shifted_results_lose_what_they_must(tmp_path: Path) -> None:
    # Moved by 1 of 8 columns, the IoU is 7/9: enough for thresholds up to 0.75, 6 of 10.
    document = data_set([annotation(moving(0, 0)), annotation(moving(0, 12), 2)])
    shifted = [detection(moving(1, 0), 1), detection(moving(1, 12), 2)]
    scores = evaluate(shifted, load(document, tmp_path)).scores
    assert (scores.ap50, scores.ap75) == (1, 1)
    assert scores.ap == pytest.approx(0.6)


def test_relabelled_and_switched_results_lose_all(tmp_path: Path) -> None:
    document = data_set([annotation(moving(0, 0)), annotation(moving(0, 12))])
    relabelled = [{**track, "category_id": 2} for track in as_results(document)]
    assert evaluate(relabelled, load(document, tmp_path)).scores.ap == 0
    one, other = moving(0, 0), moving(0, 12)
    switched = [detection(one[:5] + other[5:]), detection(other[:5] + one[5:])]
    assert evaluate(switched, load(document, tmp_path)).scores.ap == 0


def test_all_forms_of_masks_are_the_same(tmp_path: Path) -> None:
    document = data_set([annotation(moving(0, 0))])
    annotations = load(document, tmp_path)
    text = moving(1, 0)
    in_bytes = [{"size": mask["size"], "counts": mask["counts"].encode()} for mask in text if mask]
    uncompressed = []
    for mask in text:
        dense = coco_mask.decode(mask).ravel(order="F").astype(int)
        edges = np.flatnonzero(np.diff(dense)) + 1
        counts = np.diff([0, *edges.tolist(), dense.size]).tolist()
        uncompressed.append({"size": [HEIGHT, WIDTH], "counts": counts if dense[0] == 0 else [0, *counts]})
    mixed = [*text[:3], *in_bytes[3:6], *uncompressed[6:]]
    for masks in (text, in_bytes, uncompressed, mixed):
        assert evaluate([detection(masks)], annotations).scores.ap == pytest.approx(0.6)


def test_nothing_to_score(tmp_path: Path) -> None:
    empty = evaluate([], load(data_set([annotation(moving(0, 0))]), tmp_path))
    assert (empty.scores.ap, empty.scores.ar100, empty.detection_count) == (0, 0, 0)
    without_objects = evaluate([detection(moving(0, 0))], load(data_set([]), tmp_path), errors=True)
    assert without_objects.scores.ap is None
    assert without_objects.videos[0].ap is None


def test_many_videos_give_the_same_with_and_without_processes(tmp_path: Path) -> None:
    document, results = random_case(7, side=10, occlusion=False)
    annotations = load(document, tmp_path)
    assert evaluate(results, annotations, errors=True, workers=1) == evaluate(
        results, annotations, errors=True, workers=2
    )


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5))
def test_average_precision_is_the_plain_one(hits: list[bool], more: int) -> None:
    objects = max(1, sum(hits) + more)
    right = np.array([hits, hits], np.bool_).reshape(2, -1)
    found = np.cumsum(hits)
    best = [
        max((found[place] / (place + 1) for place in range(len(hits)) if found[place] / objects >= level), default=0)
        for level in np.linspace(0, 1, 101)
    ]
    assert average_precision(right, ~right, objects) == pytest.approx([np.mean(best)] * 2, abs=1e-12)


def test_a_frame_full_of_object(tmp_path: Path) -> None:
    whole = [rectangle((0, 0, WIDTH, HEIGHT))] * 10
    document = data_set([annotation(whole)])
    assert evaluate(as_results(document), load(document, tmp_path)).scores.ap == 1
