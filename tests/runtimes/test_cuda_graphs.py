"""Graphs by a recorder that computes anew into the same outputs, and spoils those of all recordings before."""

import logging
import math
import threading
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genvis import InputError, VideoSegmenter, load
from genvis.inference import run_setup
from genvis.inference.run_setup import GraphUse
from genvis.model.detector.base import FrameDetector
from genvis.model.detector.optimized.geometry import map_geometry
from genvis.model.outputs import DetectorOutput, FramePrediction
from genvis.runtimes.cuda_graphs import CudaGraphs, TensorsRead
from tests.model.tiny_models import MINVIS, SWIN, VITA, tiny_model
from tests.tiny_families import save_tiny_family


class PretendedRecorder:
    """Replays on the CPU: inputs are read where they lay, outputs are written where they lay.

    As in one pool of memory, each replay spoils the outputs of all recordings.
    """

    device_type = "cpu"

    def __init__(self) -> None:
        self.outputs: list[tuple[Tensor, ...]] = []
        self.replays = 0
        self.how: Hashable = None
        self.failure: Exception | None = None

    def settings(self) -> Hashable:
        return self.how

    def put_in_order(self, device: torch.device) -> None:
        assert device.type == "cpu"

    def record(
        self, work: Callable[[], tuple[Tensor, ...]], device: torch.device
    ) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
        if self.failure is not None:
            raise self.failure
        outputs = tuple(output.clone() for output in work())
        self.outputs.append(outputs)

        def replay() -> None:
            self.replays += 1
            for spoilt in (tensor for of_one in self.outputs for tensor in of_one):
                spoilt.fill_(True if spoilt.dtype == torch.bool else math.nan)
            for output, computed in zip(outputs, work(), strict=True):
                output.copy_(computed)

        return replay, outputs

    def forget(self) -> None:
        self.outputs.clear()


class Doubling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0), requires_grad=False)
        self.register_buffer("shift", torch.tensor(0.0))
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.weight * x + self.shift, x.sum()


def made(**options: Any) -> tuple[CudaGraphs, PretendedRecorder, Callable[..., tuple[Tensor, ...]], Doubling]:
    recorder, network = PretendedRecorder(), Doubling()
    graphs = CudaGraphs(recorder=recorder, **options)
    return graphs, recorder, partial(graphs.run, "double", network, network=network), network


@pytest.fixture(autouse=True)
def without_gradient() -> Any:
    with torch.no_grad():
        yield


def test_the_third_call_of_a_shape_is_recorded() -> None:
    graphs, recorder, run, _ = made()
    for count, (held, replays) in enumerate([(0, 0), (0, 0), (1, 1), (1, 2)]):
        doubled, total = run(torch.full((3,), float(count)))
        assert (len(graphs), recorder.replays) == (held, replays)
        assert doubled.tolist() == [2.0 * count] * 3
        assert total == 3 * count


def test_outputs_belong_to_the_caller() -> None:
    _, recorder, run, _ = made(calls_before=0)
    results = [(value, size, run(torch.full((size,), float(value)))) for value in range(4) for size in (2, 3)]
    assert recorder.replays == 8
    for value, size, (doubled, total) in results:
        assert doubled.tolist() == [2.0 * value] * size
        assert total == size * value


def test_inputs_are_left_alone() -> None:
    _, _, run, _ = made(calls_before=0)
    first = torch.ones(2)
    run(first)
    run(torch.zeros(2))
    assert first.tolist() == [1, 1]


def test_the_graph_not_used_for_longest_is_dropped_and_must_come_more_often() -> None:
    graphs, recorder, run, _ = made(most=2, calls_before=1)
    one, two, three = (torch.ones(size) for size in (1, 2, 3))
    for x in (one, one, two, two, one, three, three):  # Drops two.
        run(x)
    assert len(graphs) == 2
    before = recorder.replays
    run(one)
    assert recorder.replays == before + 1
    run(two)
    run(two)
    assert recorder.replays == before + 1
    run(two)
    assert recorder.replays == before + 2


def test_shapes_that_never_come_again_are_not_counted_for_ever() -> None:
    graphs, _, run, _ = made(calls_before=1)
    for size in range(1, 200):
        run(torch.ones(size))
    assert len(graphs) == 0
    assert len(graphs._calls) <= 64


def test_dtypes_variants_and_settings_have_graphs_of_their_own() -> None:
    graphs, recorder, run, _ = made(calls_before=0)
    assert run(torch.ones(2, dtype=torch.float64))[0].dtype == torch.float64
    run(torch.ones(2))
    run(torch.ones(2), variant="other")
    recorder.how = "tf32"
    run(torch.ones(2))
    assert len(graphs) == 4


def test_weights_that_are_written_count_and_others_let_the_graphs_go() -> None:
    graphs, _, run, network = made(calls_before=0)
    assert run(torch.ones(1))[0] == 2
    network.weight.fill_(3)
    assert run(torch.ones(1))[0] == 3
    network.weight.data = torch.tensor(4.0)
    assert run(torch.ones(1))[0] == 4
    network.weight = nn.Parameter(torch.tensor(5.0), requires_grad=False)
    assert run(torch.ones(1))[0] == 5
    held = graphs._recordings.copy()
    network.shift.fill_(1)
    assert run(torch.ones(1))[0] == 6
    assert not set(map(id, held.values())) & set(map(id, graphs._recordings.values()))


