"""What tracks look like to the detector: the frame queries of the detections that are under their masks."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.model.mask_overlap import mask_iou
from genvis.model.outputs import DetectorOutput, FramePrediction

# Of queries with a lower class score most have no object of their own.
LIKELY = 0.1
# So many detections of a frame are looked at, the best first: a number that no device has to be asked for.
MOST = 50
# From this IoU on, a detection is what the track's mask shows.
SAME_OBJECT = 0.5


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
