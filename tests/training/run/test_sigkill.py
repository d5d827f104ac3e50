"""A training process that the system kills, whenever that is, is continued by the same command to the same weights."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from genvis.training.recipe.loading import save_recipe
from tests.training.tiny import tiny_recipe

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
STEPS = 40


def start(folder: Path) -> "subprocess.Popen[bytes]":
    recipe = tiny_recipe(folder / "run", "genvis", max_steps=STEPS, checkpoint_steps=2)
    recipe.data.workers = 1
    save_recipe(recipe, folder / "recipe.yaml")
    return subprocess.Popen(
        [sys.executable, "-m", "genvis", "train", str(folder / "recipe.yaml"), "--run.threads", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finished(folder: Path) -> bool:
    return (folder / "run" / "model" / "model.safetensors").is_file()


def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert start(whole).wait(timeout=600) == 0
    checkpoint, moments, kills = broken / "run" / "checkpoints" / "last.ckpt", random.Random(0), 0
    for _ in range(4):
        process = start(broken)
        known = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
        while process.poll() is None and (checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0) == known:
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.4))  # Between steps, in one, or while the next checkpoint is written.
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait(timeout=60)
    assert kills, "the run was over before it could be killed"
    if not finished(broken):
        assert start(broken).wait(timeout=600) == 0
    expected = load_file(whole / "run" / "model" / "model.safetensors")
    found = load_file(broken / "run" / "model" / "model.safetensors")
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert (values == found[name]).all(), name
