"""Mask AP of the detector on single frames, by COCO's own rules."""

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torch.nn import functional as F

from genvis.model.outputs import FramePrediction


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


class FrameRecord(NamedTuple):
    """One frame with its true and its found instances, ready for COCO's evaluation but for their numbers."""

    size: tuple[int, int]
    truth: list[dict[str, Any]]
    found: list[dict[str, Any]]


def frame_record(
    instances: list[tuple[int, float, NDArray[np.bool_]]], *, labels: Tensor, masks: Tensor
) -> FrameRecord:
    """Return the record of one frame.

    Args:
        instances: Predictions, see :func:`frame_instances`.
        labels: (N,) classes of the true objects.
        masks: (N, H, W) bool, empty for objects out of sight.
    """
    truth = [
        {"category_id": label + 1, "iscrowd": 0, "area": int(mask.sum()), "segmentation": _encoded(mask)}
        for label, mask in zip(labels.tolist(), masks.cpu().numpy(), strict=True)
        if mask.any()
    ]
    found = [
        {"category_id": label + 1, "score": score, "segmentation": _encoded(mask)}
        for label, score, mask in instances
        if mask.any()
    ]
    return FrameRecord((masks.shape[-2], masks.shape[-1]), truth, found)


def frame_average_precision(frames: list[FrameRecord], *, classes: int) -> dict[str, float]:
    """Return COCO's mask ``AP``, ``AP50`` and ``AP75`` of frames in percent; 0 if there is nothing to score.

    Args:
        frames: The records.
        classes: K, the number of classes.
    """
    images: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, frame in enumerate(frames, start=1):
        images.append({"id": number, "height": frame.size[0], "width": frame.size[1]})
        truth += [
            {**record, "image_id": number, "id": len(truth) + place} for place, record in enumerate(frame.truth, 1)
        ]
        found += [{**record, "image_id": number} for record in frame.found]
    if not found or not truth:
        return {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO()
        categories = [{"id": index + 1, "name": str(index)} for index in range(classes)]
        annotations.dataset = {"images": images, "annotations": truth, "categories": categories}
        annotations.createIndex()
        evaluation = COCOeval(annotations, annotations.loadRes(found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100.0 * float(evaluation.stats[index]) for index, name in enumerate(("AP", "AP50", "AP75"))}


def _encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded: dict[str, Any] = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded
