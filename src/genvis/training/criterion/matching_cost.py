"""How badly a prediction fits an object: the pair-wise matching cost L_match (paper, Eq. 2; VITA and Mask2Former)."""

import torch
from torch import Tensor

from genvis.training.recipe.loss_options import LossWeights


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
    targets = targets.float()
    Q, P = mask_logits.shape[-2:]
    sums = [
        _pair_sums(block.float(), targets) for block in mask_logits.reshape(-1, P).split(_rows_at_once(mask_logits))
    ]
    cross_entropy, overlap, areas = (torch.cat(parts).unflatten(0, (-1, Q)) for parts in zip(*sums, strict=True))
    dice = 1.0 - (2.0 * overlap + 1.0) / (areas.unsqueeze(-1) + targets.sum(-1) + 1.0)
    masks = weights.mask * cross_entropy / P + weights.dice * dice
    return masks.view_as(probabilities) - weights.classification * probabilities


def _pair_sums(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the summed binary cross-entropies (R, N), the overlaps (R, N) and the areas (R,) of R masks.

    Args:
        logits: (R, P).
        targets: (N, P).
    """
    masks = logits.sigmoid()
    # BCE = softplus(x) - x·t, so that one product with the targets serves all pairs; and by what PyTorch is fast at,
    # softplus(x) = max(x, 0) - log sigmoid |x|.
    softplus = logits.clamp(min=0).sum(-1) - logits.abs().sigmoid_().log_().sum(-1)
    return softplus.unsqueeze(-1) - logits @ targets.T, masks @ targets.T, masks.sum(-1)


def _rows_at_once(logits: Tensor) -> int:
    """Return how many rows are computed together: on a CPU as many as its cache holds, which is four times faster."""
    return max(1, 2**19 // logits.shape[-1]) if logits.device.type == "cpu" else logits[..., 0].numel()
