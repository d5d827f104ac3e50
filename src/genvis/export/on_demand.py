"""Models of PyTorch run by another runtime, without a folder: graphs are made for the sizes of frames that come."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from genvis.errors import InputError
from genvis.export.onnx_files import require_exporter, write_graph
from genvis.export.traced_networks import TracedDetector, TracedNetwork, TracedTracker, TracedVidEoMT
from genvis.fingerprint import Stamp, tensors_stamp
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig
from genvis.runtimes.exported_model import ExportedGenVIS, ExportedVidEoMT
from genvis.runtimes.exported_networks import ExportedDetector, ExportedTracker, ExportedVidEoMTStep, GraphFor
from genvis.runtimes.graphs import Graph, open_graph, require_runtime
from genvis.runtimes.runtime_names import RuntimeName


class WrittenGraphs:
    """Graphs of one model, which every runtime reads, in a temporary folder that goes with the last user of them."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="genvis-export-")
        self._files: dict[str, Path] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def file(self, name: str, network: TracedNetwork) -> Path:
        """Return the file of a graph, which is written the first time.

        Args:
            name: Of the graph.
            network: What it is traced from.

        Raises:
            InputError: If the network cannot be traced.
        """
        if name not in self._files:
            folder = Path(self._folder.name)
            # Tracing must not meet tensors of inference mode, in which videos run.
            with torch.inference_mode(mode=False):
                graph = write_graph(network.eval(), folder, name, graph_format="onnx", weights="float32")
            self._files[name] = folder / graph.file
        return self._files[name]


def run_by(
    model: GenVIS | VidEoMT,
    runtime: RuntimeName,
    *,
    on_export: Callable[[str], None] = lambda _: None,
    written: WrittenGraphs | None = None,
) -> ExportedGenVIS | ExportedVidEoMT:
    """Return a model that another runtime runs; its graphs are made, in a temporary folder, when they are needed.

    Args:
        model: On the CPU, in float32. Its parameters no longer require a gradient afterwards.
        runtime: What runs it.
        on_export: Called with a sentence before a graph is made, which takes from seconds to a minute.
        written: Graphs of this model that another runtime runs, too, or will; None makes its own.

    Raises:
        InputError: If the model cannot be exported.
        MissingExtraError: If a library is not installed.
    """
    require_runtime(runtime)
    require_exporter("openvino" if runtime == "openvino" else "onnx")
    if isinstance(model, GenVIS) and model.config.method == "vita":
        raise InputError(
            "A VITA model sees the whole video at once, which no graph of a clip can: leave out --runtime."
        )
    model.eval().requires_grad_(False)
    graphs = _GraphsOnDemand(runtime, on_export, WrittenGraphs() if written is None else written)
    stamp = _stamp(model)
    if isinstance(model, VidEoMT):
        config = model.config
        assert isinstance(config, VidEoMTConfig)
        step = ExportedVidEoMTStep(
            graphs.of_size(lambda height, width: TracedVidEoMT(model, height=height, width=width)),
            queries=config.num_queries,
            query_dim=config.hidden_size,
        )
        return ExportedVidEoMT(config, runtime=runtime, stamp=stamp, network=step).eval()
    genvis_config = model.config
    assert isinstance(genvis_config, GenVISConfig)
    sizes, tracker = model.detector.sizes, None
    detector = ExportedDetector(
        graphs.of_size(lambda height, width: TracedDetector(model.detector, height=height, width=width)),
        preprocessing=model.detector.preprocessing,
        sizes=sizes,
    )
    if model.tracker is not None:
        traced = TracedTracker(
            model.tracker, frame_queries=sizes.queries, query_dim=sizes.query_dim + model.tracker.places
        )
        tracker = ExportedTracker(
            graphs.make("tracker", traced),
            first_queries=model.tracker.first_queries.detach(),
            propagate_queries=model.tracker.propagate_queries,
            memory_clips=model.tracker.memory_clips,
            propagation=model.tracker.propagation,
            places=model.tracker.places,
            place_state=model.tracker.place_state,
            has_memory=model.tracker.memory_reader is not None,
        )
    return ExportedGenVIS(genvis_config, runtime=runtime, stamp=stamp, detector=detector, tracker=tracker).eval()


class _GraphsOnDemand:
    """Graphs as one runtime runs them, made when they are needed."""

    def __init__(self, runtime: RuntimeName, on_export: Callable[[str], None], written: WrittenGraphs) -> None:
        self._runtime = runtime
        self._on_export = on_export
        self._written = written
        self._graphs: dict[tuple[int, int], Graph] = {}

    def of_size(self, network: Callable[[int, int], TracedNetwork]) -> GraphFor:
        """Return what makes the graph for a size of pixel values when it is asked for the first time."""

        def graph_for(pixel_values: Tensor) -> Graph:
            height, width = (int(side) for side in pixel_values.shape[-2:])
            if (height, width) not in self._graphs:
                name = f"network-{height}x{width}"
                if name not in self._written:
                    self._on_export(f"Exporting the network for {self._runtime}, for inputs of {height}x{width}.")
                self._graphs[height, width] = self.make(name, network(height, width), fixed_shapes=True)
            return self._graphs[height, width]

        return graph_for

    def make(self, name: str, network: TracedNetwork, *, fixed_shapes: bool = False) -> Graph:
        """Write a graph and open it."""
        return open_graph(self._written.file(name, network), self._runtime, fixed_shapes=fixed_shapes)


def _stamp(model: GenVIS | VidEoMT) -> Stamp:
    name = getattr(model.config, "_name_or_path", None) or "a model"
    return tensors_stamp(model.state_dict(), name=name)
