"""No network makes the processor wait for a device: values that a program reads, and sizes that follow from values."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genvis import load
from tests.model.tiny_models import random_queries, shared_tracker
from tests.tiny_families import save_tiny_family

# `item`, `if tensor`, `nonzero`, boolean masks as indices: what `torch.cuda.set_sync_debug_mode` complains of.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal")


class Noted(TorchDispatchMode):
    """Notes the operations that wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        if name in WAITING:
            self.waiting.append(name)
        return func(*args, **(kwargs or {}))


def test_the_mode_notes_what_it_should() -> None:
    with Noted() as noted:
        if torch.ones(3).sum() > 2:
            torch.ones(3).nonzero()
    assert noted.waiting == ["_local_scalar_dense", "nonzero"]


@pytest.mark.parametrize("occupancy_weighted", [False, True])
def test_videomt_streams_without_waiting(occupancy_weighted: bool, tmp_path: Any) -> None:
    model: Any = load(save_tiny_family(tmp_path, "videomt"))
    frames = torch.randint(0, 256, (3, 3, 40, 60), dtype=torch.uint8)
    preprocessing = model.preprocessing.with_resolution(64)
    with torch.no_grad(), Noted() as noted:
        state = None
        for clip in frames.split(2):
            pixels = preprocessing.normalize(preprocessing.resize(clip))
            state = model.step(pixels, state, occupancy_weighted=occupancy_weighted).state
    assert noted.waiting == []


def test_the_genvis_tracker_streams_without_waiting() -> None:
    tracker, state = shared_tracker(), None
    with torch.no_grad(), Noted() as noted:
        for seed in range(3):
            _, state = tracker(random_queries(1, 2, 5, 32, seed=seed), state, memory_clips=2)
    assert noted.waiting == []


@pytest.mark.parametrize("family", ["mask2former", "rf_detr", "eomt"])
def test_detectors_do_not_wait(family: str, tmp_path: Any) -> None:
    model: Any = load(save_tiny_family(tmp_path, family))
    frames = torch.randint(0, 256, (2, 3, 40, 60), dtype=torch.uint8)
    pixels = model.detector.preprocessing.normalize(model.detector.preprocessing.resize(frames))
    with torch.no_grad():
        model.detector(pixels)  # Geometry is computed once for each size.
        with Noted() as noted:
            prediction = model.detector.predict(model.detector(pixels))
            prediction.mask_logits(1)
    assert noted.waiting == []