def test_where_no_graph_can_be_the_function_runs() -> None:
    graphs, recorder, run, network = made(calls_before=0)
    with torch.enable_grad():
        run(torch.ones(1))
    with torch.autocast("cpu"):
        run(torch.ones(1))
    network.train()
    run(torch.ones(1))
    network.eval()
    recorder.device_type = "cuda"
    run(torch.ones(1))
    assert (len(graphs), recorder.replays) == (0, 0)


def test_a_failure_is_said_once_and_the_function_runs(caplog: pytest.LogCaptureFixture) -> None:
    graphs, recorder, run, _ = made(calls_before=0)
    run(torch.ones(1))
    recorder.failure = RuntimeError("operation not permitted when stream is capturing\nmore")
    with caplog.at_level(logging.WARNING):
        for size in (2, 2, 3, 1):
            assert run(torch.ones(size))[0].tolist() == [2] * size
    assert len(graphs) == 0
    (record,) = caplog.records
    assert record.getMessage() == (
        "CUDA graphs are off, frames take longer: RuntimeError: operation not permitted when stream is capturing"
    )


def test_threads_take_turns() -> None:
    _, _, run, _ = made(calls_before=0)
    wrong = []

    def work(value: float) -> None:
        with torch.inference_mode():
            for _ in range(50):
                x = torch.full((5,), value)
                if not torch.equal(run(x)[0], 2 * x):
                    wrong.append(value)

    threads = [threading.Thread(target=work, args=(float(value),)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_read_is_held_and_what_is_made_is_not() -> None:
    weight, x = torch.ones(3), torch.ones(3)
    with torch.inference_mode(), TensorsRead() as read:
        y = weight * x
        z = y.view(3, 1).exp_()
        torch.add(z, x, out=torch.empty(3, 3))
        torch.cat([weight, y])
    assert {tensor.data_ptr() for tensor in read.tensors} == {weight.data_ptr(), x.data_ptr()}


def test_remembered_geometry_is_held() -> None:
    """A cache of geometry holds that of four sizes; a graph of a fifth must not lose its own."""
    detector = tiny_model().detector
    pixels = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        detector(pixels)
        with TensorsRead() as read:
            detector(pixels)
    held = {tensor.untyped_storage().data_ptr() for tensor in read.tensors}
    geometry = map_geometry(((2, 3), (4, 6), (8, 12)), channels=32, heads=4, points=4, like=torch.empty(0))
    assert geometry.sine.untyped_storage().data_ptr() in held
    assert geometry.reference.untyped_storage().data_ptr() in held
    parameters = {parameter.untyped_storage().data_ptr() for parameter in detector.mask2former.parameters()}
    assert len(parameters & held) > len(parameters) / 2


def images(count: int, *, seed: int = 0, height: int = 60, width: int = 90) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).integers(0, 90, (height, width, 3)).astype(np.uint8)
    frames = []
    for number in range(count):
        frame = noise.copy()
        frame[10:30, 4 + 6 * number : 24 + 6 * number] = 220
        frames.append(frame)
    return frames


def seen(results: Any) -> list[Any]:
    return [[(one.id, one.label_id, one.score, one.mask.tobytes()) for one in result] for result in results]


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[PretendedRecorder]:
    """The recorders of all segmenters with graphs, which work on the CPU."""
    found: list[PretendedRecorder] = []

    def graphs() -> CudaGraphs:
        found.append(PretendedRecorder())
        return CudaGraphs(recorder=found[-1])

    monkeypatch.setattr(run_setup, "CudaGraphs", graphs)
    return found


def family(name: str, folder: Path) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "genvis": tiny_model,
        "genvis-swin": partial(tiny_model, backbone=SWIN),
        "genvis-gated": partial(tiny_model, propagation="gated", memory_read="none"),
        "genvis-claims": partial(tiny_model, frame_reading="claims", memory_read="none"),
        "vita": partial(tiny_model, **VITA),
        "minvis": partial(tiny_model, **MINVIS),
    }
    return makers[name]() if name in makers else load(save_tiny_family(folder / name, name))


WAYS = [
    ("genvis", "propagation"),
    ("genvis-swin", "propagation"),
    ("genvis-gated", "propagation"),
    ("genvis-claims", "propagation"),
    ("genvis-claims", "clip_queries"),
    ("genvis", "clip_queries"),
    ("minvis", "queries"),
    ("videomt", "propagation"),
    ("eomt", "memory"),
    ("rf_detr", "memory"),
]


