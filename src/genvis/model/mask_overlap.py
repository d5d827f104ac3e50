"""Overlap of masks: their IoU, and which of them are one object."""

import torch
from torch import Tensor


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the (D, M) IoU of masks (D, h, w) and (M, h, w) bool; 0 where both are empty."""
    left, right = first.flatten(1).float(), second.flatten(1).float()
    shared = left @ right.mT
    union = left.sum(dim=1)[:, None] + right.sum(dim=1) - shared
    return shared / union.clamp(min=1.0)


def suppress_overlaps(masks: Tensor, *, iou: float) -> Tensor:
    """Return (D,) bool: which masks remain if each removes the later ones that overlap it (greedy NMS).

    Args:
        masks: (D, h, w) bool, best first.
        iou: From this IoU on, two masks are one object.
    """
    overlaps = (mask_iou(masks, masks) >= iou).triu(diagonal=1)  # (D, D), row before column
    kept = torch.ones(len(masks), dtype=torch.bool, device=masks.device)
    # Every round settles at least the first mask that the rounds before had not settled: the end is the greedy choice.
    while True:
        remaining = ~(overlaps & kept[:, None]).any(dim=0)
        if torch.equal(remaining, kept):
            return kept
        kept = remaining
