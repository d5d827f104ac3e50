"""Recordings, pieces, absences: what the numbers rest on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments.absences import Absence, absences_of, count_absences, tracks_held
from experiments.evaluation import EvaluationPlan, evaluate_tracker
from experiments.recordings import ReplayedDetector, record
from experiments.runner import Workspace
from experiments.validation_sets import SETS, TUNING_SETS, validation_set

from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.evaluation.evaluated_videos import EvaluatedVideo, evaluate_videos
from genvis.inference.segmenter import VideoSegmenter
from genvis.masks import RLEMask
from genvis.training.validation.validation_scores import evaluated_video

pytestmark = pytest.mark.filterwarnings("ignore")

CORNER, CENTRE = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
CORNER[:10, :10], CENTRE[8:18, 8:18] = True, True


def coco(mask: np.ndarray | None) -> dict[str, Any] | None:
    return None if mask is None else RLEMask.encode(mask).to_coco()


def track(*masks: np.ndarray | None, score: float = 0.9) -> dict[str, Any]:
    return {"category_id": 1, "score": score, "segmentations": [coco(mask) for mask in masks]}


def test_replaying_is_running_the_detector(workspace: Workspace) -> None:
    validation = validation_set("normal")
    recording = workspace.recording(validation)
    model = workspace.load_detector()
    sample = validation.load()[1]
    with torch.no_grad():
        wanted = model.detector(model.prepare_frames(sample.frames[None]))
    replayed = ReplayedDetector(model.detector)
    replayed.rewind(recording[1])
    parts = [replayed(torch.zeros(length, 3, 64, 64)) for length in (3, 4)]
    queries = torch.cat([part.frame_queries for part in parts], dim=1)
    torch.testing.assert_close(queries, wanted.frame_queries, rtol=2e-3, atol=2e-3)
    features = torch.cat([part.features for part in parts])
    torch.testing.assert_close(features, wanted.features, rtol=2e-3, atol=2e-3)
    with pytest.raises(ValueError, match="only 7 frames"):
        replayed(torch.zeros(1, 3, 64, 64))


def test_scores_are_those_of_segmenting_the_videos_themselves(workspace: Workspace, detector_folder: Path) -> None:
    validation = validation_set("normal")
    model = load_genvis(detector_folder)
    scores = evaluate_tracker(model, workspace.recording(validation), EvaluationPlan("normal", 3))
    segmenter = VideoSegmenter(model, clip_length=3)
    records = [evaluated_video(sample, segmenter) for sample in (validation.load()[index] for index in range(2))]
    report = evaluate_videos(records, categories=model.config.categories)
    assert scores.ap == pytest.approx(100 * (report.scores.ap or 0.0), abs=0.5)
    assert scores.masks == sum(
        mask is not None for one in records for truth in one.truth for mask in truth["segmentations"]
    )


def test_a_recording_of_something_else_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    validation = validation_set("normal")
    first = record(workspace.load_detector, validation, tmp_path / "a", fingerprint="x")
    assert len(first) == 2
    for other, fingerprint in ((validation, "y"), (SETS["occluded"], "x")):
        with pytest.raises(InputError, match="of another detector or of other videos"):
            record(lambda: pytest.fail("recorded"), other, tmp_path / "a", fingerprint=fingerprint)


def test_pieces_cover_the_video_and_show_only_their_own_objects(workspace: Workspace) -> None:
    video = workspace.recording(validation_set("normal"))[0]
    pieces = list(video.pieces(3))
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([piece.frame_queries for piece in pieces]), video.frame_queries)
    for piece in pieces:
        assert len(piece.labels) == len(piece.masks)
        assert all(any(mask is not None for mask in masks) for masks in piece.masks)
    seen = sum(mask is not None for masks in video.masks for mask in masks)
    assert seen == sum(mask is not None for piece in pieces for masks in piece.masks for mask in masks)


def test_absences_are_found_between_two_sights_only() -> None:
    flags = np.array([0, 1, 1, 0, 0, 1, 0, 1, 0], bool)
    assert list(absences_of(flags)) == [Absence(3, 5), Absence(6, 7)]
    assert list(absences_of(np.zeros(3, bool))) == []


@pytest.mark.parametrize(
    ("found", "kept", "changed", "lost"),
    [
        ([track(*[CORNER] * 10)], 1, 0, 0),
        ([track(*[CORNER] * 5, *[None] * 5), track(*[None] * 5, *[CORNER] * 5)], 0, 1, 0),
        ([track(*[CORNER] * 5, *[None] * 5)], 0, 0, 1),
        ([track(*[None] * 5, *[CORNER] * 5)], 0, 0, 0),
        ([track(*[CORNER] * 10, score=0.1)], 0, 0, 0),
        ([track(*[CENTRE] * 10)], 0, 0, 0),
    ],
)
def test_an_absence_keeps_changes_or_loses_the_track_id(
    found: list[dict[str, Any]], kept: int, changed: int, lost: int
) -> None:
    truth = [track(*[CORNER] * 3, None, None, None, None, None, CORNER, CORNER)]
    counts = count_absences(EvaluatedVideo((20, 20), 10, truth, found), least_score=0.3).document()
    assert counts[1] == {"from": 5, "kept": kept, "changed": changed, "lost": lost}
    assert sum(sum(group.values()) - group["from"] for group in counts) == kept + changed + lost


def test_an_object_has_one_track_and_a_track_one_object() -> None:
    truth = [[coco(CORNER)], [coco(CENTRE)]]
    held = tracks_held(truth, [[coco(CENTRE)], [coco(CORNER)], [coco(CORNER)]], length=1)
    assert held[1, 0] == 0
    assert held[0, 0] in (1, 2)


def test_tuning_sets_are_other_videos_of_the_same_kinds() -> None:
    for name, tuning in TUNING_SETS.items():
        tested = validation_set(name.removeprefix("tuning-"))
        assert validation_set(name) == tuning
        assert (tuning.difficulty, tuning.height, tuning.width) == (tested.difficulty, tested.height, tested.width)
        assert tuning.seed != tested.seed
        assert "seed" in tuning.description()
        # As it always was, so that results keep their sets.
        assert "seed" not in tested.description()
    scenes = [validation_set(name).load().scene(0) for name in ("normal", "tuning-normal")]
    assert scenes[0] != scenes[1]
