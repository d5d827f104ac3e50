"""The GenVIS tracker: object encoder, object decoder, heads, propagation and memory (paper, Figure 2)."""

import torch
from torch import Tensor, nn

from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.detector.base import DetectorSizes
from genvis.model.outputs import TrackerOutput, TrackerState
from genvis.model.tracker.heads import PredictionHeads
from genvis.model.tracker.memory_bank import PrototypeMemory
from genvis.model.tracker.memory_reader import PrototypeMemoryReader
from genvis.model.tracker.object_decoder import ObjectDecoder
from genvis.model.tracker.object_encoder import ObjectEncoder
from genvis.model.tracker.occupancy import occupancy_mixture


class Tracker(nn.Module):
    """Tracker of GenVIS: frame queries in, instances with one query each through the whole video out.

    It sees frame queries, never pixels, and is all that GenVIS trains (paper, section 3.1). It holds nothing of a
    video; what one clip leaves for the next is a `TrackerState`.

    Args:
        config: Of the whole model.
        detector: Sizes of what the tracker reads.
    """

    def __init__(self, config: GenVISConfig, detector: DetectorSizes) -> None:
        super().__init__()
        hidden_dim = config.hidden_dim
        self.propagate_queries = config.propagate_queries
        self.memory_clips = config.memory_clips
        self.input_projection = nn.Linear(detector.query_dim, hidden_dim)
        self.encoder = ObjectEncoder(
            hidden_dim=hidden_dim,
            num_heads=config.num_attention_heads,
            dim_feedforward=config.dim_feedforward,
            num_layers=config.encoder_layers,
            window_size=config.encoder_window_size,
        )
        self.decoder = ObjectDecoder(
            hidden_dim=hidden_dim,
            num_heads=config.num_attention_heads,
            dim_feedforward=config.dim_feedforward,
            num_layers=config.object_decoder_layers,
            num_instance_queries=config.num_instance_queries,
            num_frame_queries=detector.queries if detector.query_index_has_meaning else None,
        )
        self.query_features = nn.Embedding(config.num_instance_queries, hidden_dim)
        self.heads = PredictionHeads(
            hidden_dim=hidden_dim, mask_feature_size=config.mask_feature_size, num_classes=config.num_classes
        )
        self.mask_features = nn.Conv2d(detector.feature_dim, config.mask_feature_size, kernel_size=1)
        self.frame_similarity = nn.Linear(hidden_dim, hidden_dim)
        self.query_similarity = nn.Linear(hidden_dim, hidden_dim)
        self.memory_reader = (
            None
            if config.memory_read == "none"
            else PrototypeMemoryReader(hidden_dim=hidden_dim, is_global=config.memory_read == "global")
        )

    def first_state(self, batch: int) -> TrackerState:
        """Return the state before the first clip of ``batch`` videos: the learned queries and an empty memory."""
        queries = self.query_features.weight
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
                published.

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
        output, prototypes, stored = self.step(frame_queries, instance_queries, memory.keys, memory.values)
        if stored is not None and self.propagate_queries:
            memory = memory.append(*stored, limit=self.memory_clips if memory_clips is None else memory_clips)
        if occupancy_weighted:
            prototypes = occupancy_mixture(prototypes, instance_queries, output.class_logits[-1])
        return output, TrackerState(instance_queries=prototypes, memory=memory)

    def step(
        self, frame_queries: Tensor, instance_queries: Tensor, memory_keys: Tensor, memory_values: Tensor
    ) -> tuple[TrackerOutput, Tensor, tuple[Tensor, Tensor] | None]:
        """Compute one clip as a pure function of tensors.

        Args:
            frame_queries: (B, T, Q_f, C_det).
            instance_queries: (B, Q, C), p of the previous clip.
            memory_keys: (B, M, Q, C) of M past clips.
            memory_values: (B, M, Q, C).

        Returns:
            The predictions; p, the raw instance prototypes of this clip, (B, Q, C); and the key and value, (B, Q, C)
            each, that the memory is to keep (None without a memory).
        """
        if self.memory_reader is not None:
            instance_queries = self.memory_reader(instance_queries, memory_keys, memory_values)  # (B, Q, C)
        encoded = self.encoder(self.input_projection(frame_queries))  # (B, T, Q_f, C)
        layers = self.decoder(instance_queries, encoded)  # D of (B, Q, C)
        class_logits, mask_embeddings = self.heads(torch.stack(layers))  # (D, B, Q, K + 1), (D, B, Q, C_m)
        prototypes = layers[-1]  # (B, Q, C), p
        normalised = self.heads.norm(prototypes)  # (B, Q, C), m
        output = TrackerOutput(
            class_logits=class_logits,
            mask_embeddings=mask_embeddings,
            frame_similarity=self.frame_similarity(encoded),
            query_similarity=self.query_similarity(normalised),
        )
        stored = None if self.memory_reader is None else self.memory_reader.store(normalised)
        return output, prototypes, stored
