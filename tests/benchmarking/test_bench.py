import json
from pathlib import Path

import numpy as np
import pytest

from genvis.benchmarking.benchmark import PARTS, BenchOptions, run_benchmark
from genvis.checkpoints.load import load_genvis
from genvis.cli.main import main
from genvis.errors import InputError
from genvis.export import on_demand
from genvis.export.onnx_files import write_graph
from genvis.video.writing.video_writer import VideoWriter
from tests.model.tiny_models import tiny_model
from tests.tiny_families import save_tiny_family

WEIGHTS = "tests/golden/inference/genvis_r50_tiny.pth"
SMALL = BenchOptions(height=64, width=96, clips=2, objects=2, clip_length=2, reference=True)


def test_every_part_is_measured_and_counted() -> None:
    model = load_genvis(WEIGHTS)
    report = run_benchmark(model, SMALL, name="tiny")
    assert tuple(part.name for part in report.parts) == PARTS
    assert all(part.milliseconds > 0 for part in report.parts)
    counted = {part.name for part in report.parts if part.gigaflop}
    assert counted >= {"backbone", "pixel decoder", "frame decoder", "tracker", "masks"}
    assert (report.network_size, report.clip_length, report.clips) == ((64, 96), 2, 2)
    assert report.reference is not None
    assert report.reference.ratio > 0
    assert report.machine["matrix_product"] > 0
    assert report.peak_memory["process"] > 50


def test_a_tracker_that_reads_places_is_measured() -> None:
    options = BenchOptions(height=64, width=96, clips=1, objects=2, clip_length=2)
    report = run_benchmark(tiny_model(frame_reading="claims", memory_read="none"), options, name="tiny")
    assert tuple(part.name for part in report.parts) == PARTS


def test_fast_and_plain_are_told_apart() -> None:
    model = load_genvis(WEIGHTS)
    model.detector.implementation = "reference"
    options = BenchOptions(height=64, width=64, clips=1, clip_length=1)
    reference = run_benchmark(model, options, name="tiny")
    model.detector.implementation = "optimized"
    optimized = run_benchmark(model, options, name="tiny")
    assert (reference.implementation, optimized.implementation) == ("reference", "optimized")
    assert optimized.network.gigaflop < reference.network.gigaflop


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.json"
    words = ["bench", WEIGHTS, "--height", "64", "--width", "96", "--clips", "1", "--clip-length", "1"]
    assert main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert all(part in printed for part in (*PARTS, "matrix product"))
    figures = json.loads(out.read_text())
    assert [part["name"] for part in figures["parts"]] == list(PARTS)
    assert figures["frames_per_second"] > 0


def test_a_short_video_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "short.mp4"
    with VideoWriter(source) as writer:
        for index in range(3):
            writer.write(np.zeros((64, 64, 3), np.uint8), time=index / 25)
    with pytest.raises(InputError, match=r"has 3 frames, but 4 are needed: ask for fewer clips\."):
        run_benchmark(load_genvis(WEIGHTS), BenchOptions(source=source, clips=2, resolution=64), name="tiny")


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="clips is 0"):
        BenchOptions(clips=0)


def test_runtimes_in_turns_and_which_is_fastest(tmp_path, capsys, monkeypatch):
    traced = []
    monkeypatch.setattr(
        on_demand, "write_graph", lambda *args, **options: traced.append(1) or write_graph(*args, **options)
    )
    folder = save_tiny_family(tmp_path / "model", "videomt")
    words = ["bench", str(folder), "--runtimes", "--height", "64", "--width", "96", "--clips", "2"]
    assert main([*words, "--out", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    names = [report["name"] for report in figures["reports"]]
    assert names == ["torch", "onnxruntime", "openvino"]
    assert len(traced) == 1  # Both run the same graph.
    assert figures["fastest"] in names
    assert figures["gigaflop"] > 0
    assert all(report["floor"] > 0 and report["processor_floor"] > 0 for report in figures["reports"])
    assert f"fastest here: {figures['fastest']}" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "--dtype", "bfloat16"]) == 2
    assert main(["bench", str(folder)]) == 2
    assert "--runtimes" in capsys.readouterr().err
