"""Mask AP of the detector on single frames, by COCO's own rules."""

import contextlib
import io
from typing import Any

import numpy as np
import torch
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
        prediction: Of F frames; the last layer counts.
        height: True height of the frames.
        width: True width of the frames.
        padded: Height and width of the network's input.
        top: How many (query, class) pairs of a frame are kept.
    """
    probabilities = prediction.class_logits[-1].float().softmax(-1)[..., :-1]
    scores, flat = probabilities.flatten(1).topk(min(top, probabilities[0].numel()))
    queries, classes = flat // probabilities.shape[-1], flat % probabilities.shape[-1]
    logits = torch.einsum("fqc,fchw->fqhw", prediction.mask_embeddings[-1].float(), prediction.mask_features.float())
    result = []
    for frame in range(logits.shape[0]):
        masks = F.interpolate(logits[frame, None], padded, mode="bilinear")[0, :, :height, :width]
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


class FrameAveragePrecision:
    """Collects frames with their instances and measures COCO's mask AP.

    Args:
        classes: K, the number of classes.
    """

    def __init__(self, classes: int) -> None:
        self._categories = [{"id": index + 1, "name": str(index)} for index in range(classes)]
        self.images: list[dict[str, Any]] = []
        self.truth: list[dict[str, Any]] = []
        self.found: list[dict[str, Any]] = []

    def add(self, instances: list[tuple[int, float, NDArray[np.bool_]]], *, labels: Tensor, masks: Tensor) -> None:
        """Add one frame.

        Args:
            instances: Predictions, see :func:`frame_instances`.
            labels: (N,) classes of the true objects.
            masks: (N, H, W) bool, empty for objects out of sight.
        """
        image = len(self.images) + 1
        self.images.append({"id": image, "height": masks.shape[-2], "width": masks.shape[-1]})
        for label, mask in zip(labels.tolist(), masks.cpu().numpy(), strict=True):
            if mask.any():
                self.truth.append(
                    {
                        "id": len(self.truth) + 1,
                        "image_id": image,
                        "category_id": label + 1,
                        "iscrowd": 0,
                        "area": int(mask.sum()),
                        "segmentation": _encoded(mask),
                    }
                )
        self.found += [
            {"image_id": image, "category_id": label + 1, "score": score, "segmentation": _encoded(mask)}
            for label, score, mask in instances
            if mask.any()
        ]

    def compute(self) -> dict[str, float]:
        """Return ``AP``, ``AP50`` and ``AP75`` in percent; 0 if there is nothing to score."""
        if not self.found or not self.truth:
            return {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = {"images": self.images, "annotations": self.truth, "categories": self._categories}
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(self.found), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {name: 100.0 * float(evaluation.stats[index]) for index, name in enumerate(("AP", "AP50", "AP75"))}


def _encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded: dict[str, Any] = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded
