"""Stage 1: the frame-level detector (Mask2Former), trained on single images."""

import torch
from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.outputs import FramePrediction
from genvis.training.criterion.detector import detector_losses
from genvis.training.process_group import gathered
from genvis.training.stages.stage_module import StageModule, batch_norms, batch_targets, network_input
from genvis.training.validation.validation_scores import average_precision_percent, evaluated_frame, frame_instances


class DetectorStage(StageModule):
    """Trains the detector; a video's frames are learned one by one, and the tracker is left as it is."""

    finds_videos = False

    def frozen_parts(self) -> list[nn.Module]:
        """Return the tracker, and batch norm if it is frozen."""
        frozen: list[nn.Module] = [] if self.model.tracker is None else [self.model.tracker]
        return frozen + (batch_norms(self.model.detector) if self.freeze_batch_norm else [])

    def losses(self, batch: VideoBatch) -> dict[str, Tensor]:
        """Return class, mask and dice loss of every decoder layer, of the last one without a suffix."""
        pixels = network_input(self.model, batch)
        layers = self.model.config.detector.decoder_layers
        prediction = as_mask2former(self.model.detector).predict_layers(self.model.detector(pixels, layers=layers))
        targets = batch_targets(batch, height=pixels.shape[-2], width=pixels.shape[-1])
        frames = [target.frames(t, t + 1) for target in targets for t in range(batch.frames.shape[1])]
        losses, _ = detector_losses(
            prediction, frames, points=self.loss_options.point_source, weights=self.loss_options.weights
        )
        return by_layer(losses._asdict())

    def on_validation_epoch_start(self) -> None:
        """Start to collect frames."""
        self._frames: list[EvaluatedVideo] = []

    @torch.no_grad()
    def validation_step(self, batch: VideoBatch, batch_idx: int) -> None:
        """Segment the frames of a batch."""
        pixels = network_input(self.model, batch)
        prediction = self.model.detector.predict(self.model.detector(pixels, layers=1))
        T = batch.frames.shape[1]
        for video, (height, width) in enumerate(batch.sizes.tolist()):
            frames = slice(video * T, (video + 1) * T)
            found = frame_instances(
                FramePrediction(
                    prediction.class_scores[frames],
                    prediction.mask_embeddings[frames],
                    prediction.mask_features[frames],
                    prediction.mask_bias,
                ),
                height=height,
                width=width,
                padded=(pixels.shape[-2], pixels.shape[-1]),
                top=self.model.config.detections_per_video,
            )
            for t in range(T):
                masks = batch.masks[video][:, t, :height, :width]
                self._frames.append(
                    evaluated_frame(
                        found[t],
                        labels=batch.labels[video],
                        masks=masks,
                        categories=self.model.config.categories,
                    )
                )

    def on_validation_epoch_end(self) -> None:
        """Log the mask AP of the validation frames."""
        scores = average_precision_percent(gathered(self._frames), categories=self.model.config.categories)
        self.log_dict({f"frame_{name}": value for name, value in scores.items()}, prog_bar=True)


def by_layer(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the losses (S,) of S layers ``name_0``, ``name_1``, ...; that of the last layer just ``name``."""
    return {
        name if layer == len(values) - 1 else f"{name}_{layer}": value
        for name, values in losses.items()
        for layer, value in enumerate(values)
    }
