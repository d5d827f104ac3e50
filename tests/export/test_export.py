"""Exports: what the folder holds, that it computes what PyTorch computes, and what is refused."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genvis
from genvis import VideoSegmenter
from genvis.checkpoints.load import load_genvis, load_network
from genvis.cli.main import main
from genvis.errors import InputError
from genvis.export import export_model as exporting
from genvis.export.export_model import ExportOptions, export_model, round_weights
from genvis.export.on_demand import run_by
from genvis.export.verification import ExportDiffers
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.runtimes.description import read_description
from genvis.runtimes.runtime_names import RUNTIME_NAMES
from genvis.video import open_source
from tests.export.conftest import FRAMES, HEIGHT, WIDTH, Exported
from tests.tiny_families import FAMILIES, save_tiny_family
from tests.tiny_network import CONFIG

ANYTHING = ("--score-threshold", "0", "--outputs", "youtube_vis")


def frames_of(film: Path) -> list[np.ndarray]:
    with open_source(film) as source:
        return [frame.image for frame in source]


def assert_same_tracks(model: Any, other: Any, frames: list[np.ndarray], **options: Any) -> None:
    """Each goes through the video with its own state; probabilities of classes and masks are equal to 1e-4."""
    setups = [VideoSegmenter(one, **options) for one in (model, other)]
    states: list[Any] = [None, None]
    for clip in setups[0].clips(frames):
        tracked = []
        for place, setup in enumerate(setups):
            pixels = setup.prepare(clip).pixel_values
            answer, states[place] = setup.tracker.track(pixels, states[place])
            tracked.append(answer)
        assert torch.equal(tracked[0].track_ids, tracked[1].track_ids)
        for name in ("class_evidence", "presence"):
            torch.testing.assert_close(getattr(tracked[0], name), getattr(tracked[1], name), rtol=0, atol=1e-4)
        masks = [one.mask_logits.sigmoid() for one in tracked]
        assert masks[0].numel()
        torch.testing.assert_close(masks[0], masks[1], rtol=0, atol=1e-4)


def test_the_folder_says_what_it_holds(exported: Exported) -> None:
    document = json.loads((exported.folder / "model.json").read_text())
    assert document["family"] == "genvis"
    assert document["graphs"]["detector"]["inputs"] == {"pixel_values": ["frames", 3, 64, 96]}
    assert document["graphs"]["detector"]["outputs"]["features"] == ["frames", 32, 16, 24]
    assert document["graphs"]["tracker"]["inputs"]["memory_keys"] == ["videos", "clips", 8, 32]
    assert document["graphs"]["tracker"]["outputs"]["class_logits"][0] == "videos"
    assert document["preprocessing"]["resized"] == [64, 89]
    assert document["categories"]["names"] == list(exported.model.config.categories.names)
    assert document["scoring"]["detections"] == exported.model.config.detections_per_video
    assert "greatest probability" in document["scoring"]["how"]
    assert document["verification"]["frames"] == 2
    assert document["weights"]["stored_as"] == "float32"
    assert str(Path.home()) not in (exported.folder / "model.json").read_text()
    assert {path.name for path in exported.folder.iterdir()} == set(exported.report.files)
    assert max(one.greatest for one in exported.report.differences) < 1e-4
    # The graph itself names no file of the machine that made it.
    assert b".py" not in (exported.folder / "detector.onnx").read_bytes()


@pytest.mark.parametrize("runtime", RUNTIME_NAMES)
@pytest.mark.parametrize("options", [{}, {"clip_length": 4, "memory_clips": 1}, {"occupancy_weighted": True}])
def test_every_clip_is_that_of_pytorch(runtime: Any, options: Any, exported: Exported, film: Path) -> None:
    model = genvis.load(exported.folder, runtime=runtime)
    assert_same_tracks(exported.model, model, frames_of(film), **options)


@pytest.mark.parametrize(
    "changes",
    [
        {"propagation": "occupancy"},
        {"propagation": "gated"},
        {"frame_reading": "claims"},
        {"frame_reading": "claims", "propagation": "occupancy"},
        {"frame_reading": "claims", "propagation": "motion"},
    ],
)
def test_what_is_not_published_is_part_of_the_graph(
    changes: Any, exported: Exported, film: Path, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GenVIS(GenVISConfig(**CONFIG, **changes, memory_read="none", clip_length=2)).eval()
        if model.tracker.gate is not None:  # As after some training.
            torch.nn.init.normal_(model.tracker.gate.weight)
    model.detector = exported.model.detector  # Its graph is made.
    options = ExportOptions(height=HEIGHT, width=WIDTH, resolution=64)
    export_model(model, tmp_path / "export", options, name="tiny")
    loaded = genvis.load(tmp_path / "export")
    assert_same_tracks(model, loaded, frames_of(film), resolution=64)
    # Weighted once, whoever asks for it.
    assert_same_tracks(model, loaded, frames_of(film), resolution=64, occupancy_weighted=True)
    assert_same_tracks(model, run_by(model, "openvino"), frames_of(film), resolution=64)
    model.tracker.gate, model.tracker.propagation = None, "full"
    if "frame_reading" in changes:
        for layer in model.tracker.decoder.layers:
            torch.nn.init.constant_(layer.place_weight, -6.0)
    with pytest.raises(AssertionError, match="not close"):
        assert_same_tracks(model, loaded, frames_of(film), resolution=64)


@pytest.mark.parametrize("tracker", ["memory", "queries", "clip_queries"])
def test_matching_trackers_run_too(tracker: Any, exported: Exported, film: Path) -> None:
    assert_same_tracks(exported.model, genvis.load(exported.folder), frames_of(film), tracker=tracker)


def test_predict_runs_an_export_whole_live_and_resumed(exported: Exported, film: Path, tmp_path: Path) -> None:
    words = ["predict", str(film), "--weights", str(exported.folder), *ANYTHING]
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    assert main([*words, "-o", str(tmp_path / "whole"), "--resume"]) == 0
    assert main([*words, "-o", str(tmp_path / "whole"), "--resume", "--runtime", "openvino"]) == 2
    live = [*words, "-o", str(tmp_path / "live"), "--live", "--session", str(tmp_path / "session")]
    assert main([*live, "--runtime", "openvino"]) == 0
    expected = VideoSegmenter(exported.model).segment(film)
    found = genvis.VideoResult.load(tmp_path / "whole" / "film")
    assert len(found) == FRAMES
    for track in found.tracks:
        (same,) = [one for one in expected.tracks if one.id == track.id]
        assert same.label == track.label
        assert same.score == pytest.approx(track.score, abs=1e-4)
        for ours, theirs in zip(track.masks, same.masks, strict=True):
            pixels = [np.zeros((HEIGHT, WIDTH), bool) if mask is None else mask.decode() for mask in (ours, theirs)]
            assert (pixels[0] != pixels[1]).sum() <= 2


def test_a_session_goes_on_in_the_same_runtime_only(exported: Exported, film: Path, tmp_path: Path) -> None:
    frames = frames_of(film)
    segmenter = VideoSegmenter(genvis.load(exported.folder))
    options: dict[str, Any] = {"score_threshold": 0, "presence_threshold": 0}
    straight = segmenter.open_session(**options)
    expected = [straight.step(frame) for frame in frames]
    session = segmenter.open_session(**options)
    for frame in frames[:3]:
        session.step(frame)
    session.save(tmp_path / "session")
    resumed = VideoSegmenter(exported.folder).open_session(**options, resume=tmp_path / "session")
    found = [resumed.step(frame) for frame in frames[3:]]
    assert [[(one.id, one.mask.tobytes()) for one in frame] for frame in found] == [
        [(one.id, one.mask.tobytes()) for one in frame] for frame in expected[3:]
    ]
    with pytest.raises(InputError, match="runtime"):
        VideoSegmenter(genvis.load(exported.folder, runtime="openvino")).open_session(resume=tmp_path / "session")


def test_frames_of_another_shape_are_refused_with_the_remedy(exported: Exported) -> None:
    session = VideoSegmenter(exported.folder).open_session()
    with pytest.raises(InputError, match=r"64x96.*become 96x64.*--height"):
        session.step(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    with pytest.raises(InputError, match="whole video"):
        VideoSegmenter(exported.folder, tracker="offline")


def test_what_an_export_cannot_do_is_one_sentence(
    exported: Exported, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(exported.folder)
    with pytest.raises(InputError, match="only runs"):
        load_genvis(exported.folder)
    with pytest.raises(InputError, match="float32"):
        genvis.load(exported.folder, dtype=torch.bfloat16)
    for words in (
        ["predict", str(film), "--weights", folder, "--runtime", "torch"],
        ["predict", str(film), "--weights", folder, "--dtype", "bfloat16"],
        ["convert", folder, str(tmp_path / "converted")],
        ["export", folder, str(tmp_path / "again")],
        ["export", "sprites-tiny", folder],
        ["export", "sprites-tiny", str(tmp_path / "none"), "--height", "0"],
    ):
        assert main([*words] if words[0] != "predict" else [*words, "-o", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
    assert not (tmp_path / "again").exists()


def test_nothing_is_left_of_an_export_that_differs(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graphs are of a model with other weights than the one that they are compared with."""

    def write(_network: Any, folder: Path, name: str, **_options: Any) -> Any:
        graph = read_description(exported.folder).graphs[name]
        for file in (graph.file, *graph.data):
            shutil.copy(exported.folder / file, folder)
        return graph

    monkeypatch.setattr(exporting, "write_graph", write)
    options = ExportOptions(height=HEIGHT, width=WIDTH)
    other = deepcopy(exported.model)
    export_model(other, tmp_path / "same", options, name="tiny")
    with torch.no_grad():
        other.tracker.mask_features.weight.mul_(1.1)
    with pytest.raises(ExportDiffers, match="mask probabilities"):
        export_model(other, tmp_path / "other", options, name="tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["same"]
    with pytest.raises(InputError, match="exists already"):
        export_model(other, tmp_path / "same", options, name="tiny")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "diary").touch()
    with pytest.raises(InputError, match="something else"):
        export_model(other, tmp_path / "precious", replace(options, overwrite=True), name="tiny")


