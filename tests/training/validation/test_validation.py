"""AP on validation samples: perfect predictions score 100, wrong ones less, and a run logs it."""

import contextlib
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from genvis.categories import known_categories
from genvis.checkpoints.load import load_genvis
from genvis.data.sprites import SpriteVideos
from genvis.evaluation.evaluated_videos import EvaluatedVideo, evaluate_videos
from genvis.masks import RLEMask
from genvis.model.outputs import FramePrediction
from genvis.training.recipe.data_options import SourceOptions
from genvis.training.run.run import train
from genvis.training.validation.validation_scores import average_precision_percent, evaluated_frame, frame_instances
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


OVIS = known_categories("ovis")


def test_perfect_frames_score_100_and_a_wrong_class_nothing() -> None:
    videos = SpriteVideos(6, length=1, height=64, width=96)
    right, wrong = [], []
    for sample in videos:
        masks = sample.masks[:, 0].numpy()
        labels = sample.labels.tolist()
        found = [(label, 0.9, mask) for label, mask in zip(labels, masks, strict=True)]
        right.append(evaluated_frame(found, labels=sample.labels, masks=sample.masks[:, 0], categories=OVIS))
        other = [((label + 1) % 25, score, mask) for label, score, mask in found]
        wrong.append(evaluated_frame(other, labels=sample.labels, masks=sample.masks[:, 0], categories=OVIS))
    perfect = {"AP": 100, "AP50": 100, "AP75": 100}
    assert average_precision_percent(right, categories=OVIS) == pytest.approx(perfect)
    assert average_precision_percent(wrong, categories=OVIS)["AP"] < 20
    assert average_precision_percent([], categories=OVIS)["AP"] == 0


def coco_scores(frames: list[EvaluatedVideo]) -> dict[str, float]:
    """AP by COCO's own code."""
    images, truth, found = [], [], []
    for number, frame in enumerate(frames, start=1):
        images.append({"id": number, "height": frame.size[0], "width": frame.size[1]})
        for record in frame.truth:
            (rle,) = record["segmentations"]
            fields = {"image_id": number, "id": len(truth) + 1, "iscrowd": 0, "area": int(coco_mask.area(rle))}
            truth.append({"category_id": record["category_id"], "segmentation": rle, **fields})
        for record in frame.found:
            (rle,) = record["segmentations"]
            found.append({**record, "image_id": number, "segmentation": rle})
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO()
        annotations.dataset = {"images": images, "annotations": truth, "categories": [{"id": id_} for id_ in OVIS.ids]}
        annotations.createIndex()
        evaluation = COCOeval(annotations, annotations.loadRes(found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100 * evaluation.stats[place] for place, name in enumerate(("AP", "AP50", "AP75"))}


def test_scores_of_frames_are_coco_s() -> None:
    random = np.random.default_rng(5)
    frames = []
    for sample in SpriteVideos(10, length=1, height=96, width=128, difficulty="hard"):
        masks = sample.masks[:, 0].numpy()
        found = []
        for label, mask in zip(sample.labels.tolist(), masks, strict=True):
            for _ in range(int(random.integers(0, 4))):
                moved = np.roll(mask, random.integers(-4, 5, 2), (0, 1))
                kind = label if random.random() < 0.8 else int(random.integers(25))
                found.append((kind, float(random.integers(1, 10) / 10), moved))
        frames.append(evaluated_frame(found, labels=sample.labels, masks=sample.masks[:, 0], categories=OVIS))
    expected = coco_scores(frames)
    assert 5 < expected["AP"] < 95
    assert average_precision_percent(frames, categories=OVIS) == pytest.approx(expected, abs=1e-9)


def test_instances_of_a_frame_are_its_best_queries() -> None:
    logits = torch.full((1, 1, 2, 3), -5.0)
    logits[0, 0, 0, 1] = logits[0, 0, 1, 2] = 5.0
    features = torch.full((1, 1, 8, 8), -9.0)
    features[..., :4, :4] = 9.0
    prediction = FramePrediction(logits[0].softmax(dim=-1)[..., :-1], torch.ones(1, 2, 1), features)
    (found,) = frame_instances(prediction, height=30, width=20, padded=(32, 32), top=1)
    ((label, score, mask),) = found
    assert (label, mask.shape) == (1, (30, 20))
    assert score == pytest.approx(1.0, abs=0.03)
    assert mask[:14, :14].all()
    assert not mask[18:, :].any()


def test_perfect_videos_score_100_and_exchanged_identities_less() -> None:
    masks = np.zeros((2, 4, 32, 32), dtype=bool)
    masks[0, :, :10, :10] = masks[1, :, 20:, 20:] = True
    ids = OVIS.ids

    def tracks(kept: Any) -> list[dict[str, Any]]:
        return [
            {"category_id": ids[0], "score": 0.9, "segmentations": [RLEMask.encode(m).coco() for m in rows]}
            for rows in kept
        ]

    swapped = masks.copy()
    swapped[:, 2:] = masks[::-1, 2:]
    perfect = EvaluatedVideo((32, 32), 4, tracks(masks), tracks(masks))
    report = evaluate_videos([perfect], categories=OVIS)
    assert report.scores.ap == pytest.approx(1.0)
    broken = evaluate_videos([EvaluatedVideo((32, 32), 4, tracks(masks), tracks(swapped))], categories=OVIS)
    assert broken.scores.ap == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("stage", "column"), [("detector", "frame_AP"), ("genvis", "video_AP"), ("vita", "video_AP")])
