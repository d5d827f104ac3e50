"""Videos as the frozen detector sees them: all that the tracker is trained on."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genvis.data.samples.batch import VideoBatch
from genvis.model.detector.base import FrameDetector
from genvis.training.criterion.set_criterion import SetCriterion, frame_set
from genvis.training.criterion.targets import Indices, ObjectTargets
from genvis.training.stages.detector_input import detector_input


@dataclass(frozen=True)
class DetectedVideos:
    """Per-frame detector outputs for B videos of T frames, with their N objects.

    Attributes:
        frame_queries: (L, B, T, Q_f, C_det) of the last L detector layers.
        features: (B, T, C_f, h, w).
        frame_assignment: (L, N, T), the frame query of each object or -1; on the CPU.
        targets: Of the B videos, T frames.
    """

    frame_queries: Tensor
    features: Tensor
    frame_assignment: Indices
    targets: ObjectTargets

    def __len__(self) -> int:
        return len(self.features)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DetectedVideos":
        """Return the same with its tensors on `device`."""
        return replace(
            self,
            frame_queries=self.frame_queries.to(device, non_blocking=non_blocking),
            features=self.features.to(device, non_blocking=non_blocking),
            targets=self.targets.to(device, non_blocking=non_blocking),
        )


@torch.no_grad()
def detect_videos(
    detector: FrameDetector, batch: VideoBatch, *, layers: int, criterion: SetCriterion
) -> DetectedVideos:
    """Run the frozen detector.

    Of the detector's own losses only the matching is computed: the similarity loss needs to know which frame query
    holds which object.

    Args:
        detector: Should be in evaluation mode.
        batch: B videos of T frames.
        layers: L, how many of the detector's last layers are used.
        criterion: Matches the detector's predictions with the objects.
    """
    B, T = batch.frames.shape[:2]
    pixels, targets = detector_input(detector, batch)
    output = detector(pixels, layers=layers)
    prediction = frame_set([detector.predict(output, layer=layer) for layer in range(layers)])
    matched = criterion.match_frames(prediction, targets.frame_by_frame())  # (L, N·T)
    return DetectedVideos(
        output.frame_queries.unflatten(1, (B, T)),
        output.features.unflatten(0, (B, T)),
        matched.reshape(layers, -1, T),
        targets,
    )
