"""The losses, as sums to be divided by a normaliser that is common to all processes."""

import torch
from torch import Tensor
from torch.nn import functional as F


def classification_loss(class_logits: Tensor, targets: Tensor, *, no_object: float) -> tuple[Tensor, Tensor]:
    """Return the weighted cross-entropy, as its sum and the sum of its weights.

    Args:
        class_logits: (..., Q, K + 1), the last class is "no object".
        targets: (..., Q) int64 classes.
        no_object: Weight of the last class; the others weigh 1.

    Returns:
        Two scalars; the loss is the first over the second.
    """
    classes = class_logits.shape[-1]
    weight = torch.ones(classes, device=class_logits.device)
    weight[-1] = no_object
    flat = targets.flatten()
    total = F.cross_entropy(class_logits.reshape(-1, classes).float(), flat, weight, reduction="sum")
    return total, weight[flat].sum()


def mask_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy (mean over points) and the dice loss, summed over objects.

    Args:
        logits: (M, P) of M predictions at P points; the points of all frames of a clip belong together.
        targets: (M, P) between 0 and 1.

    Returns:
        Two scalars.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none").mean(1)
    masks = logits.float().sigmoid()
    overlap = 2.0 * (masks * targets).sum(1) + 1.0
    dice = 1.0 - overlap / (masks.sum(1) + targets.sum(1) + 1.0)
    return cross_entropy.sum(), dice.sum()


def similarity_loss(embeddings: Tensor, objects: Tensor) -> Tensor:
    """Return the summed binary cross-entropy that pulls embeddings of one object together and others apart.

    Args:
        embeddings: (M, C) of the matched frame queries and of the matched instance queries of one video in one clip.
        objects: (M,) int64, the object that each holds.

    Returns:
        A scalar, the sum over the M·M pairs of the video: of frame queries among each other, of instance queries
        among each other, and between the two.
    """
    products = embeddings.float() @ embeddings.float().T
    same = objects[:, None] == objects[None, :]
    return F.binary_cross_entropy_with_logits(products, same.float(), reduction="sum")
