"""Some dozens of trials of every campaign, with fixed seeds; the slow part makes hundreds.

What each campaign does is written in its module; docs/reliability.md reports the long ones.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and limits of Linux")

REPOSITORY = Path(__file__).parents[2]
FAST = {
    "videos": 40,
    "images": 30,
    "files": 40,
    "paths": 20,
    "models": 8,
    "kills": 4,
    "states": 4,
    "disks": 4,
    "pairs": 2,
}
SLOW = {
    "videos": 2000,
    "images": 500,
    "files": 1000,
    "paths": 300,
    "models": 200,
    "kills": 200,
    "states": 200,
    "disks": 100,
}


def run(campaigns: dict[str, int], out: Path, *options: str) -> dict[str, Any]:
    names = [f"{name}:{trials}" for name, trials in campaigns.items()]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.robustness.campaign", *names, "--out", str(out), *options],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
    )
    assert out.is_file(), ended.stderr
    return {summary["campaign"]: summary for summary in json.loads(out.read_text())}


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # One process for all: it imports everything once and forks for every trial.
    return run(FAST, tmp_path_factory.mktemp("fast") / "summary.json", "--jobs", "predict,live,eval", "--seed", "7")


@pytest.mark.parametrize("name", FAST)
def test_every_trial_survives(name: str, fast: dict[str, Any]) -> None:
    summary = fast[name]
    assert summary["trials"] == FAST[name]
    assert summary["tried"] >= FAST[name]
    assert summary["failures"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_trial_of_many_survives(name: str, tmp_path: Path) -> None:
    summary = run({name: SLOW[name]}, tmp_path / "summary.json", "--seed", "8")[name]
    assert summary["trials"] == SLOW[name]
    assert summary["failures"] == []
