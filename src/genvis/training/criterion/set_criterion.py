"""Matching costs and losses of a set of predictions: one code for the detector's frames and the tracker's clips.

A detector's frame is a clip of one frame; its decoder layers are supervised like object-decoder layers. Symbols: S
supervised decoder layers, L detector layers that feed the tracker (1 for the detector itself), B videos or frames,
N objects of all of them, M of these visible in the clip.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.model.outputs import FramePrediction, LayerPrediction
from genvis.training.criterion.hungarian_matching import UNASSIGNED, match, pair_costs
from genvis.training.criterion.losses import classification_loss, full_precision, mask_losses
from genvis.training.criterion.points import point_source, sample_at_points
from genvis.training.criterion.targets import Indices, ObjectTargets
from genvis.training.process_group import shared_normalizers
from genvis.training.recipe.loss_options import LossOptions

_LOGITS_AT_ONCE = 2**22
"""Of masks at points: they need not be in memory all at once, and on a CPU fresh memory takes longer than products."""


class SetPrediction(NamedTuple):
    """Predicted instances of B videos (or frames) in one clip.

    Attributes:
        class_scores: (S, L, B, Q, K), 0..1; "no object" is left out.
        mask_embeddings: (S, L, B, Q, C).
        mask_features: (B, T, C, h, w); masks are the product of the two.
        mask_bias: (S, L, B, Q), added to every pixel of a query's masks.
    """

    class_scores: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    mask_bias: Tensor


def layer_set(prediction: LayerPrediction) -> SetPrediction:
    """Return what a Mask2Former's S decoder layers predict for F frames, as one-frame videos."""
    embeddings = prediction.mask_embeddings.unsqueeze(1)  # (S, 1, F, Q_f, C_m)
    return SetPrediction(
        prediction.class_logits.unsqueeze(1).detach().float().softmax(-1)[..., :-1],
        embeddings,
        prediction.mask_features.unsqueeze(1),
        embeddings.new_zeros(embeddings.shape[:-1]),
    )


def frame_set(layers: Sequence[FramePrediction]) -> SetPrediction:
    """Return what the L layers of any detector predict for F frames, as one-frame videos."""
    embeddings = torch.stack([layer.mask_embeddings for layer in layers])  # (L, F, Q_f, C_m)
    nothing = embeddings.new_zeros(embeddings.shape[1:-1])  # (F, Q_f)
    bias = [nothing if layer.mask_bias is None else layer.mask_bias for layer in layers]
    return SetPrediction(
        torch.stack([layer.class_scores for layer in layers]).unsqueeze(0),
        embeddings.unsqueeze(0),
        layers[-1].mask_features.unsqueeze(1),
        torch.stack(bias).unsqueeze(0),
    )


class SetLosses(NamedTuple):
    """Weighted losses, (S,) each: one value for every supervised decoder layer."""

    classification: Tensor
    mask: Tensor
    dice: Tensor

    def by_layer(self) -> dict[str, Tensor]:
        """Name the losses ``mask_0``, ``mask_1``, ..., and those of the last layer just ``mask``."""
        last = len(self.mask) - 1
        return {
            name if layer == last else f"{name}_{layer}": value
            for name, values in self._asdict().items()
            for layer, value in enumerate(values)
        }


