"""The script for a GPU runs through on a CPU, at small sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOME = ("machine", "end to end, GenVIS-R50", "graphs")


def run(out: Path, *words: str) -> dict[str, object]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--small", "--out", str(out), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=out.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goal: 100" in out.with_suffix(".txt").read_text()
    found: dict[str, object] = json.loads(out.read_text())
    return found


def test_some_sections(tmp_path: Path) -> None:
    found = run(tmp_path / "gpu.json", "--sections", *SOME)
    assert set(found) == set(SOME)


@pytest.mark.slow
def test_all_sections(tmp_path: Path) -> None:
    found = run(tmp_path / "gpu.json")
    assert {name for name, one in found.items() if isinstance(one, dict) and "error" in one} == set()
    rows = [row for one in found.values() if isinstance(one, list) for row in one]
    assert {row["way"] for row in rows} >= {"ours", "reference", "transformers (no tracker, no masks)"}
    parity = found["parity"]
    assert isinstance(parity, dict)
    assert all(value < 1e-4 for name, value in parity.items() if "float32" in name and "bfloat16" not in name)


@pytest.mark.slow
def test_sections_end_within_the_time(tmp_path: Path) -> None:
    """Where there is no time, a section says so instead of beginning."""
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--small", "--minutes", "0", "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 1
    found = json.loads(out.read_text())
    assert all(one == {"error": "no time was left"} for one in found.values())
