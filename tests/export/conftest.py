"""One small network, exported once for all tests, and graphs that are traced once: a trace takes seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from genvis.export import export_model as exporting
from genvis.export import on_demand
from genvis.export.export_model import ExportOptions, ExportReport, export_model
from genvis.export.onnx_files import write_graph
from genvis.export.traced_networks import TracedNetwork, TracedTracker
from genvis.fingerprint import tensors_stamp
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.runtimes.description import GraphFile
from genvis.video import VideoWriter
from tests.tiny_network import CONFIG

HEIGHT, WIDTH, FRAMES = 72, 100, 6


class Exported(NamedTuple):
    """A model, and the folder of its export."""

    model: GenVIS
    folder: Path
    report: ExportReport


@pytest.fixture(scope="session", autouse=True)
def _graphs_are_traced_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give a network of the same layers, weights, inputs and options the files that were written of it before."""
    kept: dict[str, tuple[Path, GraphFile]] = {}

    def write(network: TracedNetwork, folder: Path, name: str, **options: Any) -> GraphFile:
        shapes = [(key, one.shape, list(one.example.shape)) for key, one in network.inputs.items()]
        propagation = network.tracker.propagation if isinstance(network, TracedTracker) else None
        weights = tensors_stamp(network.state_dict(), name="weights").digest
        known = repr((network, propagation, weights, shapes, sorted(options.items())))
        if known not in kept:
            place = tmp_path_factory.mktemp("graphs")
            kept[known] = place, write_graph(network, place, name, **options)
        place, graph = kept[known]
        for file in (graph.file, *graph.data):
            shutil.copy(place / file, folder)
        return graph

    with pytest.MonkeyPatch.context() as patch:
        for module in (exporting, on_demand):
            patch.setattr(module, "write_graph", write)
        yield


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
