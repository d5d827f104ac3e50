"""What the tracker learns from: videos as the frozen detector sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genvis.data.samples.batch import VideoBatch
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.model.outputs import DetectorOutput
from genvis.training.criterion.assignment import Indices
from genvis.training.criterion.targets import ObjectTargets
from genvis.training.criterion.uvla import frame_matching
from genvis.training.recipe.loss_options import LossOptions
from genvis.training.stages.stage_module import batch_targets, network_input


@dataclass(frozen=True)
class DetectedVideos:
    """All that the tracker learns from: B videos of T frames as the detector sees them.

    Attributes:
        frame_queries: (L, B, T, Q_f, C) of the last L detector layers.
        stride4_features: (B, T, C, H/4, W/4).
        frame_assignment: For every video and frame (L, N), the frame query of each object or -1.
        targets: Of the B videos, T frames.
    """

    frame_queries: Tensor
    stride4_features: Tensor
    frame_assignment: Sequence[Sequence[Indices]]
    targets: Sequence[ObjectTargets]

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DetectedVideos":
        """Return the same with its tensors on `device`."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return replace(
            self,
            frame_queries=moved(self.frame_queries),
            stride4_features=moved(self.stride4_features),
            targets=[ObjectTargets(moved(target.labels), moved(target.masks)) for target in self.targets],
        )


@torch.no_grad()
def detect_videos(model: GenVIS, batch: VideoBatch, *, loss: LossOptions) -> DetectedVideos:
    """Run the frozen detector.

    Of the detector's own losses, which nobody would learn from, only the matching is computed: the similarity loss
    needs to know which frame query holds which object.

    Args:
        model: The network; its detector should be in evaluation mode.
        batch: B videos of T frames.
        loss: How many detector layers are used, and how masks are compared.
    """
    pixels = network_input(model, batch)
    output = model.detector(pixels, layers=loss.detector_layers)
    targets = batch_targets(batch, height=pixels.shape[-2], width=pixels.shape[-1])
    assignment = match_detections(model, output, targets, loss=loss)
    shape = (len(batch), batch.frames.shape[1])
    return DetectedVideos(
        output.frame_queries.unflatten(1, shape), output.features.unflatten(0, shape), assignment, targets
    )


@torch.no_grad()
def match_detections(
    model: GenVIS, output: DetectorOutput, targets: Sequence[ObjectTargets], *, loss: LossOptions
) -> list[list[Indices]]:
    """Return which frame query holds which object, for every video and frame (L, N)."""
    return frame_matching(
        as_mask2former(model.detector).predict_layers(output), targets, points=loss.point_source, weights=loss.weights
    )
