"""From a batch of videos to the detector's input, with the objects in the same geometry."""

import torch
from torch import Tensor
from torch.nn import functional as F

from genvis.data.samples.batch import VideoBatch
from genvis.model.detector.base import FrameDetector
from genvis.training.criterion.targets import ObjectTargets, join_targets


def detector_input(detector: FrameDetector, batch: VideoBatch) -> tuple[Tensor, ObjectTargets]:
    """Return the normalised frames of a batch, (B·T, 3, H, W), and its objects.

    A detector of any input size sees frames as the augmentation made them, with zeros outside of each video; one with
    a size of its own (EoMT, RF-DETR) sees them resized as at inference.

    Args:
        detector: With its preprocessing.
        batch: B videos of T frames.
    """
    preprocessing = detector.preprocessing
    if preprocessing.rule == "shortest_edge":
        pixels = preprocessing.normalize(batch.frames.flatten(0, 1))
        H, W = pixels.shape[-2:]
        valid = batch.valid.to(pixels.dtype).expand(-1, batch.frames.shape[1], -1, -1, -1).flatten(0, 1)
        pixels = pixels * F.pad(valid, (0, W - valid.shape[-1], 0, H - valid.shape[-2]))
        return pixels, join_targets(batch.labels, batch.masks, height=H, width=W)
    inputs, masks = [], []
    for frames, objects, (height, width) in zip(batch.frames, batch.masks, batch.sizes.tolist(), strict=True):
        resized = preprocessing.resize(frames[..., :height, :width])
        inputs.append(preprocessing.normalize(resized))
        masks.append(F.interpolate(objects[..., :height, :width].float(), resized.shape[-2:], mode="nearest-exact") > 0)
    pixels = torch.cat(inputs)
    return pixels, join_targets(batch.labels, masks, height=pixels.shape[-2], width=pixels.shape[-1])