@pytest.mark.parametrize(("name", "tracker"), WAYS)
def test_sessions_are_the_same(name: str, tracker: Any, recorders: list[PretendedRecorder], tmp_path: Path) -> None:
    model = family(name, tmp_path)
    how: dict[str, Any] = {"tracker": tracker, "resolution": 96 if name in ("eomt", "rf_detr") else 64}
    sessions = [
        VideoSegmenter(model, cuda_graphs=use, **how).open_session(
            score_threshold=0, presence_threshold=0, overlaps="keep"
        )
        for use in ("off", "auto")
    ]
    off, on = ([session.step(frame) for frame in images(6)] for session in sessions)
    assert seen(on) == seen(off)
    assert any(seen(off))
    assert recorders[0].replays >= 4


class Counting(FrameDetector):
    """Says something else in every call, whatever it sees: as a detector does that replays what was recorded."""

    depends_on_input_alone = False

    def __init__(self, detector: FrameDetector) -> None:
        super().__init__(preprocessing=detector.preprocessing, sizes=detector.sizes)
        self.detector, self.calls = detector, 0

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        self.calls += 1
        output = self.detector(pixel_values, layers=layers)
        return DetectorOutput(output.frame_queries + self.calls, output.features)

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        return self.detector.predict(output, layer=layer)


def test_a_detector_with_a_memory_of_its_own_is_called_for_every_frame(recorders: list[PretendedRecorder]) -> None:
    model = tiny_model()
    results = []
    uses: tuple[GraphUse, ...] = ("off", "auto")
    for use in uses:
        detector = Counting(tiny_model().detector.eval())
        model.register_module("detector", detector)
        segmenter = VideoSegmenter(model, cuda_graphs=use, resolution=64)
        session = segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep")
        results.append(seen([session.step(images(1)[0]) for _ in range(6)]))
        assert detector.calls == 6
    assert results[0] == results[1]
    assert recorders[0].replays > 0  # The tracker's.


@pytest.mark.parametrize("name", ["genvis", "videomt", "vita"])
@pytest.mark.parametrize("clip_length", [1, 3, "auto"])
def test_whole_videos_are_the_same(
    name: str, clip_length: Any, recorders: list[PretendedRecorder], tmp_path: Path
) -> None:
    if name == "vita" and clip_length == "auto":
        pytest.skip("the whole video is one clip")
    model = family(name, tmp_path)
    video = np.stack([*images(7), *(255 - frame for frame in images(6, seed=1))])
    results = []
    for use in ("off", "auto"):
        segmenter = VideoSegmenter(
            model,
            resolution=64,
            clip_length=clip_length,
            longest_clip=2 if clip_length == "auto" else None,
            cuda_graphs=use,  # type: ignore[arg-type]
        )
        result = segmenter.segment(video, overlaps="keep")
        results.append([(one.id, one.label, one.score, one.masks) for one in result.tracks])
    assert results[0] == results[1]
    assert results[0]
    assert recorders[0].replays > 0


@pytest.mark.parametrize("name", ["genvis", "videomt"])
@pytest.mark.parametrize("occupancy_weighted", [False, True])
def test_two_sessions_in_turns_and_a_saved_one(
    name: str, occupancy_weighted: bool, recorders: list[PretendedRecorder], tmp_path: Path
) -> None:
    """States and results are not written by the calls of another session, nor by later ones."""
    model = family(name, tmp_path)
    first, second = images(8), images(8, seed=5)[::-1]
    options: dict[str, Any] = {"score_threshold": 0, "presence_threshold": 0, "overlaps": "keep"}
    how: dict[str, Any] = {"resolution": 64, "occupancy_weighted": occupancy_weighted}
    plain = VideoSegmenter(model, cuda_graphs="off", **how)
    expected = []
    for frames in (first, second):
        session = plain.open_session(**options)
        expected.append(seen([session.step(frame) for frame in frames]))
    graphed = VideoSegmenter(model, cuda_graphs="auto", **how)
    one, two = graphed.open_session(**options), graphed.open_session(**options)
    results: tuple[list[Any], list[Any]] = ([], [])
    for number, (frame, other) in enumerate(zip(first, second, strict=True)):
        results[0].append(one.step(frame))
        results[1].append(two.step(other))
        if number == 4:
            state = one._state
            kept = graphed.open_session()._setup.tracker.state_tensors(state)
            one.save(tmp_path / "one.session")
    assert [seen(result) for result in results] == expected
    after = one._setup.tracker.state_tensors(state)
    assert all(torch.equal(after[key], tensor) for key, tensor in kept.items())
    resumed = graphed.open_session(resume=tmp_path / "one.session", **options)
    assert seen([resumed.step(frame) for frame in first[5:]]) == expected[0][5:]
    assert recorders[0].replays > 10


def test_only_two_ways_to_use_graphs() -> None:
    with pytest.raises(InputError, match="auto"):
        VideoSegmenter(tiny_model(), cuda_graphs="on")  # type: ignore[arg-type]


def test_on_a_cpu_nothing_changes() -> None:
    segmenter = VideoSegmenter(tiny_model(), cuda_graphs="auto", resolution=64)
    plain = VideoSegmenter(tiny_model(), cuda_graphs="off", resolution=64)
    assert segmenter.settings() == plain.settings()
    video = np.stack(images(4))
    both = [[(one.score, one.masks) for one in one.segment(video).tracks] for one in (segmenter, plain)]
    assert both[0] == both[1]
