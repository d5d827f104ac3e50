"""Prediction heads of the tracker: class and mask embedding of each instance query."""

from torch import Tensor, nn
from torchvision.ops import MLP

from genvis.model.detector.optimized.linear import apply_linear


class PredictionHeads(nn.Module):
    """Class and mask embedding of a query, read from its LayerNorm.

    Args:
        hidden_dim: C.
        mask_feature_size: C_m.
        num_classes: K; one more logit, the last, is "no object".
    """

    def __init__(self, *, hidden_dim: int, mask_feature_size: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_dim)
        self.class_predictor = nn.Linear(hidden_dim, num_classes + 1)
        self.mask_embedder = MLP(hidden_dim, [hidden_dim, hidden_dim, mask_feature_size])

    def forward(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Predict: (..., C) to class logits (..., K + 1) and mask embeddings (..., C_m)."""
        normalised = self.norm(queries)  # (..., C)
        embeddings = normalised
        for layer in self.mask_embedder:
            embeddings = apply_linear(layer, embeddings)
        return apply_linear(self.class_predictor, normalised), embeddings
