"""Stage 2: VITA, detector and tracker together; a sample is one clip and nothing is propagated."""

from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.model.detector.mask2former import as_mask2former
from genvis.training.cache.detected_videos import DetectedVideos
from genvis.training.criterion.detector import detector_losses
from genvis.training.criterion.uvla import by_video
from genvis.training.stages.detector import by_layer
from genvis.training.stages.genvis import VideoStage, clip_losses
from genvis.training.stages.stage_module import batch_norms, batch_targets, network_input


class VitaStage(VideoStage):
    """Trains everything: the detector by its own losses and, through its queries and features, by the tracker's."""

    def frozen_parts(self) -> list[nn.Module]:
        """Return batch norm, if it is frozen."""
        return batch_norms(self.model.detector) if self.freeze_batch_norm else []

    def losses(self, batch: VideoBatch) -> dict[str, Tensor]:
        """Return the detector's losses, named ``detector_...``, and the tracker's."""
        loss = self.loss_options
        pixels = network_input(self.model, batch)
        output = self.model.detector(pixels, layers=self.model.config.detector.decoder_layers)
        targets = batch_targets(batch, height=pixels.shape[-2], width=pixels.shape[-1])
        B, T = batch.frames.shape[:2]
        own, matched = detector_losses(
            as_mask2former(self.model.detector).predict_layers(output),
            [target.frames(t, t + 1) for target in targets for t in range(T)],
            points=loss.point_source,
            weights=loss.weights,
        )
        L = loss.detector_layers
        videos = DetectedVideos(
            output.frame_queries[-L:].unflatten(1, (B, T)),
            output.features.unflatten(0, (B, T)),
            by_video([layers[-L:] for layers in matched], targets),
            targets,
        )
        named = {f"detector_{name}": value for name, value in by_layer(own._asdict()).items()}
        return named | clip_losses(self.model, videos, frames_per_clip=T, loss=loss)
