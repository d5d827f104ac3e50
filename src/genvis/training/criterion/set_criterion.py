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

_TIMES_ON_A_DEVICE = 16
"""As many more on anything but a CPU: 256 MB, so that a batch is few kernels."""


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
        features = prediction.mask_features
        device, (B, T) = features.device, features.shape[:2]
        counts = _counts(targets, objects, videos=B)
        with full_precision(features):
            points = self._points.shared(B, device)  # (B, P, 2)
            most = _logits_at_once(device) // (layers * Q * T * points.shape[1])
            groups = _groups_of_videos(counts, most=most)
            order = np.concatenate([places.reshape(-1) for _, places in groups])
            videos = torch.from_numpy(np.concatenate([videos for videos, _ in groups])).to(device)
            chosen = torch.from_numpy(objects[order]).to(device)
            costs = [
                self._costs_of_videos(prediction, of_group, points, targets, wanted.view(len(of_group), -1))
                for of_group, wanted in zip(
                    videos.split([len(videos) for videos, _ in groups]),
                    chosen.split([places.size for _, places in groups]),
                    strict=True,
                )
            ]
        # The one transfer of a clip to the CPU, where the Hungarian algorithm runs.
        joint: NDArray[np.float32] = torch.cat(costs, dim=-1).cpu().numpy()
        return joint[..., np.argsort(order)]

    def _costs_of_videos(
        self, prediction: SetPrediction, videos: Tensor, points: Tensor, targets: ObjectTargets, objects: Tensor
    ) -> Tensor:
        """Return the costs (S·L, Q, G·K) of G videos with K objects each, computed together.

        Args:
            prediction: Of all videos.
            videos: (G,) those in question.
            points: (B, P, 2), of all videos.
            targets: Of all videos.
            objects: (G, K) objects of the videos.
        """
        G, K = objects.shape
        features = prediction.mask_features[videos].float()  # (G, T, C, h, w)
        T, C = features.shape[1:3]
        where = points[videos]  # (G, P, 2)
        by_frame = where.repeat_interleave(T, 0)  # (G·T, P, 2)
        at_points = sample_at_points(features.flatten(0, 1), by_frame).unflatten(0, (G, T))  # (G, T, C, P)
        at_points = at_points.transpose(1, 2).reshape(G, C, -1)  # (G, C, T·P)
        masks = targets.masks[objects.flatten()].float()  # (G·K, T, H, W)
        wanted = sample_at_points(masks, where.repeat_interleave(K, 0)).view(G, K, -1)  # (G, K, T·P)
        # Beyond the outermost pixel centres masks fade to zero, and so does their bias.
        inside = sample_at_points(torch.ones_like(features[:, 0, :1]), where).repeat(1, 1, T)  # (G, 1, T·P)
        # (S, L, B, Q, ...) to (G, S·L·Q, ...)
        scores, embeddings, bias = (
            part[:, :, videos].flatten(0, 1).transpose(0, 1).flatten(1, 2)
            for part in (prediction.class_scores, prediction.mask_embeddings, prediction.mask_bias)
        )
        rows = max(1, _logits_at_once(features.device) // (G * at_points.shape[-1]))
        costs = []
        for some_scores, some_embeddings, some_bias in zip(
            *(part.split(rows, dim=1) for part in (scores, embeddings, bias)), strict=True
        ):
            logits = torch.baddbmm(some_bias.float().unsqueeze(-1) * inside, some_embeddings.float(), at_points)
            costs.append(
                pair_costs(some_scores, logits, labels=targets.labels[objects], targets=wanted, weights=self._matching)
            )
        # (G, S·L·Q, K) to (S·L, Q, G·K)
        joint = torch.cat(costs, dim=1).unflatten(1, (-1, prediction.class_scores.shape[3]))
        return joint.permute(1, 2, 0, 3).flatten(2)

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
        groups = _groups_of_videos(counts, most=_logits_at_once(bias.device) // (S * L * T * h * w))
        videos, places = (np.concatenate([part.reshape(-1) for part in parts]) for parts in zip(*groups, strict=True))
        features = _rearranged(prediction.mask_features.float(), videos, dim=0)
        embeddings, bias = (_rearranged(part, places, dim=2) for part in (embeddings, bias))
        sizes = [part.size for _, part in groups]
        maps = []
        for (part, _), rows, offset, maps_of_group in zip(
            groups,
            embeddings.split(sizes, dim=2),
            bias.split(sizes, dim=2),
            features.split([len(part) for part, _ in groups]),
            strict=True,
        ):
            # Frame by frame, so that the maps are read where they lie.
            G = len(part)
            by_video = rows.unflatten(2, (G, -1)).permute(2, 0, 1, 3, 4).flatten(1, 3)  # (G, S·L·K, C)
            offsets = offset.unflatten(2, (G, -1)).permute(2, 0, 1, 3).flatten(1)  # (G, S·L·K)
            product = torch.baddbmm(
                offsets.repeat_interleave(T, 0).unsqueeze(-1),
                by_video.repeat_interleave(T, 0),
                maps_of_group.flatten(0, 1).flatten(2),
            )  # (G·T, S·L·K, h·w)
            product = product.unflatten(1, (S, L, -1)).unflatten(0, (G, T)).permute(2, 3, 0, 4, 1, 5)
            maps.append(product.reshape(S, L, -1, T, h, w))
        logits = _rearranged(torch.cat(maps, dim=2), np.argsort(places), dim=2).flatten(0, 3)  # (S·L·M·T, h, w)
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


def _logits_at_once(device: torch.device) -> int:
    return _LOGITS_AT_ONCE * (1 if device.type == "cpu" else _TIMES_ON_A_DEVICE)


def _groups_of_videos(counts: list[int], *, most: int) -> list[tuple[Indices, Indices]]:
    """Group videos with equally many objects, which are computed together: thousands of small kernels are slow.

    Args:
        counts: Objects of every video; those of one video follow each other.
        most: Rows of objects of a group; a group has at least one video.

    Returns:
        The G videos (G,) and the places (G, K) of their objects among all, of every group; videos without objects are
        left out, unless none has any.
    """
    numbers, starts = np.asarray(counts), np.cumsum([0, *counts[:-1]])
    groups = []
    for count in np.unique(numbers[numbers > 0]) if numbers.any() else [0]:
        alike = np.flatnonzero(numbers == count)
        at_once = max(1, most // max(1, int(count)))
        for videos in np.split(alike, range(at_once, len(alike), at_once)):
            groups.append((videos, starts[videos][:, None] + np.arange(count)))
    return sorted(groups, key=lambda group: int(group[0][0]))


def _rearranged(tensor: Tensor, places: Indices, *, dim: int) -> Tensor:
    """Return slices of a tensor in another order; itself if that is the one that they are in."""
    if np.array_equal(places, np.arange(tensor.shape[dim])):
        return tensor
    return tensor.index_select(dim, torch.from_numpy(places).to(tensor.device))
