"""The script for a GPU runs through on a CPU, at small sizes."""

import json
import os
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOME = ("machine", "end to end, GenVIS-R50", "graphs", "product graphs", "training")


def run(out: Path, *words: str) -> dict[str, object]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--small", "--out", str(out), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=out.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goal: 100" in out.with_suffix(".txt").read_text()
    found: dict[str, object] = json.loads(out.read_text())
    return found


def test_some_sections(tmp_path: Path) -> None:
    found: Any = run(tmp_path / "gpu.json", "--sections", *SOME)
    assert set(found) == set(SOME)
    assert set(found["training"]) == {"step", "forward and losses", "waits", "gigaflop"}
    for row in found["product graphs"].values():
        assert row["objects"] > 0
        assert row["mask cells that differ"] == row["objects that one has alone"] == 0


def test_what_was_measured_before_a_section_failed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script: Any = import_module("gpu")

    def rows(models: Any) -> list[Any]:
        found: list[Any] = models.keep([])
        figures = {"milliseconds": 2.0, "frames_per_second": 500.0}
        found.append({"model": "one", "way": "transformers", "precision": script.FAST, "batch": 1} | figures)
        raise ValueError("a fault")

    def figures(models: Any) -> dict[str, Any]:
        models.keep({})["half"] = 1
        raise script.OutOfTime("no time")

    def nothing(models: Any) -> dict[str, Any]:
        raise ValueError("at once")

    sections = {"transformers, GenVIS-R50": (9, rows), "training": (9, figures), "parity": (9, nothing)}
    monkeypatch.setattr(script, "SECTIONS", sections)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", "--out", str(tmp_path / "gpu.json")])
    with warnings.catch_warnings(), pytest.raises(SystemExit):
        script.main()
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["model"] for row in found["transformers, GenVIS-R50"]["rows"]] == ["one"]
    assert "a fault" in found["transformers, GenVIS-R50"]["error"]
    assert found["training"]["half"] == 1
    assert "no time" in found["training"]["error"]
    assert list(found["parity"]) == ["error"]
    assert "500.0" in (tmp_path / "gpu.txt").read_text()


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
