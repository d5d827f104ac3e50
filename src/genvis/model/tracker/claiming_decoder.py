"""An object decoder whose queries compete for detections, and compare places beside looks. Not from the paper."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genvis.model.detector.optimized.linear import apply_linear, feedforward, linear
from genvis.model.detector.optimized.query_attention import multihead_attention
from genvis.model.tracker.object_decoder import ObjectDecoder, ObjectDecoderLayer

# Of new layers: the weight of the product of two places beside that of queries and keys.
PLACE_WEIGHT = 6.0
# Of new layers: the logarithm of the share of a detection that a query must have for half of what it reads.
NOTHING = -3.0


class ClaimingDecoderLayer(ObjectDecoderLayer):
    """A layer in which each detection is divided among the queries, instead of each query among the detections.

    As in Slot Attention (Locatello et al., 2020), the softmax is over the queries, and its weights are then divided by
    their sum over the detections. What is compared is the place where a query's object was, beside how it looks. In
    that sum is a learned weight of nothing, too: a query to which the others leave no detection reads nothing.
    """

    def __init__(self, *, hidden_dim: int, num_heads: int, dim_feedforward: int) -> None:
        super().__init__(hidden_dim=hidden_dim, num_heads=num_heads, dim_feedforward=dim_feedforward)
        self.place_weight = nn.Parameter(torch.full((num_heads,), PLACE_WEIGHT))
        self.nothing = nn.Parameter(torch.full((num_heads,), NOTHING))

    def claim(
        self,
        queries: Tensor,
        query_position: Tensor,
        tokens: Tensor,
        token_position: Tensor | None,
        *,
        places: Tensor,
        token_places: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Update the queries.

        Args:
            queries: As in `ObjectDecoderLayer.forward`, as are the next three.
            query_position: (Q, C).
            tokens: (B, S, C).
            token_position: (S, C), or None.
            places: (B, Q, P), where the queries' objects were; 0 where that is not known.
            token_places: (B, S, P), where the detections are.

        Returns:
            (B, Q, C); and (B, Q, S), the mean over the heads of what each query reads of each detection, at most 1 in
            all: the rest is nothing.
        """
        attention = self.cross_attention
        keys = tokens if token_position is None else tokens + token_position
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        query, key, value = (
            linear(x, weight, bias).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((queries + query_position, keys, tokens), weights, biases, strict=True)
        )  # (B, H, Q, C/H), (B, H, S, C/H), (B, H, S, C/H)
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (B, H, Q, S)
        logits = logits + self.place_weight[:, None, None] * (places @ token_places.transpose(-1, -2))[:, None]
        claims = logits.log_softmax(dim=-2)  # (B, H, Q, S)
        nothing = self.nothing[:, None, None].expand(*claims.shape[:3], 1)  # (B, H, Q, 1)
        shares = torch.cat([claims, nothing], dim=-1).softmax(dim=-1)[..., :-1]  # (B, H, Q, S)
        attended = apply_linear(attention.out_proj, (shares @ value).transpose(1, 2).flatten(2))  # (B, Q, C)
        queries = self.cross_attention_norm(queries + attended)
        keys = queries + query_position
        attended = multihead_attention(self.self_attention, keys, keys, queries)
        queries = self.self_attention_norm(queries + attended)
        queries = self.feedforward_norm(queries + feedforward(self.linear1, F.relu, self.linear2, queries))
        return queries, shares.mean(dim=1)


class ClaimingDecoder(ObjectDecoder):
    """Turn instance queries into instance prototypes as `ObjectDecoder` does, by layers of claims."""

    layer_type = ClaimingDecoderLayer

    def claim(
        self, instance_queries: Tensor, encoded_frame_queries: Tensor, *, places: Tensor, token_places: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Decode a clip.

        Args:
            instance_queries: (B, Q, C).
            encoded_frame_queries: (B, T, Q_f, C), output of the object encoder.
            places: (B, Q, P), where the queries' objects were.
            token_places: (B, T, Q_f, P), where the detections are.

        Returns:
            The raw output of each layer, (B, Q, C) each, and where the queries' objects are now, (B, Q, P).
        """
        tokens, token_places = encoded_frame_queries.flatten(1, 2), token_places.flatten(1, 2)  # (B, S, C), (B, S, P)
        token_position = self.positions_of_tokens(encoded_frame_queries.shape[1])
        outputs = []
        for layer in self.layers:
            instance_queries, shares = cast(ClaimingDecoderLayer, layer).claim(
                instance_queries,
                self.query_position.weight,
                tokens,
                token_position,
                places=places,
                token_places=token_places,
            )
            outputs.append(instance_queries)
        return outputs, shares @ token_places
