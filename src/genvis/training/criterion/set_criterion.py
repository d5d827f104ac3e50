"""Matching costs and losses of a set of predictions: one code for the detector's frames and the tracker's clips.

A detector's frame is a clip of one frame; its decoder layers are supervised like object-decoder layers. Symbols: S
supervised decoder layers, L detector layers that feed the tracker (1 for the detector itself), B videos or frames.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.model.outputs import LayerPrediction
from genvis.training.criterion.assignment import UNASSIGNED, Indices, match
from genvis.training.criterion.full_precision import full_precision
from genvis.training.criterion.losses import classification_loss, mask_losses
from genvis.training.criterion.matching_cost import matching_cost
from genvis.training.criterion.points import PointSource, sample_at_points
from genvis.training.criterion.targets import ObjectTargets
from genvis.training.process_group import shared_normalizers
from genvis.training.recipe.loss_options import LossWeights

_LOGITS_AT_ONCE = 2**22
"""Of masks at points: they need not be in memory all at once, and on a CPU fresh memory takes longer than products."""


class SetPrediction(NamedTuple):
    """Predicted instances of B videos (or frames) in one clip.

    Attributes:
        class_logits: (S, L, B, Q, K + 1).
        mask_embeddings: (S, L, B, Q, C_m), or C channels if they hold the projection of the maps.
        mask_features: (B, T, C_m, h, w), or C channels before the projection; masks are the product of the two.
        mask_bias: (S, L, B, Q), added to every pixel of a query's masks, or None.
    """

    class_logits: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    mask_bias: Tensor | None = None

    @property
    def biases(self) -> Tensor:
        """(S, L, B, Q), zero if there are none."""
        return (
            self.mask_embeddings.new_zeros(self.mask_embeddings.shape[:-1])
            if self.mask_bias is None
            else self.mask_bias
        )


def frame_set(prediction: LayerPrediction) -> SetPrediction:
    """Return the detector's prediction of F frames as a set prediction of F one-frame videos."""
    return SetPrediction(
        prediction.class_logits.unsqueeze(1),
        prediction.mask_embeddings.unsqueeze(1),
        prediction.mask_features.unsqueeze(1),
    )


class SetLosses(NamedTuple):
    """Weighted losses, (S,) each: one value for every supervised decoder layer."""

    classification: Tensor
    mask: Tensor
    dice: Tensor

    def total(self) -> Tensor:
        """Return the sum over losses and layers."""
        return self.classification.sum() + self.mask.sum() + self.dice.sum()


@torch.no_grad()
def video_costs(
    prediction: SetPrediction, video: int, targets: ObjectTargets, *, points: PointSource, weights: LossWeights
) -> NDArray[np.float32]:
    """Return the matching costs (S·L, Q, N) of one video of the batch, zero for objects out of sight.

    The mask features are read at the shared points before they are multiplied with the embeddings: reading is linear,
    so the costs are those of full masks, at the price of the points alone.
    """
    features = prediction.mask_features[video].float()
    with full_precision(features):
        cost = _costs(prediction, video, features, targets, points=points, weights=weights)
    full = np.zeros((*cost.shape[:2], len(targets.visible)), dtype=np.float32)
    full[..., targets.visible] = cost.cpu().numpy()
    return full


