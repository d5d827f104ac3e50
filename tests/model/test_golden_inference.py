"""The network gives the numbers of the authors' published implementation (to 1e-4) from its own checkpoints."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genvis.checkpoints.load import load_genvis
from genvis.checkpoints.published_files import load_published
from genvis.model.genvis import GenVIS
from genvis.model.outputs import ClipPrediction, TrackerState

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
BACKBONES = ["r50", "swin"]


@cache
def published_model(backbone: str) -> GenVIS:
    return load_published(GOLDEN / f"genvis_{backbone}_tiny.pth")


@cache
def frames() -> Tensor:
    return torch.from_numpy(np.load(GOLDEN / "video.npz")["frames"]).permute(0, 3, 1, 2)[None]


@torch.inference_mode()
def run(model: GenVIS, clip_length: int) -> list[ClipPrediction]:
    state: TrackerState | None = None
    predictions = []
    for clip in frames().split(clip_length, dim=1):
        prediction, state = model(clip, state)
        predictions.append(prediction)
    return predictions


def assert_golden(actual: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(actual, torch.from_numpy(expected), rtol=0, atol=1e-4)


def assert_clips_are_golden(predictions: list[ClipPrediction], case: str) -> None:
    with np.load(GOLDEN / f"inference_{case}.npz") as golden:
        assert_golden(torch.cat([prediction.class_logits for prediction in predictions]), golden["clip_logits"])
        assert_golden(torch.cat([prediction.mask_embeddings for prediction in predictions]), golden["clip_mask_embed"])
        assert_golden(predictions[0].frame_queries[0], golden["first_clip_frame_queries"])


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("clip_length", [1, 3])
def test_clips_have_the_published_logits_embeddings_and_frame_queries(backbone, clip_length):
    assert_clips_are_golden(run(published_model(backbone), clip_length), f"{backbone}_clip{clip_length}")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_same_weights_run_as_vita_with_windows_of_three_frames(backbone):
    model = published_model(backbone).as_vita(encoder_window_size=3)
    assert_clips_are_golden(run(model, 8), f"vita_{backbone}_window3")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_stride_4_features_are_the_published_ones(backbone):
    model = published_model(backbone)
    with np.load(GOLDEN / f"inference_{backbone}_clip1.npz") as golden, torch.inference_mode():
        detected = model.detector(model.prepare_frames(frames()[:, :1]))
        assert_golden(detected.features, golden["first_frame_fpn_features"])


def test_a_saved_and_loaded_folder_has_the_published_numbers_too(tmp_path):
    published_model("swin").save_pretrained(tmp_path)
    assert_clips_are_golden(run(load_genvis(tmp_path), 3), "swin_clip3")
