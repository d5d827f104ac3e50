"""Stage 2: VITA, detector and tracker together; a sample is one clip and nothing is propagated."""

from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.model.detector.mask2former import as_mask2former
from genvis.training.cache.detected_videos import DetectedVideos
from genvis.training.stages.detector_input import detector_input
from genvis.training.stages.genvis_stage import VideoStage, clip_losses
from genvis.training.stages.stage import frozen_detector_parts


class VITAStage(VideoStage):
    """Trains everything: the detector by its own losses and, through its queries and features, by the tracker's."""

    def frozen_parts(self) -> list[nn.Module]:
        """Return backbone and batch norm, if they are frozen."""
        return frozen_detector_parts(
            self.model.detector, backbone=self.freeze_backbone, batch_norm=self.freeze_batch_norm
        )

    def losses(self, batch: VideoBatch) -> dict[str, Tensor]:
        """Return the detector's losses, named ``detector_...``, and the tracker's."""
        detector = as_mask2former(self.model.detector)
        B, T = batch.frames.shape[:2]
        pixels, targets = detector_input(detector, batch)
        output = detector(pixels, layers=detector.sizes.layers)
        losses, matched = self.frame_criterion.frame_losses(detector.predict_layers(output), targets.frame_by_frame())
        L = self.loss_options.detector_layers
        videos = DetectedVideos(
            output.frame_queries[-L:].unflatten(1, (B, T)),
            output.features.unflatten(0, (B, T)),
            matched[-L:].reshape(L, -1, T),
            targets,
        )
        named = {f"detector_{name}": value for name, value in losses.by_layer().items()}
        return named | clip_losses(self.model, videos, frames_per_clip=T, criterion=self.clip_criterion)
