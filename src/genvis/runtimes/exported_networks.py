"""Exported networks behind the protocols of the networks they were made of: detector, tracker, VidEoMT."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genvis.errors import InputError
from genvis.model.detector.base import DetectorSizes, FrameDetector
from genvis.model.mask_product import mask_logits
from genvis.model.outputs import DetectorOutput, FramePrediction, TrackerOutput
from genvis.model.preprocessing import Preprocessing
from genvis.model.tracker.occupancy import occupancy_mixture
from genvis.model.tracker.query_tracker import QueryTracker, Stored
from genvis.model.tracker.videomt import VidEoMTOutput
from genvis.runtimes.graphs import Graph

GraphFor = Callable[[Tensor], Graph]
"""Gives the graph for pixel values (F, 3, H, W) of a height and a width."""


class ExportedDetector(FrameDetector):
    """Frame-level detector that is a graph.

    Args:
        graph_for: Gives the graph for the height and width of pixel values.
        preprocessing: Way from a frame to ``pixel_values``.
        sizes: Of the outputs.
    """

    def __init__(self, graph_for: GraphFor, *, preprocessing: Preprocessing, sizes: DetectorSizes) -> None:
        super().__init__(preprocessing=preprocessing, sizes=sizes)
        self._graph_for = graph_for
        # On its device and of its dtype are all tensors of the network.
        self.nothing = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect: see `FrameDetector.forward`.

        Args:
            pixel_values: (F, 3, H, W), as ``preprocessing`` makes them.
            layers: 1; graphs return the last layer only.

        Raises:
            InputError: If more layers are asked for, or the graph is for inputs of another size.
        """
        if layers != 1:
            raise InputError(f"An exported detector returns its last layer only, not {layers}: use the model itself.")
        outputs = self._graph_for(pixel_values)(pixel_values=pixel_values)
        prediction = FramePrediction(
            class_scores=outputs["class_scores"],
            mask_embeddings=outputs["mask_embeddings"],
            mask_features=outputs["features"],
            mask_bias=outputs["mask_bias"],
        )
        return DetectorOutput(outputs["frame_queries"][None], outputs["features"], prediction)

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own classes and masks, which its graph has computed.

        Args:
            output: Of `forward`.
            layer: -1 or 0: there is only one.
        """
        assert output.prediction is not None
        return output.prediction


class ExportedTracker(QueryTracker):
    """Tracker of frame queries that is a graph.

    Args:
        graph: Frame queries, instance queries and perhaps a memory in; classes, mask embeddings and queries out.
        first_queries: (Q, C).
        propagate_queries: As in `QueryTracker`.
        memory_clips: As in `QueryTracker`.
        propagation: As in `QueryTracker`; the graph computes it.
        has_memory: Whether the graph reads a memory.
        places: As in `QueryTracker`.
        place_state: As in `QueryTracker`.
    """

    _first_queries: Tensor

    def __init__(
        self,
        graph: Graph,
        *,
        first_queries: Tensor,
        propagate_queries: bool,
        memory_clips: int | None,
        propagation: str,
        has_memory: bool,
        places: int,
        place_state: int,
    ) -> None:
        super().__init__(
            propagate_queries=propagate_queries,
            memory_clips=memory_clips,
            propagation=propagation,
            places=places,
            place_state=place_state,
        )
        self._graph = graph
        self._has_memory = has_memory
        self.register_buffer("_first_queries", first_queries)

    @property
    def first_queries(self) -> Tensor:
        """The learned queries before the first clip, (Q, C)."""
        return self._first_queries

    def step(
        self,
        frame_queries: Tensor,
        instance_queries: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        memory_is_filled: Tensor | None = None,
    ) -> tuple[TrackerOutput, Tensor, Stored | None]:
        """Compute one clip: see `QueryTracker.step`."""
        inputs = {"frame_queries": frame_queries, "instance_queries": instance_queries}
        if self._has_memory:
            batch, clips = memory_keys.shape[:2]
            if clips == 0:  # Not every runtime can read an empty memory: one place that is not filled.
                memory_keys = memory_values = instance_queries.new_zeros(batch, 1, *instance_queries.shape[1:])
            if clips == 0 or memory_is_filled is None:
                memory_is_filled = torch.full(memory_keys.shape[:3], clips > 0)
            inputs |= {
                "memory_keys": memory_keys,
                "memory_values": memory_values,
                "memory_is_filled": memory_is_filled,
            }
        outputs = self._graph(**inputs)
        nothing = frame_queries.new_empty(0)
        output = TrackerOutput(
            class_logits=outputs["class_logits"][None],
            mask_embeddings=outputs["mask_embeddings"][None],
            frame_similarity=nothing,
            query_similarity=nothing,
            mask_bias=outputs["mask_bias"][None],
        )
        stored = (outputs["memory_key"], outputs["memory_value"]) if self._has_memory else None
        return output, outputs["next_queries"], stored

    def mask_logits(self, output: TrackerOutput, features: Tensor) -> Tensor:
        """Return the masks of one video's clip: see `QueryTracker.mask_logits`."""
        assert output.mask_bias is not None
        return mask_logits(output.mask_embeddings[-1, 0], features, output.mask_bias[-1, 0])


class ExportedVidEoMTStep(nn.Module):
    """VidEoMT that is a graph of one frame.

    Args:
        graph_for: As in `ExportedDetector`.
        queries: Q.
        query_dim: C.
    """

    def __init__(self, graph_for: GraphFor, *, queries: int, query_dim: int) -> None:
        super().__init__()
        self._graph_for = graph_for
        self._state_shape = (1, queries, query_dim)

    @property
    def empty_state(self) -> Tensor:
        """Zeros with the shape, device and dtype of a state, (1, Q, C)."""
        return torch.zeros(self._state_shape)

    def step(
        self, pixel_values: Tensor, state: Tensor | None = None, *, occupancy_weighted: bool = False
    ) -> VidEoMTOutput:
        """Segment and track one clip of one video, frame by frame: see `VidEoMT.step`.

        Raises:
            InputError: If the graph is for inputs of another size.
        """
        graph = self._graph_for(pixel_values)
        class_logits, masks = [], []
        for frame in pixel_values.split(1):  # (1, 3, H, W)
            outputs = graph(
                pixel_values=frame,
                state=self.empty_state if state is None else state,
                has_state=torch.tensor([0.0 if state is None else 1.0]),
            )
            new = outputs["next_state"]
            if occupancy_weighted and state is not None:
                new = occupancy_mixture(new, state, outputs["class_logits"])
            state = new
            class_logits.append(outputs["class_logits"])
            masks.append(mask_logits(outputs["mask_embeddings"][0], outputs["features"]))
        assert state is not None
        return VidEoMTOutput(torch.cat(class_logits), torch.cat(masks), state)
