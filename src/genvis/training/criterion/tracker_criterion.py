"""The losses of the tracker, clip after clip of the same videos (paper, section 3.2; reference: VITA)."""

import numpy as np
import torch
from torch import Tensor, nn

from genvis.model.mask_product import embeddings_before_projection
from genvis.model.outputs import TrackerOutput
from genvis.training.criterion.hungarian_matching import UNASSIGNED
from genvis.training.criterion.losses import full_precision, identity_loss, similarity_loss
from genvis.training.criterion.set_criterion import SetCriterion, SetPrediction
from genvis.training.criterion.targets import Indices, ObjectTargets
from genvis.training.criterion.uvla import VideoLabelAssignment
from genvis.training.process_group import shared_normalizers


class TrackerCriterion:
    """Assigns and scores the clips of a batch of videos in their order. One object serves one batch.

    Args:
        set_criterion: With the options of assignment and losses.
        videos: (N,) the video of each object of the batch.
        decoder_layers: D, object-decoder layers.
        detector_layers: L, detector layers that feed the tracker; they count as L·B videos.
    """

    def __init__(
        self, set_criterion: SetCriterion, *, videos: Indices, decoder_layers: int, detector_layers: int
    ) -> None:
        options = set_criterion.options
        self.assignment = VideoLabelAssignment(
            videos, layers=decoder_layers * detector_layers, method=options.assignment
        )
        self._set_criterion = set_criterion
        self._similarity_weight = options.weights.similarity
        self._detector_layers = detector_layers
        self._identity_weight = options.identity
        self._bank: list[tuple[Tensor, Indices, Indices]] = []  # Of each clip: embeddings, their objects and moments.
        self._frames = 0

    @property
    def assigned(self) -> Indices:
        """(L, N) the query of each object in the last decoder layer, -1 while it has none."""
        return self.assignment.assigned[-self._detector_layers :]

    def __call__(
        self,
        output: TrackerOutput,
        mask_projection: nn.Conv2d,
        features: Tensor,
        frame_assignment: Indices,
        targets: ObjectTargets,
    ) -> dict[str, Tensor]:
        """Return the weighted losses of the next clip by name.

        Args:
            output: Of L·B videos, the detector layer being the slower index.
            mask_projection: The tracker's 1x1 convolution of the features to mask features.
            features: (B, T, C_f, h, w) of the detector, common to its layers.
            frame_assignment: (L, N, T) the frame query of each object in each frame, -1 where it is not visible.
            targets: Of the B videos in the T frames of this clip.
        """
        L = self._detector_layers
        # A few queries are cheaper to project than all pixels of all frames, forward and backward.
        with full_precision(features):
            embeddings, bias = embeddings_before_projection(output.mask_embeddings, mask_projection)
        if bias is None:
            bias = embeddings.new_zeros(embeddings.shape[:-1])
        class_logits = output.class_logits.unflatten(1, (L, -1))  # (D, L, B, Q, K + 1)
        prediction = SetPrediction(
            class_logits.detach().float().softmax(-1)[..., :-1],
            embeddings.unflatten(1, (L, -1)),
            features,
            bias.unflatten(1, (L, -1)),
        )
        new = self.assignment.unmatched(targets.visible)
        assigned = self.assignment.update(self._set_criterion.costs(prediction, targets, new), new)
        losses = self._set_criterion.losses(class_logits, prediction, targets, assigned)
        with full_precision(features):
            similarity = self._similarity(output, frame_assignment, targets)
        return losses.by_layer() | {"similarity": similarity}

    def identity(self) -> Tensor:
        """Return the weighted identity loss of all clips so far.

        Every similarity embedding of an object, of its instance query in a clip and of its frame query in a frame, is
        to be nearer to those of the same object in other clips and frames than to those of any other object of the
        batch.
        """
        embeddings = torch.cat([clip[0] for clip in self._bank])  # (E, C)
        objects, moments = (
            torch.from_numpy(np.concatenate([clip[part] for clip in self._bank])).to(embeddings.device)
            for part in (1, 2)
        )
        with full_precision(embeddings):
            total, pairs = identity_loss(embeddings, objects, moments)
            return self._identity_weight * total / shared_normalizers(pairs)

    def _similarity(self, output: TrackerOutput, frame_assignment: Indices, targets: ObjectTargets) -> Tensor:
        """Return the similarity loss of the matched frame queries and instance queries, of the last decoder layer."""
        T, Q_f = output.frame_similarity.shape[1:3]
        # (L·B, T·Q_f + Q, C): all embeddings of a video in one row, the frames' before the clip's.
        embeddings = torch.cat([output.frame_similarity.flatten(1, 2), output.query_similarity], dim=1)
        assigned = self.assigned
        layer_f, object_f, frame = np.nonzero(frame_assignment != UNASSIGNED)
        layer_q, object_q = np.nonzero((assigned != UNASSIGNED) & targets.visible)
        place = np.concatenate(
            [frame * Q_f + frame_assignment[layer_f, object_f, frame], T * Q_f + assigned[layer_q, object_q]]
        )
        thing = np.concatenate([object_f, object_q])
        video = np.concatenate([layer_f, layer_q]) * (len(embeddings) // self._detector_layers) + targets.videos[thing]
        if self._identity_weight:
            # Frames count from 0 and clips down from -1: an instance query is compared with its own clip's frames too.
            moment = np.concatenate([self._frames + frame, np.full_like(object_q, -1 - len(self._bank))])
            self._bank.append((embeddings[video, place], thing, moment))
            self._frames += T
        table, counts = _rows_by_video(np.stack([place, thing]), video, videos=len(embeddings))
        places, objects = torch.from_numpy(table).to(embeddings.device)  # (L·B, E) each
        chosen = embeddings.gather(1, places.clamp(min=0).unsqueeze(-1).expand(-1, -1, embeddings.shape[-1]))
        pairs = embeddings.new_full((), float((counts**2).sum()), dtype=torch.float32)
        return self._similarity_weight * similarity_loss(chosen, objects) / shared_normalizers(pairs)


def _rows_by_video(columns: Indices, video: Indices, *, videos: int) -> tuple[Indices, Indices]:
    """Distribute columns to rows, one for each video, filled up with -1.

    Args:
        columns: (A, R).
        video: (R,) to whose row each column goes.
        videos: V.

    Returns:
        (A, V, E) with E the greatest number of columns of a video, and (V,) how many each has.
    """
    order = np.argsort(video, kind="stable")
    counts = np.bincount(video, minlength=videos)
    first = np.cumsum(counts) - counts
    rows = video[order]
    table = np.full((len(columns), videos, int(counts.max(initial=0))), -1, dtype=np.int64)
    table[:, rows, np.arange(len(rows)) - first[rows]] = columns[:, order]
    return table, counts
