"""How badly a prediction fits an object: the pair-wise matching cost L_match (paper, Eq. 2; VITA and Mask2Former)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from genvis.training.loss_options import LossWeights


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
