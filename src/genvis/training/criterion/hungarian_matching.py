"""Matching of predictions and objects: the pair-wise cost L_match (paper, Eq. 2; VITA, Mask2Former) and the optimum."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from genvis.errors import TrainingDiverged
from genvis.training.criterion.targets import Indices
from genvis.training.recipe.loss_options import LossWeights

UNASSIGNED = -1
"""Stands for "no query" where the query of an object is named."""

Costs = NDArray[np.float32] | NDArray[np.float64]


def match(cost: Costs) -> tuple[Indices, Indices]:
    """Match queries to objects one to one at the least total cost (Hungarian algorithm).

    Args:
        cost: (Q, N) cost of each query for each object.

    Returns:
        Queries and objects of the min(Q, N) pairs. With more objects than queries the worst objects are left out.

    Raises:
        TrainingDiverged: If a cost is not finite.
    """
    if not np.isfinite(cost).all():
        raise TrainingDiverged("The matching cost is not finite: training diverged; lower optimizer.learning_rate.")
    queries, objects = linear_sum_assignment(cost)
    return queries.astype(np.int64), objects.astype(np.int64)


def pair_costs(
    class_scores: Tensor, mask_logits: Tensor, *, labels: Tensor, targets: Tensor, weights: LossWeights
) -> Tensor:
    """Return the cost of every prediction for every object, of one video or of several with equally many objects.

    Args:
        class_scores: (..., R, K), 0..1; not read if their weight is 0.
        mask_logits: (..., R, P), at the same points as the targets. P runs over the points of all frames of the clip.
        labels: (..., N) int64, classes of the objects.
        targets: (..., N, P), between 0 and 1: the masks of the objects at the points.
        weights: Of class (cost: minus the score), binary cross-entropy (mean over P) and dice.

    Returns:
        (..., R, N) float32.
    """
    targets = targets.float()
    R, P = mask_logits.shape[-2:]
    # On a CPU as many rows are computed together as its cache holds, which is four times faster.
    rows = max(1, 2**19 * R // mask_logits.numel()) if mask_logits.device.type == "cpu" else R
    sums = []
    for block in mask_logits.split(rows, dim=-2):
        logits = block.float()  # (..., r, P)
        masks = logits.sigmoid()
        # BCE = softplus(x) - x·t, so that one product with the targets serves all pairs; and by what PyTorch is fast
        # at, softplus(x) = max(x, 0) - log sigmoid |x|.
        softplus = logits.clamp(min=0).sum(-1) - logits.abs().sigmoid_().log_().sum(-1)  # (..., r)
        sums.append((softplus.unsqueeze(-1) - logits @ targets.mT, masks @ targets.mT, masks.sum(-1)))
    entropies, overlaps, areas_of_rows = zip(*sums, strict=True)
    cross_entropy, overlap = torch.cat(entropies, dim=-2), torch.cat(overlaps, dim=-2)  # (..., R, N)
    areas = torch.cat(areas_of_rows, dim=-1)  # (..., R)
    dice = 1.0 - (2.0 * overlap + 1.0) / (areas.unsqueeze(-1) + targets.sum(-1).unsqueeze(-2) + 1.0)
    cost = weights.mask * cross_entropy / P + weights.dice * dice
    if not weights.classification:  # The scores may be of other classes.
        return cost
    chosen = labels.unsqueeze(-2).expand(cost.shape)
    return cost - weights.classification * class_scores.float().gather(-1, chosen)
