"""How badly a prediction fits an object: the pair-wise matching cost L_match (paper, Eq. 2; VITA and Mask2Former)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class LossWeights:
    """What each part weighs, in the matching and in the losses.

    Attributes:
        classification: Of the class probability (matching) and of the cross-entropy (loss).
        mask: Of the binary cross-entropy on points.
        dice: Of the dice loss on points.
        similarity: Of the loss between frame and instance embeddings.
        no_object: Of the class "no object" inside the cross-entropy.
    """

    classification: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    similarity: float = 0.5
    no_object: float = 0.1


@torch.no_grad()
def matching_cost(
    class_logits: Tensor, mask_logits: Tensor, *, labels: Tensor, targets: Tensor, weights: LossWeights
) -> Tensor:
    """Return the cost of every prediction for every object.

    Args:
        class_logits: (..., Q, K + 1).
        mask_logits: (..., Q, P), at the same points as the targets. P runs over the points of all frames of the clip.
        labels: (N,) int64, classes of the objects.
        targets: (N, P), between 0 and 1: the masks of the objects at the points.
        weights: Of class (cost: minus the probability), binary cross-entropy (mean over P) and dice.

    Returns:
        (..., Q, N) float32.
    """
    probabilities = class_logits.float().softmax(dim=-1)[..., labels]
    logits, targets = mask_logits.float(), targets.float()
    # BCE = softplus(x) - x·t, so that one product with the targets serves all pairs.
    cross_entropy = (F.softplus(logits).sum(-1, keepdim=True) - logits @ targets.T) / logits.shape[-1]
    masks = logits.sigmoid()
    dice = 1.0 - (2.0 * (masks @ targets.T) + 1.0) / (masks.sum(-1, keepdim=True) + targets.sum(-1) + 1.0)
    return -weights.classification * probabilities + weights.mask * cross_entropy + weights.dice * dice
