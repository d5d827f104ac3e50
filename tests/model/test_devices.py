"""No network mixes tensors of two devices: run on a CUDA device that is only pretended, without any values.

Fake tensors know shapes, types and devices, and refuse operations on tensors of two devices as CUDA does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from genvis import load
from genvis.model.detector.eomt import EoMTDetector
from genvis.model.detector.optimized import swin
from genvis.model.genvis import GenVIS
from tests.model.tiny_models import RESNET, SWIN, tiny_config
from tests.tiny_families import save_tiny_family

CUDA = torch.device("cuda", 0)
MODE = FakeTensorMode(allow_non_fake_inputs=True)  # One for all: what is computed once for each size is kept.


@contextmanager
def pretended_cuda(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Put a model on a CUDA device that does not exist; within the block, tensors have no values."""
    with MODE:
        for module in model.modules():
            for tensors in (module._parameters, module._buffers):
                for name, tensor in tensors.items():
                    if tensor is not None:
                        kind = dtype if tensor.is_floating_point() else tensor.dtype
                        there = torch.empty_like(tensor.detach(), device=CUDA, dtype=kind)
                        is_parameter = isinstance(tensor, nn.Parameter)
                        tensors[name] = nn.Parameter(there, requires_grad=False) if is_parameter else there
        yield


@pytest.fixture(autouse=True)
def values_that_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Window layouts are made of values, once for each size; EoMT reads its probabilities after they were loaded."""

    def layout(size: Any, window: int, shift: int, device: torch.device, dtype: torch.dtype) -> swin.WindowLayout:
        with unset_fake_temporarily():
            made = swin._build(size, window, shift, torch.device("cpu"), dtype)
        there = (torch.empty_like(one, device=device) if isinstance(one, Tensor) else one for one in made)
        return swin.WindowLayout(*there)

    monkeypatch.setattr(swin, "_remembered", layout)
    monkeypatch.setattr(EoMTDetector, "masked_blocks", lambda self: [True] * self.eomt.config.num_blocks)


def pixels_of(preprocessing: Any, dtype: torch.dtype) -> Tensor:
    frames = torch.zeros(2, 3, 40, 60, dtype=torch.uint8, device=CUDA)
    pixels: Tensor = preprocessing.normalize(preprocessing.resize(frames), dtype=dtype)
    return pixels


def test_two_devices_are_refused() -> None:
    model = nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="same device"), pretended_cuda(model, torch.float32):
        model(torch.zeros(1, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("implementation", ["optimized", "reference"])
@pytest.mark.parametrize("backbone", [RESNET, SWIN])
def test_genvis_stays_on_its_device(backbone: dict[str, Any], implementation: str, dtype: torch.dtype) -> None:
    model = GenVIS(tiny_config(backbone=backbone)).eval()
    model.detector.implementation = implementation
    with pretended_cuda(model, dtype), torch.inference_mode():
        pixels = pixels_of(model.config.preprocessing, dtype)
        state = None
        for clip in range(3):
            if clip < 2:  # The second time uses what the first one remembered.
                detected = model.detector(pixels)
            output, state = model.tracker(detected.frame_queries[-1][None], state, memory_clips=2)
            assert output.mask_embeddings.device == detected.features.device == CUDA
        assert model.detector.predict(detected).mask_logits(1).device == CUDA


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_claims_stay_on_their_device(dtype: torch.dtype) -> None:
    model = GenVIS(tiny_config(frame_reading="claims", memory_read="none")).eval()
    with pretended_cuda(model, dtype), torch.inference_mode():
        detected = model.detector(pixels_of(model.config.preprocessing, dtype))
        state = None
        for _ in range(2):
            tokens = model.tracker.tokens(model.detector, detected)[None]
            _, state = model.tracker(tokens, state)
            assert tokens.device == state.instance_queries.device == CUDA
            assert tokens.dtype == state.instance_queries.dtype == dtype


@pytest.mark.parametrize("occupancy_weighted", [False, True])
def test_videomt_stays_on_its_device(occupancy_weighted: bool, tmp_path: Any) -> None:
    model: Any = load(save_tiny_family(tmp_path, "videomt"))
    with pretended_cuda(model, torch.float16), torch.inference_mode():
        pixels = pixels_of(model.preprocessing.with_resolution(64), torch.float16)
        state = None
        for _ in range(2):
            state = model.step(pixels, state, occupancy_weighted=occupancy_weighted).state
        assert state.device == CUDA


@pytest.mark.parametrize("family", ["mask2former", "rf_detr", "eomt"])
def test_detectors_stay_on_their_device(family: str, tmp_path: Any) -> None:
    model: Any = load(save_tiny_family(tmp_path, family))
    with pretended_cuda(model, torch.float32), torch.inference_mode():
        prediction = model.detector.predict(model.detector(pixels_of(model.detector.preprocessing, torch.float32)))
        assert prediction.mask_logits(1).device == CUDA
