"""Places: where the masks of frame queries are, on a coarse grid, so that queries can compare them as they do looks."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.functional import normalize

from genvis.model.config import PLACE_GRID
from genvis.model.outputs import FramePrediction


@torch.no_grad()
def places_of(prediction: FramePrediction) -> Tensor:
    """Return where the masks of frame queries are: (F, Q_f, P), without a gradient.

    A place is the mean probability of the mask in each cell of a grid over the frame, of unit length: the product of
    two is near 1 where masks lie on one another, and near 0 where they are apart.

    Args:
        prediction: Of a detector for F frames.
    """
    places = [
        F.adaptive_avg_pool2d(prediction.mask_logits(frame).sigmoid()[None], PLACE_GRID)[0].flatten(1)
        for frame in range(len(prediction.class_scores))
    ]  # (Q_f, P) each
    return normalize(torch.stack(places), dim=-1).to(prediction.mask_embeddings.dtype)
