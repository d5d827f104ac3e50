"""The baselines' association: queries of consecutive frames or clips, matched by the Hungarian algorithm (MinVIS)."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def match_queries(previous: Tensor, current: Tensor) -> Tensor:
    """Find for each previous query the current one that most likely is the same object.

    Args:
        previous: (Q, C), in the order of the identities.
        current: (Q, C), in any order.

    Returns:
        (Q,) int64: ``current[order]`` is in the order of the identities; the total cosine similarity is greatest.
    """
    similarity = torch.nn.functional.normalize(previous, dim=-1) @ torch.nn.functional.normalize(current, dim=-1).mT
    _, order = linear_sum_assignment(similarity.float().cpu().numpy(), maximize=True)
    return torch.from_numpy(order).to(current.device)
