"""Validation scores: detections of a model in the validation set, and their AP by the evaluation of results files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genvis.categories import Categories
from genvis.data.samples.sample import VideoSample
from genvis.evaluation.evaluated_videos import EvaluatedVideo, evaluate_videos
from genvis.inference.segmenter import VideoSegmenter
from genvis.masks import encode_mask
from genvis.model.outputs import FramePrediction
from genvis.results.formats.youtube_vis_results import youtube_vis_entries
from genvis.results.overlaps import Overlaps

_NAMES = ("AP", "AP50", "AP75")


def frame_instances(
    prediction: FramePrediction, *, height: int, width: int, padded: tuple[int, int], top: int
) -> list[list[tuple[int, float, NDArray[np.bool_]]]]:
    """Return the best instances of each frame as (class, score, (H, W) mask), as Mask2Former chooses them.

    Args:
        prediction: Of F frames.
        height: True height of the frames.
        width: True width of the frames.
        padded: Height and width of the network's input.
        top: How many (query, class) pairs of a frame are kept.
    """
    probabilities = prediction.class_scores
    scores, flat = probabilities.flatten(1).topk(min(top, probabilities[0].numel()))
    queries, classes = flat // probabilities.shape[-1], flat % probabilities.shape[-1]
    result = []
    for frame in range(len(scores)):
        masks = F.interpolate(prediction.mask_logits(frame)[None], padded, mode="bilinear")[0, :, :height, :width]
        hard = masks > 0
        quality = (masks.sigmoid() * hard).flatten(1).sum(1) / (hard.flatten(1).sum(1) + 1e-6)
        final = scores[frame] * quality[queries[frame]]
        hard_masks = hard.cpu().numpy()
        result.append(
            [
                (int(label), float(score), hard_masks[int(query)])
                for label, score, query in zip(classes[frame], final, queries[frame], strict=True)
            ]
        )
    return result


def evaluated_frame(
    instances: list[tuple[int, float, NDArray[np.bool_]]], *, labels: Tensor, masks: Tensor, categories: Categories
) -> EvaluatedVideo:
    """Return one frame with its true and its found instances.

    Args:
        instances: Predictions, see :func:`frame_instances`.
        labels: (N,) classes of the true objects.
        masks: (N, H, W) bool, empty for objects that are not visible.
        categories: Of the model.
    """
    truth = [
        {"category_id": categories.ids[label], "segmentations": _rle(mask)}
        for label, mask in zip(labels.tolist(), masks.cpu().numpy(), strict=True)
        if mask.any()
    ]
    found = [
        {"category_id": categories.ids[label], "score": score, "segmentations": _rle(mask)}
        for label, score, mask in instances
        if mask.any()
    ]
    return EvaluatedVideo((masks.shape[-2], masks.shape[-1]), 1, truth, found)


def evaluated_video(sample: VideoSample, segmenter: VideoSegmenter, *, overlaps: Overlaps = "keep") -> EvaluatedVideo:
    """Segment a video as at inference and return its true and its found objects.

    Args:
        sample: The whole video.
        segmenter: Of the model in question.
        overlaps: ``"keep"`` keeps every mask, as the published procedure does; ``"resolve"`` gives default results.
    """
    frames = sample.frames.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    found = youtube_vis_entries(segmenter.segment(frames, overlaps=overlaps), 0)
    truth = [
        {"category_id": segmenter.categories.ids[label], "segmentations": _rle(*masks)}
        for label, masks in zip(sample.labels.tolist(), sample.masks.cpu().numpy(), strict=True)
    ]
    return EvaluatedVideo((frames.shape[1], frames.shape[2]), len(frames), truth, found)


def average_precision_percent(videos: Sequence[EvaluatedVideo], *, categories: Categories) -> dict[str, float]:
    """Return ``AP``, ``AP50`` and ``AP75`` in percent; 0 where there is nothing to score.

    Of single frames, these are COCO's numbers.
    """
    scores = evaluate_videos(videos, categories=categories).scores if videos else None
    values = {"AP": scores.ap, "AP50": scores.ap50, "AP75": scores.ap75} if scores else dict.fromkeys(_NAMES)
    return {name: 100.0 * (value or 0.0) for name, value in values.items()}


def _rle(*masks: NDArray[np.bool_]) -> list[dict[str, Any] | None]:
    return [None if mask is None else mask.coco() for mask in map(encode_mask, masks)]
