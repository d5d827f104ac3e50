"""A whole video: the published scores and selection over all clips, in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.categories import Categories
from genvis.errors import InputError
from genvis.inference.mask_geometry import MaskGeometry
from genvis.inference.mask_store import MaskStore
from genvis.inference.trackers.propagation import TrackedClip
from genvis.masks import RLEMask
from genvis.results.types import FrameStamp, Track


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which (identity, class) pairs become tracks.

    Attributes:
        detections: How many pairs of the best class score are kept at most, before their masks are judged.
        score_threshold: Tracks with a final score below this are dropped.
        classes: Only these classes, contiguous from 0; None keeps all.
        one_label_each: Keep only the best class of an identity. The published procedure, and so every evaluation,
            lets an identity appear under several classes.
    """

    detections: int
    score_threshold: float = 0.0
    classes: tuple[int, ...] | None = None
    one_label_each: bool = False

    def __post_init__(self) -> None:
        if self.detections < 1:
            raise InputError(f"detections is {self.detections}; at least 1 must be kept.")
        if not 0 <= self.score_threshold <= 1:
            raise InputError(f"score_threshold is {self.score_threshold}; it must be within 0..1.")

    def pairs(self, class_scores: Tensor) -> list[tuple[int, int, float]]:
        """Choose from class scores (Q, K): (query, class, class score), best first."""
        scores = class_scores.clone()
        if self.classes is not None:
            dropped = torch.ones(scores.shape[1], dtype=torch.bool)
            dropped[list(self.classes)] = False
            scores[:, dropped] = -1
        if self.one_label_each:
            best = scores.argmax(dim=1, keepdim=True)
            scores = torch.full_like(scores, -1).scatter(1, best, scores.gather(1, best))
        values, places = scores.flatten().topk(min(self.detections, scores.numel()))
        num_classes = scores.shape[1]
        return [
            (place // num_classes, place % num_classes, value)
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
            if value >= 0
        ]


class WholeVideo:
    """Collects the clips of a video and turns them into tracks at the end (reference procedure, section 4).

    The class score of (query, class) is its greatest probability over all clips. The final score multiplies it with the
    mean of the sigmoid inside the hard mask over all frames.

    Args:
        geometry: The sizes of the frames.
        store: Where the masks are kept until the selection is known.
    """

    def __init__(self, *, geometry: MaskGeometry, store: MaskStore) -> None:
        self.geometry = geometry
        self.store = store
        self.stamps: list[FrameStamp] = []
        self.class_scores: Tensor | None = None

    def add(self, clip: TrackedClip, stamps: Sequence[FrameStamp]) -> None:
        """Take the next clip, with one stamp per frame of it."""
        probabilities = clip.class_probabilities.cpu()
        scores = self.class_scores
        self.class_scores = probabilities if scores is None else torch.maximum(scores, probabilities)
        for stamp, logits in zip(stamps, clip.mask_logits, strict=True):
            self.store.add(len(self.stamps), logits)
            self.stamps.append(stamp)

    def objects(self, score_threshold: float) -> int:
        """Return how many identities reach a class score so far."""
        if self.class_scores is None:
            return 0
        return int((self.class_scores.amax(dim=1) >= score_threshold).sum())

    def tracks(self, selection: Selection, labels: Categories) -> tuple[Track, ...]:
        """Select and score. Ids count from 1 in the order in which the objects appear.

        Args:
            selection: Which pairs are kept.
            labels: The classes of the model.
        """
        if self.class_scores is None:
            return ()
        pairs = selection.pairs(self.class_scores)
        masks, quality = self._masks({query for query, _, _ in pairs})
        scored = [(query, label, score * quality[query]) for query, label, score in pairs]
        scored = [found for found in scored if found[2] >= selection.score_threshold]
        scored.sort(key=lambda found: (min(masks[found[0]], default=len(self.stamps)), -found[2]))
        return tuple(
            Track(
                id=number,
                label=labels.names[label],
                label_id=label,
                category_id=labels.ids[label],
                score=score,
                masks=tuple(masks[query].get(position) for position in range(len(self.stamps))),
            )
            for number, (query, label, score) in enumerate(scored, start=1)
        )

    def _masks(self, queries: set[int]) -> tuple[dict[int, dict[int, RLEMask]], dict[int, float]]:
        masks: dict[int, dict[int, RLEMask]] = {query: {} for query in queries}
        total, area = dict.fromkeys(queries, 0.0), dict.fromkeys(queries, 0)
        for position, query, crop in self.store.crops(sorted(queries)):
            quality = self.geometry.quality(crop)
            total[query] += quality.total
            area[query] += quality.area
            mask = self.geometry.encoded_mask(crop)
            if mask is not None:
                masks[query][position] = mask
        # The published code guards the division with 1e-6.
        return masks, {query: total[query] / (area[query] + 1e-6) for query in queries}

    def state(self) -> tuple[dict[str, Tensor], NDArray[np.int64]]:
        """Return the scores and the store's table of contents, to be saved."""
        tensors = {} if self.class_scores is None else {"class_scores": self.class_scores.contiguous()}
        return tensors, self.store.index()

    def restore(self, tensors: dict[str, Tensor], index: NDArray[np.int64], stamps: Sequence[FrameStamp]) -> None:
        """Continue from what `state` returned."""
        self.class_scores = tensors.get("class_scores")
        self.stamps = list(stamps)
        self.store.restore(index)
