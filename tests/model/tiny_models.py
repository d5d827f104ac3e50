"""Small networks with random weights, made once per process."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genvis.inference.segmenter import VideoSegmenter
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.tracker.tracker import Tracker

STAGES = ["stage1", "stage2", "stage3", "stage4"]
RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 8, 16, 16],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": STAGES,
}
SWIN = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [2, 2, 2, 2],
    "num_heads": [1, 1, 2, 2],
    "window_size": 3,
    "drop_path_rate": 0.3,
    "out_features": STAGES,
}
VITA = {"method": "vita", "propagate_queries": False, "memory_read": "none", "encoder_window_size": 2}
MINVIS = {"method": "minvis", "propagate_queries": False, "memory_read": "none"}


def tiny_config(*, backbone: dict[str, Any] | None = None, classes: int = 3, **fields: Any) -> GenVISConfig:
    id2label = {index: f"kind {index}" for index in range(classes)}
    detector = {
        "backbone_config": backbone or RESNET,
        "feature_size": 32,
        "mask_feature_size": 32,
        "hidden_dim": 32,
        "encoder_layers": 1,
        "encoder_feedforward_dim": 32,
        "decoder_layers": 3,
        "dim_feedforward": 32,
        "num_queries": 5,
        "num_attention_heads": 4,
        "id2label": id2label,
        "label2id": {label: index for index, label in id2label.items()},
    }
    sizes: dict[str, Any] = {
        "num_instance_queries": 6,
        "hidden_dim": 32,
        "mask_feature_size": 16,
        "num_attention_heads": 4,
        "dim_feedforward": 32,
        "encoder_layers": 2,
        "object_decoder_layers": 2,
    }
    return GenVISConfig(detector=detector, id2label=id2label, label2id=detector["label2id"], **(sizes | fields))


def tiny_model(*, backbone: dict[str, Any] | None = None, seed: int = 0, **fields: Any) -> GenVIS:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GenVIS(tiny_config(backbone=backbone, **fields)).eval()
        for buffer in model.buffers():  # A batch norm that was never trained would hide a lost statistic.
            if buffer.ndim == 1 and buffer.dtype.is_floating_point:
                buffer.add_(torch.rand_like(buffer))
    return model


@cache
def shared_model(kind: str) -> GenVIS:
    """A model that tests may run but not change: resnet, swin, vita or minvis."""
    fields: dict[str, Any] = {"resnet": {}, "swin": {"backbone": SWIN}, "vita": VITA, "minvis": MINVIS}[kind]
    return tiny_model(**fields)


@cache
def shared_tracker(memory_read: str = "index", encoder_window_size: int = 0) -> Tracker:
    """A tracker that tests may run but not change."""
    model = tiny_model(memory_read=memory_read, encoder_window_size=encoder_window_size)
    tracker = model.tracker
    assert tracker is not None
    return tracker.double()


def random_frames(*shape: int, seed: int = 0) -> Tensor:
    """uint8 noise of shape (B, T, 3, H, W) for (B, T, H, W)."""
    batch, length, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, length, 3, height, width), dtype=torch.uint8, generator=generator)


def random_queries(*shape: int, seed: int = 0) -> Tensor:
    """Frame queries (B, T, Q_f, C) of double precision."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def assert_sessions_go_on_exactly(model: GenVIS, folder: Path) -> None:
    """A session that is saved after half of the frames, and resumed, reports what one without a pause does."""
    options: dict[str, Any] = {"score_threshold": 0, "presence_threshold": 0, "overlaps": "keep"}
    frames = list(random_frames(1, 4, 64, 96)[0].permute(0, 2, 3, 1).numpy())
    straight = VideoSegmenter(model, resolution=64).open_session(**options)
    expected = [straight.step(frame) for frame in frames]
    half = VideoSegmenter(model, resolution=64).open_session(**options)
    for frame in frames[:2]:
        half.step(frame)
    half.save(folder / "session")
    resumed = VideoSegmenter(model, resolution=64).open_session(**options, resume=folder / "session")
    for frame, wanted in zip(frames[2:], expected[2:], strict=True):
        assert [one.mask.tobytes() for one in resumed.step(frame)] == [one.mask.tobytes() for one in wanted]
