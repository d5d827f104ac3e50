"""The losses, as sums to be divided by a normaliser that is common to all processes."""

import torch
from torch import Tensor
from torch.nn import functional as F


def full_precision(tensor: Tensor) -> torch.autocast:
    """Return a context in which products on the tensor's device are not rounded to half precision.

    Costs and losses need it, whatever the network is trained in: sums over the 12,544 points of a clip's frames are
    beyond what float16 can hold.

    Args:
        tensor: Any one of those that are computed with.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def classification_loss(class_logits: Tensor, classes: Tensor, *, no_object: float) -> tuple[Tensor, Tensor]:
    """Return the weighted cross-entropy, as its sum and the sum of its weights.

    Args:
        class_logits: (S, ..., K + 1), the last class is "no object".
        classes: (S, ...) int64.
        no_object: Weight of the last class; the others weigh 1.

    Returns:
        Two tensors (S,); the loss is the first over the second.
    """
    weight = torch.ones(class_logits.shape[-1], device=class_logits.device)
    weight[-1] = no_object
    # PyTorch wants the classes second: (S, K + 1, ...).
    each = F.cross_entropy(class_logits.movedim(-1, 1).float(), classes, weight, reduction="none")
    return each.flatten(1).sum(1), weight[classes].flatten(1).sum(1)


def mask_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy (mean over points) and the dice loss of every mask.

    Args:
        logits: (..., P) of predictions at P points; the points of all frames of a clip belong together.
        targets: (..., P) between 0 and 1.

    Returns:
        Two tensors (...,).
    """
    logits, targets = logits.float(), targets.float()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
    masks = logits.sigmoid()
    overlap = 2.0 * (masks * targets).sum(-1) + 1.0
    return cross_entropy, 1.0 - overlap / (masks.sum(-1) + targets.sum(-1) + 1.0)


def similarity_loss(embeddings: Tensor, objects: Tensor) -> Tensor:
    """Return the summed binary cross-entropy that pulls embeddings of one object together and others apart.

    Args:
        embeddings: (G, E, C) of the matched frame queries and instance queries of G videos in one clip.
        objects: (G, E) int64, the object that each holds; -1 fills the rows of videos with fewer embeddings.

    Returns:
        A scalar, the sum over all pairs within each video: of frame queries among each other, of instance queries
        among each other, and between the two.
    """
    products = embeddings.float() @ embeddings.float().mT
    same = (objects[:, :, None] == objects[:, None, :]).float()
    filled = objects >= 0
    pairs = (filled[:, :, None] & filled[:, None, :]).float()
    return F.binary_cross_entropy_with_logits(products, same, pairs, reduction="sum")


def identity_loss(
    embeddings: Tensor, objects: Tensor, moments: Tensor, *, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Return the contrastive loss that tells objects apart: InfoNCE over all objects of the batch, of cosines.

    For every pair of embeddings of one object at two moments, the other one is to be found among the embeddings of all
    other objects, those of the same moment too: these surely are others, however alike they look.

    Args:
        embeddings: (E, C) of detected objects.
        objects: (E,) int64, the object that each holds.
        moments: (E,) int64, the frame or clip that each is from.
        temperature: By which cosines are divided: they lie close together, and a tenth makes a distribution of them.

    Returns:
        Two scalars, the sum over the pairs and their number; the loss is the first over the second.
    """
    directions = F.normalize(embeddings.float(), dim=-1)
    cosines = directions @ directions.mT / temperature  # (E, E)
    same = objects[:, None] == objects[None, :]
    pairs = same & (moments[:, None] != moments[None, :])
    others = cosines.masked_fill(same, -torch.inf).logsumexp(1, keepdim=True)  # (E, 1)
    losses = F.softplus(others - cosines)  # (E, E): -log of the share of the pair
    return losses[pairs].sum(), pairs.sum()
