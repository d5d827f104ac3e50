"""The object encoder E: self-attention among all frame queries of a clip (paper, Figure 2, left)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genvis.model.detector.optimized.linear import feedforward
from genvis.model.detector.optimized.query_attention import multihead_attention


class ObjectEncoder(nn.Module):
    """Build relations between the frame queries of a clip.

    Args:
        hidden_dim: C, width of the queries.
        num_heads: Attention heads.
        dim_feedforward: Width of the feed-forward layers.
        num_layers: Layers, each self-attention and feed-forward, normalised afterwards.
        window_size: Frames that attend to one another. 0: all frames of the clip (GenVIS, section 4.2). Otherwise
            windows of that many frames; at inference every second layer shifts them by half a window (VITA).
    """

    def __init__(
        self, *, hidden_dim: int, num_heads: int, dim_feedforward: int, num_layers: int, window_size: int
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(hidden_dim, num_heads, dim_feedforward, dropout=0.0, batch_first=True)
            for _ in range(num_layers)
        )

    def forward(self, frame_queries: Tensor) -> Tensor:
        """Encode the queries of a clip.

        Args:
            frame_queries: (B, T, Q_f, C).

        Returns:
            (B, T, Q_f, C).
        """
        frames, queries = frame_queries.shape[1:3]
        for index, module in enumerate(self.layers):
            layer = cast(nn.TransformerEncoderLayer, module)
            if self.window_size == 0:
                encoded = _encoded(layer, frame_queries.flatten(1, 2))  # (B, T·Q_f, C)
                frame_queries = encoded.unflatten(1, (frames, queries))
            else:
                # Shifted windows reach over the borders of the others. Training never shifts.
                is_shifted = index % 2 == 1 and not self.training
                frame_queries = self._within_windows(layer, frame_queries, is_shifted=is_shifted)
        return frame_queries

    def _within_windows(self, layer: nn.TransformerEncoderLayer, frame_queries: Tensor, *, is_shifted: bool) -> Tensor:
        """Apply ``layer`` to windows of frames: (B, T, Q_f, C) to (B, T, Q_f, C).

        A shift is padding in front: so the first and the last window are never one, whatever the length.
        """
        batch, frames, queries, _ = frame_queries.shape
        window = self.window_size
        front = (window + 1) // 2 if is_shifted else 0
        back = -(front + frames) % window
        padded = F.pad(frame_queries, (0, 0, 0, 0, front, back))  # (B, N·W, Q_f, C), N windows of W frames
        windows = padded.reshape(batch, -1, window, queries, padded.shape[-1]).flatten(2, 3).flatten(0, 1)
        is_padding = torch.ones(padded.shape[1], dtype=torch.bool, device=padded.device)
        is_padding[front : front + frames] = False
        is_padding = is_padding.reshape(-1, window, 1).expand(-1, -1, queries).flatten(1).repeat(batch, 1)
        encoded = _encoded(layer, windows, attend=~is_padding[:, None, None])  # (B·N, W·Q_f, C)
        encoded = encoded.reshape(batch, -1, queries, encoded.shape[-1])
        return encoded[:, front : front + frames]


def _encoded(layer: nn.TransformerEncoderLayer, tokens: Tensor, *, attend: Tensor | None = None) -> Tensor:
    """Compute what ``layer`` does: attention and feed-forward, normalised after each; (F, N, C) to the same."""
    attended = multihead_attention(layer.self_attn, tokens, tokens, tokens, attend=attend)
    tokens = layer.norm1(tokens + attended)
    encoded: Tensor = layer.norm2(tokens + feedforward(layer.linear1, F.relu, layer.linear2, tokens))
    return encoded
