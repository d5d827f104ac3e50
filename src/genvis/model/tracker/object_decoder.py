"""The object decoder D: instance queries read the encoded frame queries of a clip (paper, Figure 2, left)."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from genvis.model.detector.optimized.linear import feedforward
from genvis.model.detector.optimized.query_attention import multihead_attention


class ObjectDecoderLayer(nn.Module):
    """Cross-attention to the frame tokens, self-attention among the queries, feed-forward; normalised afterwards."""

    def __init__(self, *, hidden_dim: int, num_heads: int, dim_feedforward: int) -> None:
        super().__init__()
        self.cross_attention = nn.MultiheadAttention(hidden_dim, num_heads, batch_first=True)
        self.cross_attention_norm = nn.LayerNorm(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, batch_first=True)
        self.self_attention_norm = nn.LayerNorm(hidden_dim)
        self.linear1 = nn.Linear(hidden_dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, hidden_dim)
        self.feedforward_norm = nn.LayerNorm(hidden_dim)

    def forward(self, queries: Tensor, query_position: Tensor, tokens: Tensor, token_position: Tensor | None) -> Tensor:
        """Update the queries.

        Args:
            queries: (B, Q, C).
            query_position: (Q, C), added to queries and, in self-attention, keys.
            tokens: (B, S, C), the encoded frame queries of the clip.
            token_position: (S, C), added to the keys, or None; values add nothing.

        Returns:
            (B, Q, C).
        """
        keys = tokens if token_position is None else tokens + token_position
        attended = multihead_attention(self.cross_attention, queries + query_position, keys, tokens)  # (B, Q, C)
        queries = self.cross_attention_norm(queries + attended)
        keys = queries + query_position
        attended = multihead_attention(self.self_attention, keys, keys, queries)
        queries = self.self_attention_norm(queries + attended)
        return self.feedforward_norm(queries + feedforward(self.linear1, F.relu, self.linear2, queries))


class ObjectDecoder(nn.Module):
    """Turn instance queries into instance prototypes: p = D(q, E(f)), paper, section 3.1.

    Args:
        hidden_dim: C.
        num_heads: Attention heads.
        dim_feedforward: Width of the feed-forward layers.
        num_layers: Layers.
        num_instance_queries: Q, each with a learned position embedding.
        num_frame_queries: Q_f, each with a learned position embedding that is the same in all frames; None for no such
            embedding, where the index of a frame query means nothing.
    """

    layer_type: ClassVar[type[ObjectDecoderLayer]] = ObjectDecoderLayer

    def __init__(
        self,
        *,
        hidden_dim: int,
        num_heads: int,
        dim_feedforward: int,
        num_layers: int,
        num_instance_queries: int,
        num_frame_queries: int | None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            self.layer_type(hidden_dim=hidden_dim, num_heads=num_heads, dim_feedforward=dim_feedforward)
            for _ in range(num_layers)
        )
        self.query_position = nn.Embedding(num_instance_queries, hidden_dim)
        self.frame_query_position = None if num_frame_queries is None else nn.Embedding(num_frame_queries, hidden_dim)

    def forward(self, instance_queries: Tensor, encoded_frame_queries: Tensor) -> list[Tensor]:
        """Decode a clip.

        Args:
            instance_queries: (B, Q, C).
            encoded_frame_queries: (B, T, Q_f, C), output of the object encoder.

        Returns:
            The raw output of each layer, (B, Q, C) each; the last is the clip's instance prototypes p.
        """
        tokens = encoded_frame_queries.flatten(1, 2)  # (B, T·Q_f, C)
        token_position = self.positions_of_tokens(encoded_frame_queries.shape[1])
        outputs = []
        for layer in self.layers:
            instance_queries = layer(instance_queries, self.query_position.weight, tokens, token_position)
            outputs.append(instance_queries)
        return outputs

    def positions_of_tokens(self, frames: int) -> Tensor | None:
        """Return the embeddings of the frame queries of a clip of T frames, (T·Q_f, C); None where there are none."""
        if self.frame_query_position is None:
            return None
        return self.frame_query_position.weight.repeat(frames, 1)
