"""Overlap of masks: their IoU, which of them are one object, and what a detector sees under them."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.model.outputs import DetectorOutput, FramePrediction

# Of queries with a lower class score most have no object of their own.
LIKELY = 0.1
# So many detections of a frame are looked at, the best first: a number that no device has to be asked for.
MOST = 50
# From this IoU on, a detection is what the track's mask shows.
SAME_OBJECT = 0.5


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


def looks_under_masks(mask_logits: Tensor, detected: DetectorOutput, predicted: FramePrediction) -> Tensor:
    """Return what the detector sees where the tracks are.

    An instance query knows the slot that it is in better than the object that it holds; a frame query knows nothing of
    slots, and so looks alike wherever its object is tracked.

    Args:
        mask_logits: (T, N, h, w), masks of the tracks.
        detected: Of the detector for these T frames.
        predicted: The detector's own classes and masks of them.

    Returns:
        (N, C_det): the mean of the unit-length frame queries of the detection that overlaps each mask most, over the
        frames in which one does; 0 where none does.
    """
    count = min(MOST, detected.frame_queries.shape[2])
    looks, frames = [], []
    for frame, masks in enumerate(mask_logits):
        scores, best = predicted.class_scores[frame].amax(dim=1).topk(count)  # (D,), (D,)
        queries = normalize(detected.frame_queries[-1, frame, best].float(), dim=1)  # (D, C_det)
        overlap = mask_iou(masks > 0, predicted.mask_logits(frame, best) > 0) * (scores >= LIKELY)  # (N, D)
        overlap, under = overlap.max(dim=1)  # (N,)
        is_found = (overlap >= SAME_OBJECT)[:, None]
        looks.append(queries[under] * is_found)
        frames.append(is_found)
    return torch.stack(looks).sum(dim=0) / torch.stack(frames).sum(dim=0).clamp(min=1)
