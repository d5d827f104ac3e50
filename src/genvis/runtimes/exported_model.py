"""Exported models: what `genvis.load` returns for the folder of an export, in the place of a network of PyTorch."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from genvis.errors import InputError
from genvis.fingerprint import Stamp, content_stamp, value_stamp
from genvis.model.config import GenVISConfig
from genvis.model.detector.base import DetectorSizes
from genvis.model.tracker.videomt import VidEoMTConfig
from genvis.runtimes.description import ExportDescription
from genvis.runtimes.exported_networks import (
    ExportedDetector,
    ExportedTracker,
    ExportedVidEoMTStep,
    GraphFor,
)
from genvis.runtimes.graphs import Graph, open_graph
from genvis.runtimes.runtime_names import RuntimeName

if TYPE_CHECKING:
    from genvis.model.tracker.query_tracker import QueryTracker

_NATIVE: dict[str, RuntimeName] = {"onnx": "onnxruntime", "openvino": "openvino"}


class ExportedModel(nn.Module):
    """Exported network with its configuration; on the CPU, in float32, for inference.

    Args:
        config: Of the model that was exported.
        runtime: Which library runs it.
        stamp: Identity of the weights.
    """

    def __init__(self, config: Any, *, runtime: RuntimeName, stamp: Stamp) -> None:
        super().__init__()
        self.config = config
        self.runtime = runtime
        self.stamp = stamp

    @property
    def device(self) -> torch.device:
        """Where inputs and outputs are: the CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs and outputs: float32."""
        return torch.float32


class ExportedGenVIS(ExportedModel):
    """Exported detector, with or without a tracker: stands where a `GenVIS` stands.

    Args:
        config: Of the model that was exported.
        runtime: Which library runs it.
        stamp: Identity of the weights.
        detector: Its detector.
        tracker: Its tracker; None for a detector alone.
    """

    config: GenVISConfig

    def __init__(
        self,
        config: GenVISConfig,
        *,
        runtime: RuntimeName,
        stamp: Stamp,
        detector: ExportedDetector,
        tracker: "QueryTracker | None",
    ) -> None:
        super().__init__(config, runtime=runtime, stamp=stamp)
        self.detector = detector
        self.tracker = tracker


class ExportedVidEoMT(ExportedModel):
    """Exported VidEoMT.

    Args:
        config: Of the model that was exported.
        runtime: Which library runs it.
        stamp: Identity of the weights.
        network: Its step.
    """

    config: VidEoMTConfig

    def __init__(
        self, config: VidEoMTConfig, *, runtime: RuntimeName, stamp: Stamp, network: ExportedVidEoMTStep
    ) -> None:
        super().__init__(config, runtime=runtime, stamp=stamp)
        self.network = network


class ExportFolder:
    """Folder of an export, opened.

    Args:
        folder: With ``model.json``.
        description: What that says.
        runtime: Which library is to run it; None takes the one that its format is named after.

    Raises:
        InputError: If that library cannot read the format.
    """

    def __init__(self, folder: Path, description: ExportDescription, *, runtime: RuntimeName | None = None) -> None:
        self.folder = folder
        self.description = description
        self.runtime: RuntimeName = runtime or _NATIVE[description.graph_format]
        if self.runtime == "onnxruntime" and description.graph_format != "onnx":
            raise InputError(
                f"'{folder}' holds an export for OpenVINO, which onnxruntime cannot read: export with --format onnx."
            )

    def model(self, config: Any) -> ExportedGenVIS | ExportedVidEoMT:
        """Return the model, ready to run.

        Args:
            config: `GenVISConfig` or `VidEoMTConfig` of the description.

        Raises:
            InputError: If a graph or a file of numbers is damaged.
            MissingExtraError: If the runtime is not installed.
        """
        if isinstance(config, VidEoMTConfig):
            graph_for = self._graph_for("step")
            step = ExportedVidEoMTStep(graph_for, queries=config.num_queries, query_dim=config.hidden_size)
            return ExportedVidEoMT(config, runtime=self.runtime, stamp=self.stamp, network=step)
        sizes = DetectorSizes(**(self.description.sizes or {}))
        return ExportedGenVIS(
            config,
            runtime=self.runtime,
            stamp=self.stamp,
            detector=ExportedDetector(self._graph_for("detector"), preprocessing=config.preprocessing, sizes=sizes),
            tracker=self._tracker(config),
        )

    def _graph_for(self, name: str) -> GraphFor:
        """Return what gives the graph of a name; it knows inputs of one size only."""
        graph = open_graph(self._path(name), self.runtime, fixed_shapes=True)
        known = self.description.input_size

        def graph_for(pixel_values: Tensor) -> Graph:
            height, width = pixel_values.shape[-2:]
            if (height, width) != known:
                raise InputError(
                    f"The export '{self.folder}' is for network inputs of {known[0]}x{known[1]} (height x width), but "
                    f"these frames become {height}x{width}: export the model again with the --height and --width of "
                    "the frames, and the --resolution if you choose one."
                )
            return graph

        return graph_for

    @cached_property
    def stamp(self) -> Stamp:
        """Identity of the export by the content of its files."""
        digests = [[file.name, content_stamp(file).digest] for file in self.description.files(self.folder)]
        return value_stamp(digests, name=self.description.name)

    def _tracker(self, config: GenVISConfig) -> ExportedTracker | None:
        if "tracker" not in self.description.graphs:
            return None
        return ExportedTracker(
            open_graph(self._path("tracker"), self.runtime),
            first_queries=self._first_queries(config),
            propagate_queries=config.propagate_queries,
            memory_clips=config.memory_clips,
            propagation=config.propagation,
            has_memory=config.memory_read != "none",
            places=config.places,
            place_state=config.place_state,
        )

    def _first_queries(self, config: GenVISConfig) -> Tensor:
        path = self.folder / str(self.description.first_queries)
        shape = (config.num_instance_queries, config.hidden_dim + config.place_state)
        try:
            queries = np.load(path, allow_pickle=False)
            if queries.shape != shape or queries.dtype != np.float32 or not np.isfinite(queries).all():
                raise ValueError("other numbers")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"'{path}' does not hold {shape} finite float32 numbers: export again.") from error
        return torch.from_numpy(queries)

    def _path(self, name: str) -> Path:
        return self.folder / self.description.graphs[name].file
