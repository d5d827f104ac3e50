"""Trackers of frame queries: what is carried from clip to clip, whatever computes a clip."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genvis.errors import InputError
from genvis.model.detector.base import FrameDetector
from genvis.model.device_copies import to_device
from genvis.model.outputs import DetectorOutput, TrackerOutput, TrackerState
from genvis.model.tracker.memory_bank import PrototypeMemory
from genvis.model.tracker.occupancy import occupancy_mixture
from genvis.model.tracker.places import places_of

Stored = tuple[Tensor, Tensor]


class QueryTracker(nn.Module, ABC):
    """Frame queries in, instances with one query each through the whole video out (paper, Figure 2).

    It holds nothing of a video; what one clip leaves for the next is a `TrackerState`. Implementations: `Tracker`, and
    the exported graph of one.

    Args:
        propagate_queries: Whether a clip starts from the previous clip's instance prototypes (paper, Eq. 1).
        memory_clips: How many past clips the memory keeps; None keeps all.
        propagation: What the next clip starts from, as `GenVISConfig` says; `step` computes it.
        places: P, channels behind those of every frame query that say where its object is; 0 for none.
        place_state: Channels behind those of every instance query that say where its object was, and how it moves.
    """

    def __init__(
        self,
        *,
        propagate_queries: bool,
        memory_clips: int | None,
        propagation: str = "full",
        places: int = 0,
        place_state: int = 0,
    ) -> None:
        super().__init__()
        self.propagate_queries = propagate_queries
        self.propagation = propagation
        self.memory_clips = memory_clips
        self.places = places
        self.place_state = place_state

    @property
    def mixes_by_occupancy(self) -> bool:
        """Whether `step` propagates a query only as far as it holds an object, by itself."""
        return self.propagation in ("occupancy", "motion")

    @property
    @abstractmethod
    def first_queries(self) -> Tensor:
        """The learned queries before the first clip, (Q, C)."""

    @abstractmethod
    def step(
        self,
        frame_queries: Tensor,
        instance_queries: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        memory_is_filled: Tensor | None = None,
    ) -> tuple[TrackerOutput, Tensor, Stored | None]:
        """Compute one clip as a pure function of tensors.

        Args:
            frame_queries: (B, T, Q_f, C_det).
            instance_queries: (B, Q, C), what the previous clip left.
            memory_keys: (B, M, Q, C) of M past clips.
            memory_values: (B, M, Q, C).
            memory_is_filled: (B, M, Q) bool, which places of the memory are read; None for all.

        Returns:
            The predictions; the queries for the next clip, (B, Q, C), which are p, the raw instance prototypes of this
            clip, unless ``propagation`` mixes them with those before; and the key and value, (B, Q, C) each, that the
            memory is to keep (None without a memory).
        """

    @abstractmethod
    def mask_logits(self, output: TrackerOutput, features: Tensor) -> Tensor:
        """Return the masks of one video's clip, (T, Q, h, w) float32.

        Args:
            output: Of `forward` for one video.
            features: (T, C_f, h, w) of the detector.
        """

    def tokens(self, detector: FrameDetector, detected: DetectorOutput, *, layer: int = -1) -> Tensor:
        """Return the frame queries as this tracker reads them, (F, Q_f, C_det + P), P = 0 if it reads no places.

        Args:
            detector: Which detected; where places are read, its own masks say where detections are.
            detected: Of F frames.
            layer: Which of its layers.
        """
        queries = detected.frame_queries[layer]
        if not self.places:
            return queries
        return torch.cat([queries, places_of(detector.predict(detected, layer=layer)).to(queries.dtype)], dim=-1)

    def without_places(self, queries: Tensor) -> Tensor:
        """Return instance queries without what says where their objects are, (..., C)."""
        return queries[..., : queries.shape[-1] - self.place_state] if self.place_state else queries

    def released(self, state: TrackerState, slots: Tensor) -> TrackerState:
        """Return a state in which some queries are as before the first clip: learned, and without a memory.

        Args:
            state: Of any clip.
            slots: (Q,) bool, which queries.
        """
        slots = to_device(slots, self.first_queries.device)
        queries = torch.where(slots[:, None], self.first_queries, state.instance_queries)  # (B, Q, C)
        return TrackerState(instance_queries=queries, memory=state.memory.released(slots))

    def first_state(self, batch: int) -> TrackerState:
        """Return the state before the first clip of ``batch`` videos: the learned queries and an empty memory."""
        queries = self.first_queries
        memory = PrototypeMemory.empty(
            batch=batch, num_queries=queries.shape[0], hidden_dim=queries.shape[1], like=queries
        )
        return TrackerState(instance_queries=queries.expand(batch, -1, -1), memory=memory)

    def forward(
        self,
        frame_queries: Tensor,
        state: TrackerState | None = None,
        *,
        memory_clips: int | None = None,
        occupancy_weighted: bool = False,
    ) -> tuple[TrackerOutput, TrackerState]:
        """Track all instance queries through one clip.

        Args:
            frame_queries: (B, T, Q_f, C_det) of the detector; any T from 1 up.
            state: What the previous clip of the same videos left; None for their first clip.
            memory_clips: How many past clips the memory is to keep, at least 1; None takes the configured number.
            occupancy_weighted: Propagate a query only as far as it holds an object, see `occupancy_mixture`. Off, as
                published; changes nothing where the model was trained so and does it by itself.

        Returns:
            The predictions of all D object-decoder layers, and the state for the next clip.

        Raises:
            InputError: If ``memory_clips`` is less than 1.
        """
        if memory_clips is not None and memory_clips < 1:
            raise InputError(f"memory_clips is {memory_clips}; it must be at least 1, or None for the model's number.")
        if state is None or not self.propagate_queries:
            state = self.first_state(frame_queries.shape[0])
        instance_queries, memory = state
        output, next_queries, stored = self.step(
            frame_queries, instance_queries, memory.keys, memory.values, memory.is_filled
        )
        if stored is not None and self.propagate_queries:
            memory = memory.append(*stored, limit=self.memory_clips if memory_clips is None else memory_clips)
        if occupancy_weighted and not self.mixes_by_occupancy:
            next_queries = occupancy_mixture(next_queries, instance_queries, output.class_logits[-1])
        return output, TrackerState(instance_queries=next_queries, memory=memory)
