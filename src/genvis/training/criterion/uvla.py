"""The losses of the tracker, clip after clip of the same videos (paper, section 3.2; reference: VITA)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genvis.model.outputs import LayerPrediction, TrackerOutput
from genvis.training.criterion.assignment import UNASSIGNED, Indices, VideoLabelAssignment
from genvis.training.criterion.full_precision import full_precision
from genvis.training.criterion.losses import similarity_loss
from genvis.training.criterion.points import PointSource
from genvis.training.criterion.set_criterion import (
    SetLosses,
    SetPrediction,
    frame_set,
    match_frames,
    set_losses,
    video_costs,
)
from genvis.training.criterion.targets import ObjectTargets
from genvis.training.process_group import shared_normalizers
from genvis.training.recipe.loss_options import AssignmentMethod, LossWeights


class ClipLosses(NamedTuple):
    """Weighted losses of one clip: of the set, (D,) each for D object-decoder layers, and the similarity loss."""

    set: SetLosses
    similarity: Tensor

    def total(self) -> Tensor:
        """Return the sum of everything."""
        return self.set.total() + self.similarity


class TrackerCriterion:
    """Assigns and scores the clips of a batch of videos in their order. One object serves one batch.

    Args:
        objects: Number of objects of each of the B videos.
        decoder_layers: D, object-decoder layers.
        detector_layers: L, detector layers that feed the tracker; they count as L·B videos.
        method: ``"uvla"`` or ``"correspondence"``.
        points: Chooses where masks are compared.
        weights: Of costs and losses.
    """

    def __init__(
        self,
        *,
        objects: Sequence[int],
        decoder_layers: int,
        detector_layers: int,
        method: AssignmentMethod,
        points: PointSource,
        weights: LossWeights,
    ) -> None:
        self.videos = [
            VideoLabelAssignment(layers=decoder_layers * detector_layers, objects=number, method=method)
            for number in objects
        ]
        self._layers = (decoder_layers, detector_layers)
        self._points = points
        self._weights = weights

    def __call__(
        self,
        output: TrackerOutput,
        mask_features: Tensor,
        mask_bias: Tensor | None,
        frame_assignment: Sequence[Sequence[Indices]],
        targets: Sequence[ObjectTargets],
    ) -> ClipLosses:
        """Return the losses of the next clip.

        Args:
            output: Of L·B videos, the detector layer being the slower index; its mask embeddings hold the projection
                of the maps, so that they have C channels.
            mask_features: (B, T, C, h, w) before the projection, common to the detector layers.
            mask_bias: (D, L·B, Q), added to the masks of each query, or None.
            frame_assignment: For every video and frame (L, N), see :func:`frame_matching`.
            targets: Of the B videos in the T frames of this clip.
        """
        D, L = self._layers
        prediction = SetPrediction(
            output.class_logits.unflatten(1, (L, -1)),
            output.mask_embeddings.unflatten(1, (L, -1)),
            mask_features,
            None if mask_bias is None else mask_bias.unflatten(1, (L, -1)),
        )
        assigned = []
        for index, (video, target) in enumerate(zip(self.videos, targets, strict=True)):
            costs = None
            if video.wants_costs(target.visible):
                costs = video_costs(prediction, index, target, points=self._points, weights=self._weights)
            assigned.append(video.update(costs, target.visible))
        losses = set_losses(prediction, targets, assigned, points=self._points, weights=self._weights)
        last = [layers.reshape(D, L, -1)[-1] for layers in assigned]
        with full_precision(mask_features):
            similarity = self._similarity(output, frame_assignment, last, targets)
        return ClipLosses(losses, similarity)

    def _similarity(
        self,
        output: TrackerOutput,
        frame_assignment: Sequence[Sequence[Indices]],
        assigned: Sequence[Indices],
        targets: Sequence[ObjectTargets],
    ) -> Tensor:
        L = self._layers[1]
        frames = output.frame_similarity.unflatten(0, (L, -1))
        queries = output.query_similarity.unflatten(0, (L, -1))
        total = frames.sum() * 0.0 + queries.sum() * 0.0
        pairs = 0
        for video, target in enumerate(targets):
            for layer in range(L):
                kept = np.flatnonzero(target.visible & (assigned[video][layer] != UNASSIGNED))
                found = np.stack([frame[layer] for frame in frame_assignment[video]])
                frame, thing = np.nonzero(found != UNASSIGNED)
                objects = torch.from_numpy(np.concatenate([thing, kept])).to(total.device)
                frame_queries = torch.from_numpy(found[frame, thing]).to(total.device)
                instance_queries = torch.from_numpy(assigned[video][layer][kept]).to(total.device)
                embeddings = torch.cat(
                    [
                        frames[layer, video][torch.from_numpy(frame).to(total.device), frame_queries],
                        queries[layer, video][instance_queries],
                    ]
                )
                total = total + similarity_loss(embeddings, objects)
                pairs += len(objects) ** 2
        count = shared_normalizers(torch.tensor(float(pairs), device=total.device))
        return self._weights.similarity * total / count


def frame_matching(
    prediction: LayerPrediction, targets: Sequence[ObjectTargets], *, points: PointSource, weights: LossWeights
) -> list[list[Indices]]:
    """Match the detector's own predictions frame by frame: all that the tracker's losses need of them.

    Args:
        prediction: Of F = B·T frames, all frames of a video in a row, and L layers.
        targets: Of the B videos in their T frames.
        points: Chooses the shared points of the masks.
        weights: Of the parts of the cost.

    Returns:
        For every video and frame (L, N): the frame query of each object, -1 where it is out of sight.
    """
    frames = [target.frames(index, index + 1) for target in targets for index in range(int(target.masks.shape[1]))]
    return by_video(match_frames(frame_set(prediction), frames, points=points, weights=weights), targets)


def by_video(matched: Sequence[Indices], targets: Sequence[ObjectTargets]) -> list[list[Indices]]:
    """Regroup the matchings of B·T frames by video and frame."""
    rows = iter(matched)
    return [[next(rows) for _ in range(int(target.masks.shape[1]))] for target in targets]
