"""The networks as functions of tensors with named inputs and outputs, as they are traced for an export.

Every family gives masks in one way: the product of ``mask_embeddings`` with ``features``, plus ``mask_bias``. What a
family does besides is carried over to the embeddings, of which there are 100, instead of 10,000 pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genvis.model.detector.base import FrameDetector
from genvis.model.mask_product import embeddings_before_projection
from genvis.model.tracker.tracker import Tracker
from genvis.model.tracker.videomt import VidEoMT

Length = int | str
"""Length of an axis: a number, or the name of an axis whose length is free."""


class TracedInput(NamedTuple):
    """Input of a traced network.

    Attributes:
        example: Tensor of a valid shape, in which free lengths are at least 2.
        shape: Lengths of its axes.
    """

    example: Tensor
    shape: list[Length]


class TracedNetwork(nn.Module):
    """Network with named inputs and outputs.

    Attributes:
        inputs: By name, in the order in which ``forward`` takes them.
        output_names: In the order in which ``forward`` returns them.
    """

    inputs: dict[str, TracedInput]
    output_names: tuple[str, ...]


class TracedDetector(TracedNetwork):
    """Detector: pixel values in; frame queries, features and its own prediction out.

    Args:
        detector: In evaluation mode.
        height: Of its input.
        width: Of its input.
    """

    output_names = ("frame_queries", "features", "class_scores", "mask_embeddings", "mask_bias")

    def __init__(self, detector: FrameDetector, *, height: int, width: int) -> None:
        super().__init__()
        self.detector = detector
        self.inputs = {"pixel_values": TracedInput(torch.randn(2, 3, height, width), ["frames", 3, height, width])}

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of (F, 3, H, W)."""
        output = self.detector(pixel_values)
        prediction = self.detector.predict(output)
        bias = prediction.mask_bias
        if bias is None:
            bias = torch.zeros_like(prediction.mask_embeddings[..., 0])
        return (
            output.frame_queries[-1],  # (F, Q_f, C)
            output.features,  # (F, C_f, h, w)
            prediction.class_scores,  # (F, Q_f, K)
            prediction.mask_embeddings,  # (F, Q_f, C_f)
            bias,  # (F, Q_f)
        )


class TracedTracker(TracedNetwork):
    """Tracker of GenVIS: one clip of each of B videos.

    Args:
        tracker: In evaluation mode.
        frame_queries: Q_f.
        query_dim: Channels of a frame query as the tracker reads it.
    """

    def __init__(self, tracker: Tracker, *, frame_queries: int, query_dim: int) -> None:
        super().__init__()
        self.tracker = tracker
        queries, channels = tracker.first_queries.shape
        self.inputs = {
            "frame_queries": TracedInput(
                torch.randn(2, 3, frame_queries, query_dim), ["videos", "frames", frame_queries, query_dim]
            ),
            "instance_queries": TracedInput(torch.randn(2, queries, channels), ["videos", queries, channels]),
        }
        self.output_names = ("class_logits", "mask_embeddings", "mask_bias", "next_queries")
        if tracker.memory_reader is not None:
            self.inputs |= {
                name: TracedInput(torch.randn(2, 4, queries, channels), ["videos", "clips", queries, channels])
                for name in ("memory_keys", "memory_values")
            }
            filled = torch.ones(2, 4, queries, dtype=torch.bool)
            self.inputs["memory_is_filled"] = TracedInput(filled, ["videos", "clips", queries])
            self.output_names += ("memory_key", "memory_value")

    def forward(
        self,
        frame_queries: Tensor,
        instance_queries: Tensor,
        memory_keys: Tensor | None = None,
        memory_values: Tensor | None = None,
        memory_is_filled: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the outputs of one clip, without those of earlier decoder layers, which only training reads."""
        if memory_keys is None or memory_values is None:
            memory_keys = memory_values = instance_queries[:, None, :, :][:, :0]  # (B, 0, Q, C)
        output, next_queries, stored = self.tracker.step(
            frame_queries, instance_queries, memory_keys, memory_values, memory_is_filled
        )
        embeddings, bias = embeddings_before_projection(output.mask_embeddings[-1], self.tracker.mask_features)
        if bias is None:
            bias = torch.zeros_like(embeddings[..., 0])
        # (B, Q, K + 1), (B, Q, C_f), (B, Q), (B, Q, C)
        return (output.class_logits[-1], embeddings, bias, next_queries, *(stored or ()))


class TracedVidEoMT(TracedNetwork):
    """VidEoMT: one frame of each of B videos.

    Args:
        model: In evaluation mode.
        height: Of its input.
        width: Of its input.
    """

    output_names = ("class_logits", "mask_embeddings", "features", "next_state")

    def __init__(self, model: VidEoMT, *, height: int, width: int) -> None:
        super().__init__()
        self.model = model
        _, queries, channels = model.empty_state.shape
        self.inputs = {
            "pixel_values": TracedInput(torch.randn(2, 3, height, width), ["videos", 3, height, width]),
            "state": TracedInput(torch.randn(2, queries, channels), ["videos", queries, channels]),
            "has_state": TracedInput(torch.ones(2), ["videos"]),
        }

    def forward(self, pixel_values: Tensor, state: Tensor, has_state: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of a frame."""
        heads, state = self.model.frame_step(pixel_values, state, has_state)
        return heads.class_logits, heads.mask_embeddings, heads.mask_features, state