class SetCriterion:
    """Costs, matching and losses of sets of predictions.

    Args:
        options: Weights of the parts, and the points at which masks are compared.
        matches_classes: Whether class scores count in the matching; not those of a head that was never trained.
    """

    def __init__(self, options: LossOptions, *, matches_classes: bool = True) -> None:
        self.options = options
        self._points = point_source(options)
        self._weights = options.weights
        self._matching = self._weights if matches_classes else replace(self._weights, classification=0.0)

    @torch.no_grad()
    def costs(self, prediction: SetPrediction, targets: ObjectTargets, objects: Indices) -> NDArray[np.float32]:
        """Return the matching costs (S·L, Q, K), each object against the queries of its own video.

        The mask features are read at the shared points before they are multiplied with the embeddings: reading is
        linear, so the costs are those of full masks, at the price of the points alone.

        Args:
            prediction: Of B videos.
            targets: Of the same videos in the frames of this clip.
            objects: (K,) the objects in question, ascending by video.
        """
        layers, Q = (
            prediction.class_scores.shape[0] * prediction.class_scores.shape[1],
            prediction.class_scores.shape[3],
        )
        if not objects.size:
            return np.zeros((layers, Q, 0), dtype=np.float32)
        device, B = prediction.mask_features.device, len(prediction.mask_features)
        with full_precision(prediction.mask_features):
            points = self._points.shared(B, device)
            chosen = torch.from_numpy(objects).to(device).split(_counts(targets, objects, videos=B))
            costs = [
                self._video_costs(prediction, video, points[video : video + 1], targets, wanted)
                for video, wanted in enumerate(chosen)
                if len(wanted)
            ]
        # The one transfer of a clip to the CPU, where the Hungarian algorithm runs.
        joint: NDArray[np.float32] = torch.cat(costs, dim=-1).cpu().numpy()
        return joint

    def _video_costs(
        self, prediction: SetPrediction, video: int, points: Tensor, targets: ObjectTargets, objects: Tensor
    ) -> Tensor:
        """Return the costs (S·L, Q, K) of one video.

        Args:
            prediction: Of all videos.
            video: The one in question.
            points: (1, P, 2).
            targets: Of all videos.
            objects: (K,) objects of the video.
        """
        features = prediction.mask_features[video].float()  # (T, C, h, w)
        T, K = len(features), len(objects)
        at_points = sample_at_points(features, points.expand(T, -1, -1)).transpose(0, 1).flatten(1)  # (C, T·P)
        masks = targets.masks[objects].float().transpose(0, 1)  # (T, K, H, W)
        wanted = sample_at_points(masks, points.expand(T, -1, -1)).transpose(0, 1).reshape(K, -1)  # (K, T·P)
        # Beyond the outermost pixel centres masks fade to zero, and so does their bias.
        inside = sample_at_points(torch.ones_like(features[:1, :1]), points).flatten().repeat(T)  # (T·P,)
        parts = (prediction.class_scores, prediction.mask_embeddings, prediction.mask_bias)
        rows = max(1, _LOGITS_AT_ONCE // at_points.shape[1])
        costs = []
        for scores, embeddings, bias in zip(
            *(part[:, :, video].flatten(0, 2).split(rows) for part in parts), strict=True
        ):
            logits = torch.addcmul(embeddings.float() @ at_points, bias.float().unsqueeze(-1), inside)  # (R, T·P)
            labels = targets.labels[objects]
            costs.append(pair_costs(scores, logits, labels=labels, targets=wanted, weights=self._matching))
        return torch.cat(costs).unflatten(0, (-1, prediction.class_scores.shape[3]))

    def match_frames(self, prediction: SetPrediction, targets: ObjectTargets) -> Indices:
        """Match every frame by itself, as the detector is trained.

        Args:
            prediction: Of B frames.
            targets: Of the same B frames.

        Returns:
            (S·L, N) the query of each object, -1 where it is not visible.
        """
        objects = _visible_objects(targets)
        costs = self.costs(prediction, targets, objects)
        assigned = np.full((len(costs), len(targets.visible)), UNASSIGNED, dtype=np.int64)
        counts = _counts(targets, objects, videos=len(prediction.mask_features))
        for place in np.split(np.arange(len(objects)), np.cumsum(counts)[:-1]):
            for layer, cost in enumerate(costs):
                queries, found = match(cost[:, place])
                assigned[layer, objects[place[found]]] = queries
        return assigned

    def frame_losses(self, prediction: LayerPrediction, targets: ObjectTargets) -> tuple[SetLosses, Indices]:
        """Match and score F frames, as a Mask2Former is trained.

        Args:
            prediction: Of all S decoder layers.
            targets: Of F one-frame videos.

        Returns:
            The losses, and the matching (S, N).
        """
        predicted = layer_set(prediction)
        assigned = self.match_frames(predicted, targets)
        return self.losses(prediction.class_logits.unsqueeze(1), predicted, targets, assigned), assigned

    def losses(
        self, class_logits: Tensor, prediction: SetPrediction, targets: ObjectTargets, assigned: Indices
    ) -> SetLosses:
        """Return the weighted losses of a batch, divided by the joint counts of all processes.

        Args:
            class_logits: (S, L, B, Q, K + 1), the last class is "no object".
            prediction: Of B videos; its class scores are not read.
            targets: Of the same videos in the frames of this clip.
            assigned: (S·L, N), the query of each object or -1. Objects that are not visible are not learned from:
                the class target of their query is "no object".
        """
        S, L, B, Q, classes = class_logits.shape
        device, weights = class_logits.device, self._weights
        objects = _visible_objects(targets)
        # What was decided on the CPU goes to the device in one transfer.
        table = np.vstack([assigned[:, objects], targets.videos[objects], objects])
        rows = torch.from_numpy(table).to(device)
        held, video, thing = rows[:-2].view(S, L, -1), rows[-2], rows[-1]  # (S, L, M), (M,), (M,)
        layer = torch.arange(S, device=device)[:, None, None], torch.arange(L, device=device)[None, :, None]

        # Column Q takes the objects without a query and is dropped.
        wanted = torch.full((S, L, B, Q + 1), classes - 1, device=device)
        wanted[*layer, video, held.where(held != UNASSIGNED, Q)] = targets.labels[thing]
        sums, counts = classification_loss(class_logits, wanted[..., :Q], no_object=weights.no_object)
        counts = torch.cat([counts, counts.new_full((1,), len(objects))])
        least = torch.full_like(counts, 1e-6)
        least[-1] = 1.0
        normalizers = shared_normalizers(counts, minimum=least)

        with full_precision(prediction.mask_features):
            chosen = (*layer, video, held.clamp(min=0))
            counts_by_video = _counts(targets, objects, videos=B)
            mask, dice = self._mask_losses(prediction, chosen, targets.masks[thing], counts=counts_by_video)
        learned = (held != UNASSIGNED).to(mask.dtype)
        in_all = normalizers[-1] * L
        return SetLosses(
            classification=weights.classification * sums / normalizers[:-1],
            mask=weights.mask * (mask * learned).flatten(1).sum(1) / in_all,
            dice=weights.dice * (dice * learned).flatten(1).sum(1) / in_all,
        )

    def _mask_losses(
        self, prediction: SetPrediction, chosen: tuple[Tensor, ...], masks: Tensor, *, counts: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Return the two mask losses, (S, L, M) each.

        Args:
            prediction: Of B videos.
            chosen: Indices of layers, video and query, which give (S, L, M) queries, ascending by video.
            masks: (M, T, H, W) bool, of the objects that the queries hold.
            counts: How many of the M are of each video.
        """
        embeddings = prediction.mask_embeddings.float()[chosen]  # (S, L, M, C)
        bias = prediction.mask_bias.float()[chosen]  # (S, L, M)
        (S, L, M), (T, _, h, w) = bias.shape, prediction.mask_features.shape[1:]
        maps = []
        for rows, offset, features in zip(
            embeddings.split(counts, dim=2), bias.split(counts, dim=2), prediction.mask_features.float(), strict=True
        ):
            # Frame by frame, so that the maps are read where they lie.
            flat = rows.reshape(1, -1, rows.shape[-1]).expand(T, -1, -1)
            product = torch.baddbmm(offset.reshape(1, -1, 1), flat, features.flatten(2))  # (T, S·L·M_b, h·w)
            maps.append(product.transpose(0, 1).reshape(S, L, -1, T, h, w))
        logits = torch.cat(maps, dim=2).flatten(0, 3)  # (S·L·M·T, h, w)
        where = self._points.uncertain(logits.detach())  # (S·L·M·T, P, 2)
        P = where.shape[1]
        predicted = sample_at_points(logits.unsqueeze(1), where).view(S, L, M, T * P)
        # The layers look at one and the same mask, so that their points are read together.
        by_mask = where.view(S * L, M * T, P, 2).transpose(0, 1).reshape(M * T, S * L * P, 2)
        wanted = sample_at_points(masks.float().flatten(0, 1).unsqueeze(1), by_mask)
        wanted = wanted.view(M * T, S * L, P).transpose(0, 1).reshape(S, L, M, T * P)
        return mask_losses(predicted, wanted)


def _visible_objects(targets: ObjectTargets) -> Indices:
    """Return (M,) the visible objects, ascending by video."""
    objects = np.flatnonzero(targets.visible)
    return objects[np.argsort(targets.videos[objects], kind="stable")]


def _counts(targets: ObjectTargets, objects: Indices, *, videos: int) -> list[int]:
    """Return how many of the objects each video has."""
    counts: list[int] = np.bincount(targets.videos[objects], minlength=videos).tolist()
    return counts
