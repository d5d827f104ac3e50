"""Intervals over videos: whole sets score as the evaluation does, and equal methods do not differ."""

from pathlib import Path

import numpy as np
import pytest
from experiments.evaluation import ONE_CLASS, TrackedVideos
from experiments.intervals import NAMES, VideoScores, intervals, resampled

from genvis.categories import Categories
from genvis.evaluation.evaluated_videos import EvaluatedVideo, evaluate_videos
from genvis.masks import RLEMask

CLASSES = Categories("two", (1, 2), ("cat", "dog"))


def _mask(left: int) -> dict[str, object]:
    mask = np.zeros((16, 16), np.bool_)
    mask[4:12, left : left + 6] = True
    return RLEMask.encode(mask).to_coco()


def _videos(shifts: list[int]) -> TrackedVideos:
    """Return videos of two objects, whose masks are found so many pixels beside where they are."""
    records, objects = [], []
    for shift in shifts:
        truth = [{"category_id": 1 + place, "segmentations": [_mask(1), _mask(2), _mask(3)]} for place in range(2)]
        found = [
            {
                "category_id": 1 + place,
                "score": 0.9 - 0.1 * place,
                "segmentations": [_mask(1 + shift), _mask(2 + shift), _mask(3 + shift)],
            }
            for place in range(2)
        ]
        records.append(EvaluatedVideo((16, 16), 3, truth, found))
        objects.append(
            EvaluatedVideo(
                (16, 16), 3, [{**one, "category_id": 1} for one in truth], [{**one, "category_id": 1} for one in found]
            )
        )
    return TrackedVideos(records, objects)


def test_all_videos_once_score_as_the_evaluation_says() -> None:
    tracked = _videos([0, 1, 2, 4])
    scores = dict(zip(NAMES, VideoScores(tracked, CLASSES).scores(np.ones((1, 4), np.int64))[0], strict=True))
    report = evaluate_videos(tracked.records, categories=CLASSES)
    tracking = evaluate_videos(tracked.objects, categories=ONE_CLASS, identity=True).identity
    assert tracking is not None
    assert scores["ap"] == pytest.approx(100 * (report.scores.ap or 0))
    assert scores["hota"] == pytest.approx(100 * tracking.hota)
    assert scores["assa"] == pytest.approx(100 * tracking.assa)
    assert scores["idf1"] == pytest.approx(100 * tracking.idf1)


def test_a_video_that_is_chosen_twice_counts_twice() -> None:
    some = VideoScores(_videos([0, 3]), CLASSES)
    twice = VideoScores(_videos([0, 3, 3]), CLASSES)
    np.testing.assert_allclose(some.scores(np.array([[1, 2]])), twice.scores(np.array([[1, 1, 1]])))


def test_any_choice_of_videos_scores_as_the_evaluation_of_those_videos_says() -> None:
    generator = np.random.default_rng(0)
    tracked = _videos([0, 1, 2, 3, 5, 9])
    for video in tracked.records:  # Scores of all kinds, so that videos take turns in the ranking.
        for found in video.found:
            found["score"] = float(generator.random())
    scores = VideoScores(tracked, CLASSES)
    for chosen in generator.integers(3, size=(20, 6)):
        if not chosen.sum():
            continue
        records, objects = (
            [one for one, times in zip(part, chosen, strict=True) for _ in range(times)] for part in tracked
        )
        report = evaluate_videos(records, categories=CLASSES)
        tracking = evaluate_videos(objects, categories=ONE_CLASS, identity=True).identity
        assert tracking is not None
        expected = [report.scores.ap or 0, tracking.hota, tracking.assa, tracking.idf1]
        np.testing.assert_allclose(scores.scores(chosen[None])[0], 100 * np.array(expected), atol=1e-9)


def test_equal_methods_do_not_differ_and_a_better_one_surely_does() -> None:
    runs = [VideoScores(_videos(shifts), CLASSES) for shifts in ([3, 2, 3, 2], [0, 1, 0, 1])]
    worse, better = (resampled([run], samples=50) for run in runs)
    assert all(one == (0, 0, 0) for one in intervals(worse, worse).values())
    np.testing.assert_allclose(resampled(runs, samples=50), (worse + better) / 2)
    found = intervals(worse, better)
    assert set(found) == set(NAMES)
    assert all(one.is_sure and one.low <= one.difference <= one.high for one in (found["ap"], found["hota"]))


def test_a_difference_in_one_video_alone_is_not_sure() -> None:
    first, second = (
        resampled([VideoScores(_videos(shifts), CLASSES)], samples=200) for shifts in ([1, 1, 1, 3], [1, 1, 1, 0])
    )
    assert not intervals(first, second)["ap"].is_sure


def test_what_was_found_is_kept_whole(tmp_path: Path) -> None:
    tracked = _videos([0, 2])
    tracked.save(tmp_path / "found.json.gz")
    assert TrackedVideos.load(tmp_path / "found.json.gz") == tracked
