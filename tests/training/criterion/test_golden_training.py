"""One training step on two videos: assignments, losses and gradients are those of the published implementation."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from genvis.checkpoints.infer_config import PublishedSettings
from genvis.checkpoints.published_files import load_published
from genvis.checkpoints.published_names import rename_published
from genvis.data.samples.batch import VideoBatch, collate
from genvis.data.samples.sample import VideoSample
from genvis.model.genvis import GenVIS
from genvis.training.cache.detected_videos import detect_videos
from genvis.training.criterion.set_criterion import SetCriterion
from genvis.training.criterion.tracker_criterion import TrackerCriterion
from genvis.training.recipe.loss_options import LossOptions
from genvis.training.stages import genvis_stage
from genvis.training.stages.genvis_stage import clip_losses

DATA = Path(__file__).parents[2] / "golden"
PUBLISHED_NAMES = {"classification": "ce", "mask": "mask", "dice": "dice", "similarity": "sim"}


class Step(NamedTuple):
    model: GenVIS
    losses: dict[str, Tensor]
    assigned: list[list[np.ndarray[Any, Any]]]
    expected: dict[str, Any]
    arrays: dict[str, np.ndarray[Any, Any]]


def golden_batch(arrays: dict[str, np.ndarray[Any, Any]]) -> VideoBatch:
    samples = []
    for video in range(2):
        frames = torch.from_numpy(arrays[f"frames_{video}"]).permute(0, 3, 1, 2).contiguous()
        masks = torch.from_numpy(np.unpackbits(arrays[f"masks_{video}"], axis=-1).astype(bool))
        samples.append(VideoSample(frames, masks, torch.from_numpy(arrays[f"labels_{video}"])))
    return collate(samples)


@pytest.fixture(scope="module", params=[1, 3])
def step(request: pytest.FixtureRequest) -> Step:
    frames_per_clip = request.param
    arrays = dict(np.load(DATA / "training" / f"training_r50_clip{frames_per_clip}.npz"))
    expected = json.loads((DATA / "training" / f"training_r50_clip{frames_per_clip}.json").read_text())
    model = load_published(
        DATA / "inference" / "genvis_r50_tiny.pth", settings=PublishedSettings(clip_length=frames_per_clip)
    )
    model.detector.requires_grad_(False)
    model.tracker.train()
    criterion = SetCriterion(LossOptions(fixed_grid=14))
    videos = detect_videos(model.detector, golden_batch(arrays), layers=3, criterion=criterion)
    assigned: list[list[np.ndarray[Any, Any]]] = []

    class Recorded(TrackerCriterion):
        def __call__(self, *arguments: Any) -> Any:
            result = super().__call__(*arguments)
            layers = self.assignment.assigned.reshape(-1, 3, len(videos.targets.videos))
            assigned.append([layers[..., videos.targets.videos == video] for video in range(2)])
            return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(genvis_stage, "TrackerCriterion", Recorded)
        losses = clip_losses(model, videos, frames_per_clip=frames_per_clip, criterion=criterion)
    torch.stack(list(losses.values())).sum().backward()
    return Step(model, losses, assigned, expected, arrays)


def test_assignments(step: Step) -> None:
    compared = 0
    for name, expected in step.arrays.items():
        if not name.startswith("assigned"):
            continue
        parts = name.split("_")
        decoder_layer = int(parts[1].removeprefix("aux")) if parts[1].startswith("aux") else -1
        clip, layer, video = (int(part[-1]) for part in parts[-3:])
        np.testing.assert_array_equal(step.assigned[clip][video][decoder_layer, layer], expected, err_msg=name)
        compared += 1
    assert compared == len(step.assigned) * 3 * 3 * 2


def test_losses(step: Step) -> None:
    ours = {}
    for name, value in step.losses.items():
        kind, *rest = name.split("_")
        ours["_".join(["loss_genvis", PUBLISHED_NAMES[kind], *rest])] = float(value.detach())
    assert ours.keys() == step.expected["losses"].keys()
    for name, value in ours.items():
        assert value == pytest.approx(step.expected["losses"][name], rel=1e-4), name
    assert sum(ours.values()) == pytest.approx(step.expected["total"], rel=1e-4)


def test_gradient_norms(step: Step) -> None:
    gradients = {f"tracker.{name}": parameter.grad for name, parameter in step.model.tracker.named_parameters()}
    compared = set()
    for published, norm in step.expected["gradient_norms"].items():
        (name,) = rename_published({published: torch.zeros(3)}).tensors
        gradient = gradients[name]
        assert gradient is not None, name
        # A gradient that is zero but for rounding has no meaningful relative error.
        assert float(gradient.norm()) == pytest.approx(norm, rel=1e-4, abs=1e-5), name
        compared.add(name)
    assert compared == gradients.keys()


def test_the_detector_is_not_trained(step: Step) -> None:
    assert all(parameter.grad is None for parameter in step.model.detector.parameters())