def test_weights_are_rounded_before_they_are_compared() -> None:
    layer = torch.nn.Linear(3, 3)
    exact = layer.weight.detach().clone()
    round_weights(layer, "bfloat16")
    assert torch.equal(layer.weight, exact.bfloat16().float())
    with torch.no_grad():
        layer.weight[0, 0] = 1e6
    with pytest.raises(InputError, match=r"weight.*float16"):
        round_weights(layer, "float16")


def test_a_vita_model_is_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whole video"):
        export_model(exported.model.as_vita(), tmp_path / "no", ExportOptions(), name="vita")
    with pytest.raises(InputError, match="whole video"):
        run_by(exported.model.as_vita(), "onnxruntime")


def test_videomt_is_one_graph_that_predict_makes_by_itself(film: Path, tmp_path: Path) -> None:
    folder = save_tiny_family(tmp_path / "model", "videomt")
    words = ["predict", str(film), "--weights", str(folder), *ANYTHING, "--resolution", "64"]
    assert main([*words, "--runtime", "onnxruntime", "-o", str(tmp_path / "out")]) == 0
    assert genvis.VideoResult.load(tmp_path / "out" / "film").tracks
    model = genvis.load(folder)
    said: list[str] = []
    other = run_by(model, "openvino", on_export=said.append)
    options = {"resolution": 64, "occupancy_weighted": True, "clip_length": 2}
    assert_same_tracks(model, other, frames_of(film), **options)
    assert len(said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("graph_format", ["onnx", "openvino"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_in_both_formats(family: Any, graph_format: Any, film: Path, tmp_path: Path) -> None:
    folder = save_tiny_family(tmp_path / "model", family)
    image = tmp_path / "frame.png"
    Image.fromarray(frames_of(film)[0]).save(image)
    words = ["export", str(folder), str(tmp_path / "export"), "--format", graph_format, "--source", str(image)]
    assert main([*words, "--height", str(HEIGHT), "--width", str(WIDTH)]) == 0
    model, exported = genvis.load(folder), genvis.load(tmp_path / "export")
    assert exported.runtime == {"onnx": "onnxruntime", "openvino": "openvino"}[graph_format]
    trackers = ["propagation"] if family == "videomt" else ["memory", "queries"]
    for tracker in trackers:
        assert_same_tracks(model, exported, frames_of(film), tracker=tracker, clip_length=2)


@pytest.mark.parametrize(
    ("graph_format", "weights"),
    [
        ("onnx", "float16"),
        pytest.param("onnx", "bfloat16", marks=pytest.mark.slow),
        pytest.param("openvino", "float16", marks=pytest.mark.slow),
        pytest.param("openvino", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_weights_of_half_the_size_are_those_that_the_model_was_rounded_to(
    graph_format: Any, weights: Any, tmp_path: Path
) -> None:
    model = load_network(save_tiny_family(tmp_path / "model", "videomt"))
    options = ExportOptions(graph_format=graph_format, height=HEIGHT, width=WIDTH, resolution=64, weights=weights)
    report = export_model(model, tmp_path / "export", options, name="tiny")
    assert max(one.greatest for one in report.differences) < 1e-5
    stored = sum(tensor.numel() for tensor in model.state_dict().values())
    assert sum(report.files.values()) < 4 * stored
