"""What a tracker could reach at most with this detector: its masks, joined by the truth instead of a method."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from experiments.evaluation import EvaluationPlan, Scores, score_videos, truth_of
from experiments.recordings import RecordedVideo, Recording, ReplayedDetector
from genvis.label_sets import LabelSet
from genvis.model.genvis import GenVIS
from genvis.run_length import RunLengthMask
from genvis.training.video_average_precision import VideoRecord

_LEAST_SCORE = 0.01


def evaluate_ceiling(model: GenVIS, recording: Recording, plan: EvaluationPlan) -> Scores:
    """Score the detector's instances as if it were known whose they are.

    In every frame the objects in sight get the detector's masks that overlap them most, one each; an object's masks are
    one identity, and there are no others. Classes are found as by the other methods: the greatest probability of any
    frame counts. What is missing to 100 is the detector's part: masks that are wrong or not there, and wrong classes.

    Args:
        model: The network, of which only the detector's heads are used.
        recording: Of the model's detector on the set.
        plan: Pieces; the clip length has no meaning here.
    """
    began = time.perf_counter()
    labels = model.config.label_set
    records: list[VideoRecord] = []
    objects: list[VideoRecord] = []
    for index in range(len(recording)):
        whole = recording[index]
        for video in whole.pieces(plan.piece) if plan.piece else [whole]:
            tracks = joined_by_truth(model, video)
            size, length = video.size, len(video)
            several = [entry for track in tracks for entry in track.entries(labels)]
            single = [{**track.entry(), "category_id": 1} for track in tracks]
            records.append(VideoRecord(size, length, truth_of(video, labels), several))
            objects.append(VideoRecord(size, length, truth_of(video, None), single))
    return score_videos(records, objects, labels, seconds=time.perf_counter() - began)


class Track:
    """The detector's masks of one object.

    Args:
        frames: Of the video.
    """

    def __init__(self, frames: int) -> None:
        self._masks: list[dict[str, Any] | None] = [None] * frames
        self._probabilities: list[NDArray[np.float32]] = []
        self._qualities: list[float] = []

    def __len__(self) -> int:
        return len(self._qualities)

    def add(self, frame: int, mask: NDArray[np.bool_], probabilities: Tensor, quality: float) -> None:
        """Add a mask (H, W), its class probabilities (K,) and its quality from 0 to 1."""
        self._masks[frame] = RunLengthMask.encode(mask).to_coco()
        self._probabilities.append(probabilities.numpy())
        self._qualities.append(quality)

    def scores(self) -> NDArray[np.float64]:
        """Return the (K,) scores of the classes."""
        scores: NDArray[np.float64] = np.max(self._probabilities, axis=0) * np.mean(self._qualities)
        return scores

    def entries(self, labels: LabelSet) -> list[dict[str, Any]]:
        """Return one entry of a results file for every class that the object may be of."""
        return [
            {"category_id": labels.category_ids[label], "score": float(score), "segmentations": self._masks}
            for label, score in enumerate(self.scores())
            if score >= _LEAST_SCORE
        ]

    def entry(self) -> dict[str, Any]:
        """Return the entry of the likeliest class, without the class."""
        return {"score": float(self.scores().max()), "segmentations": self._masks}


@torch.inference_mode()
def joined_by_truth(model: GenVIS, video: RecordedVideo) -> list[Track]:
    """Return a track for every object of a video that the detector found in some frame."""
    replayed = ReplayedDetector(model.detector)
    replayed.rewind(video)
    tracks = [Track(len(video)) for _ in video.masks]
    for frame in range(len(video)):
        found = replayed.predict(replayed(torch.zeros(1, 3, *video.size)))
        probabilities = found.class_logits[-1, 0].softmax(dim=-1)[:, :-1]
        logits = torch.einsum("qc,chw->qhw", found.mask_embeddings[-1, 0], found.mask_features[0])
        maps = F.interpolate(logits[None], size=video.size, mode="bilinear", align_corners=False)[0]
        masks = maps > 0
        seen = [thing for thing, masks_of in enumerate(video.masks) if masks_of[frame] is not None]
        overlaps = _overlaps(masks, [RunLengthMask.from_coco(video.masks[thing][frame] or {}) for thing in seen])
        for query, place in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[query, place] > 0:
                quality = float(maps[query].sigmoid()[masks[query]].mean())
                tracks[seen[place]].add(frame, masks[query].numpy(), probabilities[query], quality)
    return [track for track in tracks if len(track)]


def _overlaps(found: Tensor, truth: list[RunLengthMask]) -> NDArray[np.float32]:
    """Return the (Q, N) intersections over unions of masks (Q, H, W) with N true ones."""
    masks = found.flatten(1).float()
    if not truth:
        return np.zeros((len(masks), 0), dtype=np.float32)
    wanted = torch.from_numpy(np.stack([mask.decode() for mask in truth])).flatten(1).float()
    shared = masks @ wanted.T
    union = masks.sum(1, keepdim=True) + wanted.sum(1) - shared
    overlaps: NDArray[np.float32] = (shared / union.clamp(min=1.0)).numpy()
    return overlaps