def _costs(
    prediction: SetPrediction,
    video: int,
    features: Tensor,
    targets: ObjectTargets,
    *,
    points: PointSource,
    weights: LossWeights,
) -> Tensor:
    """Return the costs (S·L, Q, N) of the N visible objects.

    Args:
        prediction: Of all videos.
        video: The one in question.
        features: Its maps (T, C_m, h, w), float32.
        targets: Its objects.
        points: Chooses the shared points of the masks.
        weights: Of the parts of the cost.
    """
    seen = torch.from_numpy(np.flatnonzero(targets.visible)).to(features.device)
    where = points.shared(features.device).unsqueeze(0)
    at_points = _at_shared_points(features, where).transpose(0, 1).flatten(1)
    wanted = _at_shared_points(targets.masks[seen].float().flatten(0, 1).unsqueeze(1), where)
    wanted = wanted.reshape(len(seen), at_points.shape[1])
    # Beyond the outermost pixel centres masks fade to zero, and so does their bias.
    inside = sample_at_points(torch.ones_like(features[:1, :1]), where).flatten().repeat(len(features))
    parts = (prediction.class_logits, prediction.mask_embeddings, prediction.biases)
    rows = max(1, _LOGITS_AT_ONCE // at_points.shape[1])
    costs = []
    for classes, embeddings, bias in zip(*(part[:, :, video].flatten(0, 2).split(rows) for part in parts), strict=True):
        logits = torch.addcmul(embeddings.float() @ at_points, bias.float().unsqueeze(-1), inside)
        costs.append(matching_cost(classes, logits, labels=targets.labels[seen], targets=wanted, weights=weights))
    return torch.cat(costs).unflatten(0, (-1, prediction.class_logits.shape[3]))


def _at_shared_points(maps: Tensor, where: Tensor) -> Tensor:
    """Read all maps (M, C, H, W) at the same points (1, P, 2)."""
    return sample_at_points(maps, where.expand(len(maps), -1, -1))


def match_frames(
    prediction: SetPrediction, targets: Sequence[ObjectTargets], *, points: PointSource, weights: LossWeights
) -> list[Indices]:
    """Match every frame by itself, as the detector is trained.

    Args:
        prediction: Of B frames.
        targets: Of the same B frames.
        points: Chooses the shared points of the masks.
        weights: Of the parts of the cost.

    Returns:
        For every frame (S·L, N): the query of each visible object, -1 for the others.
    """
    layers = prediction.class_logits.shape[0] * prediction.class_logits.shape[1]
    result = []
    for index, target in enumerate(targets):
        assigned = np.full((layers, len(target.visible)), UNASSIGNED, dtype=np.int64)
        seen = np.flatnonzero(target.visible)
        if seen.size:
            costs = video_costs(prediction, index, target, points=points, weights=weights)
            for layer, cost in enumerate(costs[..., seen]):
                queries, objects = match(cost)
                assigned[layer, seen[objects]] = queries
        result.append(assigned)
    return result


def set_losses(
    prediction: SetPrediction,
    targets: Sequence[ObjectTargets],
    assigned: Sequence[Indices],
    *,
    points: PointSource,
    weights: LossWeights,
) -> SetLosses:
    """Return the weighted losses of a batch.

    Args:
        prediction: Of B videos.
        targets: Of the same videos in the frames of this clip.
        assigned: For every video (S·L, N), the query of each object or -1. Objects out of sight are not learned:
            their query's class target is "no object".
        points: Chooses where masks are compared.
        weights: Of the losses.

    Returns:
        Losses that are divided by the joint counts of all processes.
    """
    S, L, B, Q, _ = prediction.class_logits.shape
    T, device = prediction.mask_features.shape[1], prediction.class_logits.device
    video = np.concatenate([np.full(int(t.visible.sum()), b) for b, t in enumerate(targets)]).astype(np.int64)
    queries = np.concatenate([a[:, t.visible] for a, t in zip(assigned, targets, strict=True)], axis=1)
    videos = torch.from_numpy(video).to(device)
    held = torch.from_numpy(queries.reshape(S, L, -1)).to(device)
    labels = torch.cat([t.labels[torch.from_numpy(t.visible).to(t.labels.device)] for t in targets])

    layer, detector_layer, thing = (held != UNASSIGNED).nonzero(as_tuple=True)
    query = held[layer, detector_layer, thing]
    classes = torch.full((S, L, B, Q), prediction.class_logits.shape[-1] - 1, device=device)
    classes[layer, detector_layer, videos[thing], query] = labels[thing]
    sums, class_counts = zip(
        *(
            classification_loss(logits, wanted, no_object=weights.no_object)
            for logits, wanted in zip(prediction.class_logits, classes, strict=True)
        ),
        strict=True,
    )
    counts = torch.stack([*class_counts, torch.tensor(float(len(videos)), device=device)])
    least = torch.full_like(counts, 1e-6)
    least[-1] = 1.0
    normalizers = shared_normalizers(counts, minimum=least)

    with full_precision(prediction.mask_features):
        mask, dice = _mask_sums(prediction, targets, held=held, videos=videos, frames=T, points=points)
    objects = normalizers[-1] * L
    return SetLosses(
        classification=weights.classification * torch.stack(sums) / normalizers[:-1],
        mask=weights.mask * mask / objects,
        dice=weights.dice * dice / objects,
    )


def _mask_sums(
    prediction: SetPrediction,
    targets: Sequence[ObjectTargets],
    *,
    held: Tensor,
    videos: Tensor,
    frames: int,
    points: PointSource,
) -> tuple[Tensor, Tensor]:
    """Return the two mask losses, (S,) each, summed over detector layers and objects.

    Args:
        prediction: Of B videos.
        targets: Of the same videos.
        held: (S, L, M) the query of each visible object of the batch, or -1.
        videos: (M,) the video of each visible object, ascending.
        frames: T, frames of the clip.
        points: Chooses where masks are compared.
    """
    S, L, M = held.shape
    if M == 0:
        # Several processes wait for the gradient of every weight.
        parts = (prediction.mask_embeddings, prediction.mask_features, prediction.biases)
        nothing = torch.stack([part.float().sum() for part in parts]).sum() * 0.0
        return nothing.expand(S), nothing.expand(S)
    grid_s, grid_l = torch.meshgrid(torch.arange(S), torch.arange(L), indexing="ij")
    chosen = (grid_s.to(held.device).unsqueeze(-1), grid_l.to(held.device).unsqueeze(-1), videos, held.clamp(min=0))
    embeddings = prediction.mask_embeddings.float()[chosen]
    bias = prediction.biases.float()[chosen]
    counts = [int(t.visible.sum()) for t in targets]
    maps = [
        _masks(embedding, offset, features.float())
        for embedding, offset, features in zip(
            embeddings.split(counts, dim=2), bias.split(counts, dim=2), prediction.mask_features, strict=True
        )
        if embedding.shape[2]
    ]
    flat = torch.cat(maps, dim=2).flatten(0, 3)
    where = points.uncertain(flat.detach())
    logits = sample_at_points(flat.unsqueeze(1), where).view(S, L * M, -1)
    truth = torch.cat([t.masks[torch.from_numpy(t.visible).to(t.masks.device)] for t in targets]).float()
    P = where.shape[1]
    # The layers look at one and the same mask, so that their points are read together.
    by_mask = where.view(S * L, M * frames, P, 2).transpose(0, 1).reshape(M * frames, S * L * P, 2)
    wanted = sample_at_points(truth.flatten(0, 1).unsqueeze(1), by_mask)
    wanted = wanted.view(M * frames, S * L, P).transpose(0, 1).reshape(S, L * M, -1)
    learned = (held != UNASSIGNED).reshape(S, L * M)
    sums = [mask_losses(logits[s][learned[s]], wanted[s][learned[s]]) for s in range(S)]
    return torch.stack([mask for mask, _ in sums]), torch.stack([dice for _, dice in sums])


def _masks(embeddings: Tensor, bias: Tensor, features: Tensor) -> Tensor:
    """Return the mask logits (S, L, M, T, h, w) of embeddings (S, L, M, C) with biases (S, L, M).

    Args:
        embeddings: Of M instances.
        bias: Of the same.
        features: (T, C, h, w).
    """
    T, _, h, w = features.shape
    rows = embeddings.flatten(0, 2)
    # Frame by frame, so that the maps are read where they lie.
    maps = torch.baddbmm(bias.reshape(1, -1, 1), rows.expand(T, -1, -1), features.flatten(2))
    return maps.transpose(0, 1).reshape(*embeddings.shape[:3], T, h, w)
