"""The GenVIS tracker: object encoder, object decoder, heads, propagation and memory (paper, Figure 2)."""

import torch
from torch import Tensor, nn

from genvis.model.config import GenVISConfig
from genvis.model.detector.base import DetectorSizes
from genvis.model.detector.optimized.linear import apply_linear
from genvis.model.mask_product import projected_mask_logits
from genvis.model.outputs import TrackerOutput
from genvis.model.tracker.claiming_decoder import ClaimingDecoder
from genvis.model.tracker.heads import PredictionHeads
from genvis.model.tracker.memory_reader import PrototypeMemoryReader
from genvis.model.tracker.object_decoder import ObjectDecoder
from genvis.model.tracker.object_encoder import ObjectEncoder
from genvis.model.tracker.occupancy import occupancy_mixture
from genvis.model.tracker.places import PlaceMotion
from genvis.model.tracker.propagation_gate import PropagationGate
from genvis.model.tracker.query_tracker import QueryTracker, Stored


class Tracker(QueryTracker):
    """Tracker of GenVIS: sees frame queries, never pixels, and is all that GenVIS trains (paper, section 3.1).

    Args:
        config: Of the whole model.
        detector: Sizes of what the tracker reads.
    """

    def __init__(self, config: GenVISConfig, detector: DetectorSizes) -> None:
        super().__init__(
            propagate_queries=config.propagate_queries,
            memory_clips=config.memory_clips,
            propagation=config.propagation,
            places=config.places,
            place_state=config.place_state,
        )
        hidden_dim = config.hidden_dim
        self.input_projection = nn.Linear(detector.query_dim, hidden_dim)
        self.encoder = ObjectEncoder(
            hidden_dim=hidden_dim,
            num_heads=config.num_attention_heads,
            dim_feedforward=config.dim_feedforward,
            num_layers=config.encoder_layers,
            window_size=config.encoder_window_size,
        )
        decoder = ClaimingDecoder if config.places else ObjectDecoder
        self.decoder = decoder(
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
        self.gate = PropagationGate(hidden_dim=hidden_dim) if config.propagation == "gated" else None
        self.place_motion = PlaceMotion() if config.places and config.propagation == "motion" else None

    @property
    def first_queries(self) -> Tensor:
        """The learned queries before the first clip, (Q, C), with a place that is nowhere behind each if claims are."""
        learned: Tensor = self.query_features.weight
        if not self.place_state:
            return learned
        return torch.cat([learned, learned.new_zeros(len(learned), self.place_state)], dim=1)

    def mask_logits(self, output: TrackerOutput, features: Tensor) -> Tensor:
        """Return the masks of one video's clip, (T, Q, h, w) float32, see `QueryTracker.mask_logits`."""
        return projected_mask_logits(output.mask_embeddings[-1, 0], self.mask_features, features)

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
            memory_is_filled: (B, M) or (B, M, Q) bool, which places of the memory are read; None for all.

        Returns:
            The predictions; the queries for the next clip, (B, Q, C); and the key and value, (B, Q, C) each, that the
            memory is to keep (None without a memory).
        """
        read = self.read_memory(instance_queries, memory_keys, memory_values, memory_is_filled)
        return self.decode_clip(frame_queries, read, instance_queries)

    def read_memory(
        self, instance_queries: Tensor, keys: Tensor, values: Tensor, is_filled: Tensor | None = None
    ) -> Tensor:
        """Return the instance queries after they have read the memory, (B, Q, C): the first part of `step`.

        Args:
            instance_queries: (B, Q, C), what the previous clip left.
            keys: (B, M, Q, C) of M past clips.
            values: (B, M, Q, C).
            is_filled: (B, M) or (B, M, Q) bool, which places of the memory are read; None for all.
        """
        if self.memory_reader is None:
            return instance_queries
        read: Tensor = self.memory_reader(instance_queries, keys, values, is_filled=is_filled)
        return read

    def decode_clip(
        self, frame_queries: Tensor, instance_queries: Tensor, before: Tensor
    ) -> tuple[TrackerOutput, Tensor, Stored | None]:
        """Compute the rest of `step`, whose sizes do not depend on the memory.

        Args:
            frame_queries: (B, T, Q_f, C_det).
            instance_queries: (B, Q, C), of `read_memory`.
            before: (B, Q, C), what the previous clip left.

        Returns:
            As `step`.
        """
        if isinstance(self.decoder, ClaimingDecoder):
            return self._claim_clip(self.decoder, frame_queries, instance_queries)
        encoded = self.encoder(apply_linear(self.input_projection, frame_queries))  # (B, T, Q_f, C)
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
        return output, self._next_queries(prototypes, before, class_logits[-1]), stored

    def _claim_clip(
        self, decoder: ClaimingDecoder, frame_queries: Tensor, instance_queries: Tensor
    ) -> tuple[TrackerOutput, Tensor, None]:
        """Compute `decode_clip` of queries that have places behind them, and no memory."""
        frame_queries, token_places = frame_queries[..., : -self.places], frame_queries[..., -self.places :]
        queries, state = self.without_places(instance_queries), instance_queries[..., -self.place_state :]
        places = state if self.place_motion is None else self.place_motion.expected(state)
        encoded = self.encoder(apply_linear(self.input_projection, frame_queries))  # (B, T, Q_f, C)
        layers, places = decoder.claim(queries, encoded, places=places, token_places=token_places)
        class_logits, mask_embeddings = self.heads(torch.stack(layers))  # (D, B, Q, K + 1), (D, B, Q, C_m)
        prototypes = layers[-1]  # (B, Q, C), p
        output = TrackerOutput(
            class_logits=class_logits,
            mask_embeddings=mask_embeddings,
            frame_similarity=self.frame_similarity(encoded),
            query_similarity=self.query_similarity(self.heads.norm(prototypes)),
        )
        if self.propagation == "full":  # A query without an object is nowhere: only what it looks like is compared.
            places = places * (1 - class_logits[-1].softmax(dim=-1)[..., -1:])
        if self.place_motion is not None:
            places, state = self.place_motion.seen(state, places), self.place_motion.unseen(state)
        found, before = torch.cat([prototypes, places], dim=-1), torch.cat([queries, state], dim=-1)
        return output, self._next_queries(found, before, class_logits[-1]), None

    def _next_queries(self, prototypes: Tensor, before: Tensor, class_logits: Tensor) -> Tensor:
        """Return what the next clip starts from, (B, Q, C), as are the next two, with the state of places behind it.

        Args:
            prototypes: p of this clip, and where its objects are.
            before: What the previous clip left, and where hidden objects are to be.
            class_logits: (B, Q, K + 1) of this clip.
        """
        if self.gate is not None:
            return self.gate(prototypes, before)
        if self.mixes_by_occupancy:
            # How sure the classes are is for them to learn; here it is only read, in training as at inference.
            return occupancy_mixture(prototypes, before, class_logits.detach())
        return prototypes
