"""The experiments are not part of the package: they are found beside it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.runner import Workspace
from experiments.training import Settings
from experiments.validation_sets import NORMAL, ValidationSet

from experiments import validation_sets
from genvis.categories import known_categories
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from tests.tiny_network import CONFIG


@pytest.fixture(scope="session")
def detector_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a network of random weights, whose detector the experiments take."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("network")
    GenVIS(GenVISConfig(**CONFIG, detections_per_video=8).with_labels(known_categories("ovis"))).save_pretrained(folder)
    return folder


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the validation sets so small that a test can afford them."""
    difficulty = replace(NORMAL, objects=(2, 3), length=7)
    for name in ("normal", "occluded"):
        monkeypatch.setitem(validation_sets.SETS, name, ValidationSet(name, 2, difficulty, height=64, width=64))


@pytest.fixture
def workspace(tmp_path: Path, detector_folder: Path, small_sets: None) -> Workspace:
    """Return a place for runs of three steps."""
    settings = Settings(pretraining_steps=0, steps=3, views=3, stretch=15, points=16)
    return Workspace(str(detector_folder), tmp_path / "output", tmp_path / "results", settings)
