"""That the optimized implementation, and many frames at once, are really what inference and training run."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genvis.checkpoints.load import load_genvis
from genvis.data.samples.batch import collate
from genvis.data.samples.sample import VideoSample
from genvis.data.sprites import SpriteVideos
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.detector import mask2former as detector_module
from genvis.model.genvis import GenVIS
from genvis.training.cache.detected_videos import detect_videos
from genvis.training.criterion.set_criterion import SetCriterion
from genvis.training.recipe.loss_options import LossOptions

WEIGHTS = "tests/golden/inference/genvis_r50_tiny.pth"
VIDEO = np.random.default_rng(0).integers(0, 256, (7, 64, 96, 3)).astype(np.uint8)


def frames_at_once(model: GenVIS) -> list[int]:
    """Make the detector note how many frames it is given each time."""
    sizes: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))

    model.detector.register_forward_pre_hook(note)
    return sizes


@pytest.mark.parametrize(("clip_length", "expected"), [(1, [1] * 7), (3, [3, 3, 1])])
def test_the_frames_of_a_clip_are_detected_together(clip_length: int, expected: list[int]) -> None:
    model = load_genvis(WEIGHTS)
    sizes = frames_at_once(model)
    VideoSegmenter(model, clip_length=clip_length, resolution=64).segment(VIDEO)
    assert sizes == expected


def test_offline_models_detect_some_frames_together() -> None:
    model = load_genvis(WEIGHTS).as_vita()
    sizes = frames_at_once(model)
    VideoSegmenter(model, resolution=64).segment(VIDEO)
    assert sizes == [4, 3]


def test_the_next_frame_is_decoded_while_the_network_works() -> None:
    model = load_genvis(WEIGHTS)
    is_second_decoded = threading.Event()
    overlapped: list[bool] = []

    def decoded() -> Iterator[NDArray[np.uint8]]:
        yield VIDEO[0]
        is_second_decoded.set()
        yield VIDEO[1]

    def wait(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        overlapped.append(is_second_decoded.wait(timeout=60))

    model.detector.register_forward_pre_hook(wait)
    VideoSegmenter(model, clip_length=1, resolution=64).segment(decoded())
    assert overlapped == [True, True]


def test_training_runs_its_frozen_detector_optimized(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("resnet_features", "decode_pixels", "decode_queries"):
        original = getattr(detector_module, name)

        def noted(*arguments: object, name: str = name, original: object = original) -> object:
            calls.append(name)
            assert callable(original)
            return original(*arguments)

        monkeypatch.setattr(detector_module, name, noted)
    model = load_genvis(WEIGHTS).train()
    model.detector.eval()  # As a stage with a frozen detector keeps it.
    videos = SpriteVideos(2, length=2, height=64, width=64, split="train", seed=0)
    samples = [VideoSample(video.frames, video.masks, video.labels % 5) for video in (videos[0], videos[1])]
    batch = collate(samples)
    criterion = SetCriterion(LossOptions(fixed_grid=8))
    optimized = detect_videos(model.detector, batch, layers=2, criterion=criterion)
    assert calls == ["resnet_features", "decode_pixels", "decode_queries"]
    model.detector.implementation = "reference"
    reference = detect_videos(model.detector, batch, layers=2, criterion=criterion)
    assert calls == ["resnet_features", "decode_pixels", "decode_queries"]
    torch.testing.assert_close(optimized.frame_queries, reference.frame_queries, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(optimized.features, reference.features, atol=1e-4, rtol=1e-4)
