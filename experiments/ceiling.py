"""The detector's masks joined by the ground truth instead of a tracker: the remaining error is the detector's."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from experiments.evaluation import EvaluationPlan, Scores, score_videos, truth_of
from experiments.recordings import RecordedVideo, Recording, ReplayedDetector
from genvis.categories import Categories
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.masks import RLEMask
from genvis.model.genvis import GenVIS

_LEAST_SCORE = 0.01


def evaluate_joined_by_truth(model: GenVIS, recording: Recording, plan: EvaluationPlan) -> Scores:
    """Score the detector's instances with perfect association.

    In every frame the visible objects get the detector's masks that overlap them most, one each; of them an object
    keeps those that raise the overlap of its track. There are no other tracks. Classes are found as by the other
    methods: the greatest probability of any frame counts. What is missing to 100 is the detector's part: masks that are
    wrong or not there, and wrong classes. A tracker that learns masks and classes of its own may have better ones.

    Args:
        model: The network, of which only the detector's heads are used.
        recording: Of the model's detector on the set.
        plan: Pieces; the clip length has no meaning here.
    """
    began = time.perf_counter()
    labels = model.config.categories
    records: list[EvaluatedVideo] = []
    objects: list[EvaluatedVideo] = []
    for index in range(len(recording)):
        whole = recording[index]
        for video in whole.pieces(plan.piece) if plan.piece else [whole]:
            tracks = joined_by_truth(model, video)
            size, length = video.size, len(video)
            several = [entry for track in tracks for entry in track.entries(labels)]
            single = [{**track.entry(), "category_id": 1} for track in tracks]
            records.append(EvaluatedVideo(size, length, truth_of(video, labels), several))
            objects.append(EvaluatedVideo(size, length, truth_of(video, None), single))
    return score_videos(records, objects, labels, seconds=time.perf_counter() - began)


@dataclass(frozen=True)
class FoundMask:
    """A mask of the detector that overlaps an object.

    Attributes:
        mask: (H, W).
        probabilities: (K,) of the classes.
        certainty: Sum of the mask's probabilities over its pixels.
        shared: Pixels that it shares with the object.
    """

    mask: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    certainty: float
    shared: float

    @property
    def wrong(self) -> float:
        """Pixels that are not the object's."""
        return float(self.mask.sum()) - self.shared


class Track:
    """The detector's masks of one object.

    Args:
        frames: Of the video.
        pixels: Of the object in all of them.
    """

    def __init__(self, frames: int, pixels: float) -> None:
        self._frames = frames
        self._pixels = pixels
        self._found: dict[int, FoundMask] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, frame: int, found: FoundMask) -> None:
        """Add the mask of a frame."""
        self._found[frame] = found

    def overlap(self) -> float:
        """Return the intersection over union of the whole track."""
        shared, wrong = (sum(getattr(one, name) for one in self._found.values()) for name in ("shared", "wrong"))
        return float(shared / (self._pixels + wrong))

    def without_harmful_masks(self) -> "Track":
        """Return the track of those masks that together overlap the object most.

        A mask raises the ratio of shared pixels to all if its own shared pixels to wrong ones are a greater ratio.
        """
        best = self
        while True:
            kept = Track(self._frames, self._pixels)
            for frame, one in self._found.items():
                if one.shared > best.overlap() * one.wrong:
                    kept.add(frame, one)
            if kept.overlap() <= best.overlap():
                return best
            best = kept

    def scores(self) -> NDArray[np.float64]:
        """Return the (K,) scores of the classes: greatest probability of any frame times quality of the masks."""
        found = self._found.values()
        quality = sum(one.certainty for one in found) / max(1.0, float(sum(one.mask.sum() for one in found)))
        scores: NDArray[np.float64] = np.max([one.probabilities for one in found], axis=0) * quality
        return scores

    def masks(self) -> list[dict[str, Any] | None]:
        """Return COCO's RLE for every frame, None where there is no mask."""
        masks: list[dict[str, Any] | None] = [None] * self._frames
        for frame, one in self._found.items():
            masks[frame] = RLEMask.encode(one.mask).to_coco()
        return masks

    def entries(self, labels: Categories) -> list[dict[str, Any]]:
        """Return one entry of a results file for every class that the object may be of."""
        masks = self.masks()
        return [
            {"category_id": labels.ids[label], "score": float(score), "segmentations": masks}
            for label, score in enumerate(self.scores())
            if score >= _LEAST_SCORE
        ]

    def entry(self) -> dict[str, Any]:
        """Return the entry of the likeliest class, without the class."""
        return {"score": float(self.scores().max()), "segmentations": self.masks()}


@torch.inference_mode()
def joined_by_truth(model: GenVIS, video: RecordedVideo) -> list[Track]:
    """Return a track for every object of a video that the detector found in some frame."""
    replayed = ReplayedDetector(model.detector)
    replayed.rewind(video)
    truth = [[None if mask is None else RLEMask.from_coco(mask) for mask in masks] for masks in video.masks]
    tracks = [Track(len(video), float(sum(mask.area for mask in masks if mask is not None))) for masks in truth]
    height, width = video.size
    padded = replayed.preprocessing.padded_size(height, width)
    for frame in range(len(video)):
        found = replayed.predict(replayed(torch.zeros(1, 3, *video.size)))
        probabilities = found.class_scores[0]
        logits = found.mask_logits(0)
        maps = F.interpolate(logits[None], size=padded, mode="bilinear", align_corners=False)[0, :, :height, :width]
        masks = maps > 0
        seen = {thing: mask for thing, of_thing in enumerate(truth) if (mask := of_thing[frame]) is not None}
        shared, overlaps = _overlaps(masks, list(seen.values()))
        for query, place in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[query, place] > 0:
                certainty = float(maps[query].sigmoid()[masks[query]].sum())
                one = FoundMask(
                    masks[query].numpy(), probabilities[query].numpy(), certainty, float(shared[query, place])
                )
                tracks[list(seen)[place]].add(frame, one)
    return [track.without_harmful_masks() for track in tracks if len(track)]


def _overlaps(found: Tensor, truth: list[RLEMask]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the (Q, N) intersections, and those over unions, of masks (Q, H, W) with N true ones."""
    masks = found.flatten(1).float()
    wanted = torch.zeros(len(truth), masks.shape[1])
    for row, mask in zip(wanted, truth, strict=True):
        row[:] = torch.from_numpy(mask.decode()).flatten()
    shared = masks @ wanted.T
    union = masks.sum(1, keepdim=True) + wanted.sum(1) - shared
    return shared.numpy(), (shared / union.clamp(min=1.0)).numpy()
