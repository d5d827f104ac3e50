"""Benchmarks that people run on videos of their own run through."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "src" / "genvis" / "assets" / "demo.mp4"


def table_of(script: str, *words: str) -> list[list[str]]:
    """Run a benchmark and return the cells of the rows of its table."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "benchmarks" / script), str(DEMO), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


@pytest.mark.slow
def test_a_slow_stream_is_kept_up_with() -> None:
    (row,) = table_of("live_rate.py", "--resolutions", "64", "--rate", "2", "--seconds", "3", "--threads", "1")
    assert row[:4] == ["sprites-tiny", "64", "1", "float32"]
    assert float(row[5]) == pytest.approx(2, abs=0.4)
    assert row[6] == "0%"


@pytest.mark.slow
def test_exports_are_compared_on_a_video() -> None:
    words = ("--frames", "4", "--networks", "videomt, tiny", "--runtimes", "onnxruntime")
    (row,) = table_of("export_equality.py", *words)
    assert float(row[3]) < 1e-4
    assert row[-2:] == ["0", "equal"]
