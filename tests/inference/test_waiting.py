"""How often a clip waits for the device, on the whole way from frames to tracks: counted on a CPU.

A pretended device: the parameters of the network, and all that `to_device` returns, are on it, and so is what is
computed from them. `on_cpu` brings tensors back and waits once. Other ways to read a value of the device are noted too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from genvis import VideoSegmenter, load
from genvis.inference import mask_store, run_setup, session, video_run
from genvis.inference.trackers import memory_matching, query_matching, slot_archive
from genvis.video import Frame
from tests.tiny_families import save_tiny_family
from tests.tiny_network import CONFIG

# What reads values, or sizes that follow from values.
READING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal", "bincount")
HEIGHT, WIDTH = 48, 64


class PretendedDevice(TorchDispatchMode):
    """Notes what would wait for a device.

    Attributes:
        waits: What waited, in order: ``"on_cpu"``, or the name of an operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.here = WeakIdKeyDictionary()

    def holds(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value in self.here

    def take(self, value: Tensor) -> Tensor:
        self.here[value] = True
        return value

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        if any(map(self.holds, tensors)):
            name = func.name().removeprefix("aten::").split(".")[0]
            if name in READING:
                self.waits.append(name)
            elif name == "index" and not all(map(self.holds, tensors)):
                self.waits.append(f"{name} by numbers of the CPU")  # They are copied, and waited for.
            for value in tree_leaves(result):
                if isinstance(value, Tensor):
                    self.take(value)
        return result


@contextmanager
def pretended_device(network: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedDevice]:
    device = PretendedDevice()
    for tensor in (*network.parameters(), *network.buffers()):
        device.take(tensor)

    def on_cpu(*tensors: Tensor) -> list[Tensor]:
        if any(map(device.holds, tensors)):
            device.waits.append("on_cpu")
        with torch.utils._python_dispatch._disable_current_modes():
            return [tensor.detach().float().clone() for tensor in tensors]

    def to_device(tensor: Tensor, _: torch.device) -> Tensor:
        with torch.utils._python_dispatch._disable_current_modes():
            copied = tensor.clone()
        return device.take(copied)

    def selected(tensor: Tensor, rows: Tensor, *, dim: int) -> Tensor:
        return tensor.index_select(dim, to_device(rows, tensor.device) if device.holds(tensor) else rows)

    def reading(name: str) -> Callable[..., Any]:
        original = getattr(Tensor, name)

        def read(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            if device.holds(self):
                device.waits.append(name)
            return original(self, *args, **kwargs)

        return read

    with monkeypatch.context() as patch:
        for module in (session, video_run, mask_store, memory_matching, query_matching, run_setup, slot_archive):
            for name, function in (("on_cpu", on_cpu), ("to_device", to_device), ("selected", selected)):
                if hasattr(module, name):
                    patch.setattr(module, name, function)
        for name in ("cpu", "numpy", "tolist"):
            patch.setattr(Tensor, name, reading(name))
        with device:
            yield device


def images(count: int) -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    frames = []
    for number in range(count):
        frame = noise.copy()
        frame[10:30, 4 + 6 * number : 24 + 6 * number] = 220
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    root = tmp_path_factory.mktemp("models")

    def model(family: str) -> Any:
        if family in ("genvis", "claims"):
            from genvis.model.config import GenVISConfig
            from genvis.model.genvis import GenVIS

            torch.manual_seed(0)
            own = {"frame_reading": "claims", "memory_read": "none"} if family == "claims" else {}
            return GenVIS(GenVISConfig(**CONFIG, **own)).eval()
        return load(save_tiny_family(root / family, family))

    return model


WAYS = [
    ("genvis", "propagation"),
    ("claims", "propagation"),
    ("genvis", "clip_queries"),
    ("genvis", "queries"),
    ("videomt", "propagation"),
    ("mask2former", "memory"),
    ("eomt", "memory"),
    ("rf_detr", "queries"),
]
# Of a clip: once for the scores, once for the masks that are reported, and once more for queries that are matched or
# freed. Memory matching brings everything to the CPU.
WAITS = {"propagation": 3, "clip_queries": 3, "queries": 3, "memory": 2}


@pytest.mark.parametrize(("family", "tracker"), WAYS)
def test_a_session_waits_two_or_three_times_a_clip(
    family: str, tracker: Any, models: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models(family)
    segmenter = VideoSegmenter(model, tracker=tracker, resolution=96 if family in ("eomt", "rf_detr") else 64)
    opened = segmenter.open_session(score_threshold=0, presence_threshold=0)
    frames = images(4)
    opened.step_clip(frames[:2])  # What depends on sizes alone is made once.
    with pretended_device(model, monkeypatch) as device:
        # The state of the pretended device starts anew there.
        opened = segmenter.open_session(score_threshold=0, presence_threshold=0)
        for start in (0, 2):
            found = opened.step_clip(frames[start : start + 2])
            assert len(found) == 2
    assert device.waits == ["on_cpu"] * (2 * WAITS[tracker])


@pytest.mark.parametrize(("family", "tracker"), [("genvis", "propagation"), ("videomt", "propagation")])
def test_a_whole_video_waits_once_a_clip_and_once_a_frame(
    family: str, tracker: Any, models: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the scores, twice where looks are recorded, and once for the masks of each frame."""
    model = models(family)
    segmenter = VideoSegmenter(model, tracker=tracker, resolution=64)
    frames = [
        Frame(index=index, time=index / 10, name=f"{index}", image=image) for index, image in enumerate(images(4))
    ]
    segmenter.segment(np.stack(images(2)))
    with pretended_device(model, monkeypatch) as device:
        run = segmenter.start(name="film")
        run.add(frames[:2])
        run.add(frames[2:])
        run.close()
    assert set(device.waits) == {"on_cpu"}
    assert len(device.waits) <= 2 * (2 + 2)


def test_what_waits_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Linear(2, 2)
    with pretended_device(network, monkeypatch) as device:
        answer = network.weight * 2
        answer.sum().item()
        answer.nonzero()
        answer[torch.tensor([0])]
        answer.cpu()
        answer.detach().numpy()
    assert device.waits[:3] == ["_local_scalar_dense", "nonzero", "index by numbers of the CPU"]
    assert device.waits[3:] == ["cpu", "numpy"]