def test_a_run_measures_ap_and_keeps_the_best_weights(tmp_path: Path, stage: Any, column: str) -> None:
    recipe = tiny_recipe(tmp_path, stage, validate_steps=1, max_steps=2, picture_steps=1, tensorboard=True)
    recipe.data.validation = SourceOptions(height=64, width=64, split="validation")
    recipe.data.validation_videos, recipe.data.validation_frames = 2, 3
    train(recipe)
    with next((tmp_path / "log").glob("*/metrics.csv")).open() as file:
        scores = [float(row[column]) for row in csv.DictReader(file) if row[column]]
    assert len(scores) == 2
    assert all(0 <= score <= 100 for score in scores)
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()
    assert (tmp_path / "recipe.yaml").is_file()
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2
    assert list((tmp_path / "tensorboard").glob("*/events*"))


def test_the_moving_average_is_validated_saved_and_resumed(tmp_path: Path) -> None:
    states = []
    for decay, steps in ((0.0, [3]), (0.9, [3]), (0.9, [2, 3])):
        folder = tmp_path / f"{decay}-{len(steps)}"
        for last in steps:
            recipe = tiny_recipe(folder, "genvis", max_steps=last, ema_decay=decay, checkpoint_steps=1)
            train(recipe)
        states.append(load_genvis(folder / "model").state_dict())
    name = "tracker.heads.class_predictor.weight"
    assert not torch.equal(states[0][name], states[1][name])
    assert all(torch.equal(value, states[2][key]) for key, value in states[1].items())


def test_the_best_score_is_remembered_when_a_run_goes_on_elsewhere(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path / "run", "genvis", validate_steps=1, max_steps=1)
    recipe.data.validation = SourceOptions(height=64, width=64, split="validation")
    recipe.data.validation_videos, recipe.data.validation_frames = 1, 2
    train(recipe)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["callbacks"]["ResumableCheckpoint.video_AP"]["best_model_score"] = torch.tensor(101.0)
    best = content["callbacks"]["ResumableCheckpoint.video_AP"]["best_k_models"]
    content["callbacks"]["ResumableCheckpoint.video_AP"]["best_k_models"] = dict.fromkeys(best, torch.tensor(101.0))
    content["callbacks"]["ResumableCheckpoint.video_AP"]["kth_value"] = torch.tensor(101.0)
    torch.save(content, last)
    (tmp_path / "run").rename(tmp_path / "moved")
    before = (tmp_path / "moved" / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    recipe.run.output, recipe.run.max_steps = str(tmp_path / "moved"), 2
    train(recipe)
    assert (tmp_path / "moved" / "checkpoints" / "best.ckpt").stat().st_mtime_ns == before
