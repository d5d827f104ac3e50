"""Networks of PyTorch run from CUDA graphs, behind the protocols of the networks: detector, tracker, VidEoMT."""

from torch import Tensor

from genvis.model.detector.base import FrameDetector
from genvis.model.outputs import DetectorOutput, FramePrediction, TrackerOutput
from genvis.model.tracker.query_tracker import QueryTracker, Stored
from genvis.model.tracker.tracker import Tracker
from genvis.model.tracker.videomt import VidEoMT, VidEoMTOutput
from genvis.runtimes.cuda_graphs import CudaGraphs, Outputs


class GraphedDetector(FrameDetector):
    """Frame-level detector whose forward pass is a graph.

    Args:
        detector: In evaluation mode.
        graphs: Holds the graph of each shape.
    """

    def __init__(self, detector: FrameDetector, graphs: CudaGraphs) -> None:
        super().__init__(preprocessing=detector.preprocessing, sizes=detector.sizes)
        self.detector = detector
        self._graphs = graphs

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect: see `FrameDetector.forward`."""

        def detect(pixel_values: Tensor) -> Outputs:
            detected = self.detector(pixel_values, layers=layers)
            return detected.frame_queries, detected.features

        variant = (layers, getattr(self.detector, "implementation", None))
        frame_queries, features = self._graphs.run(
            "detector", detect, pixel_values, network=self.detector, variant=variant
        )
        return DetectorOutput(frame_queries, features)

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own classes and masks: see `FrameDetector.predict`."""
        return self.detector.predict(output, layer=layer)


class GraphedTracker(QueryTracker):
    """Tracker of frame queries that is a graph, but for the reading of the memory, which grows from clip to clip.

    Args:
        tracker: In evaluation mode.
        graphs: Holds the graph of each shape.
    """

    def __init__(self, tracker: Tracker, graphs: CudaGraphs) -> None:
        super().__init__(
            propagate_queries=tracker.propagate_queries,
            memory_clips=tracker.memory_clips,
            propagation=tracker.propagation,
            places=tracker.places,
            place_state=tracker.place_state,
        )
        self.tracker = tracker
        self._graphs = graphs

    @property
    def first_queries(self) -> Tensor:
        """The learned queries before the first clip, (Q, C)."""
        return self.tracker.first_queries

    def step(
        self,
        frame_queries: Tensor,
        instance_queries: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        memory_is_filled: Tensor | None = None,
    ) -> tuple[TrackerOutput, Tensor, Stored | None]:
        """Compute one clip: see `QueryTracker.step`; the similarities, which only training reads, are left out."""
        read = self.tracker.read_memory(instance_queries, memory_keys, memory_values, memory_is_filled)
        class_logits, mask_embeddings, next_queries, *stored = self._graphs.run(
            "tracker", self._decoded, frame_queries, read, instance_queries, network=self.tracker
        )
        nothing = frame_queries.new_empty(0)
        output = TrackerOutput(class_logits, mask_embeddings, frame_similarity=nothing, query_similarity=nothing)
        return output, next_queries, (stored[0], stored[1]) if stored else None

    def _decoded(self, frame_queries: Tensor, read: Tensor, before: Tensor) -> Outputs:
        output, next_queries, stored = self.tracker.decode_clip(frame_queries, read, before)
        return output.class_logits, output.mask_embeddings, next_queries, *(stored or ())

    def mask_logits(self, output: TrackerOutput, features: Tensor) -> Tensor:
        """Return the masks of one video's clip: see `QueryTracker.mask_logits`."""
        return self.tracker.mask_logits(output, features)


class GraphedVidEoMT:
    """VidEoMT whose step is a graph.

    Args:
        model: In evaluation mode.
        graphs: Holds the graph of each shape.
    """

    def __init__(self, model: VidEoMT, graphs: CudaGraphs) -> None:
        self._model = model
        self._graphs = graphs

    @property
    def empty_state(self) -> Tensor:
        """Zeros with the shape, device and dtype of a state, (1, Q, C)."""
        return self._model.empty_state

    def step(
        self, pixel_values: Tensor, state: Tensor | None = None, *, occupancy_weighted: bool = False
    ) -> VidEoMTOutput:
        """Segment and track one clip of one video: see `VidEoMT.step`."""

        def stepped(pixel_values: Tensor, state: Tensor) -> Outputs:
            return tuple(self._model.step(pixel_values, state, occupancy_weighted=occupancy_weighted))

        # To have no past is to have one of zeros: so both are one graph.
        state = self.empty_state if state is None else state
        variant = (occupancy_weighted, self._model.implementation)
        outputs = self._graphs.run("step", stepped, pixel_values, state, network=self._model, variant=variant)
        return VidEoMTOutput(*outputs)
