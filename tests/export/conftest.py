"""One small network, exported once for all tests."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from genvis.export.export_model import ExportOptions, ExportReport, export_model
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.video import VideoWriter
from tests.tiny_network import CONFIG

HEIGHT, WIDTH, FRAMES = 72, 100, 6


class Exported(NamedTuple):
    """A model, and the folder of its export."""

    model: GenVIS
    folder: Path
    report: ExportReport


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A GenVIS with a memory, of random weights, as ONNX."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GenVIS(GenVISConfig(**CONFIG)).eval()
        torch.nn.init.normal_(model.tracker.heads.class_predictor.weight, std=0.3)
    folder = tmp_path_factory.mktemp("export") / "onnx"
    report = export_model(model, folder, ExportOptions(height=HEIGHT, width=WIDTH), name="tiny")
    return Exported(model, folder, report)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright square that moves over noise."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    with VideoWriter(path, frame_rate=10) as writer:
        for number in range(FRAMES):
            frame = noise.copy()
            frame[20:50, 10 + 8 * number : 40 + 8 * number] = 220
            writer.write(frame, time=number / 10)
    return path
