"""Stage 1: the frame-level detector (Mask2Former), trained on single images."""

from functools import partial

import torch
from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.outputs import FramePrediction
from genvis.training.process_group import of_the_first
from genvis.training.stages.detector_input import detector_input
from genvis.training.stages.stage import StageModule, frozen_detector_parts
from genvis.training.validation.validation_scores import average_precision_percent, evaluated_frame, frame_instances


class DetectorStage(StageModule):
    """Trains the detector; a video's frames are learned one by one, and the tracker is left as it is."""

    finds_videos = False

    def frozen_parts(self) -> list[nn.Module]:
        """Return the tracker, and backbone and batch norm if they are frozen."""
        frozen: list[nn.Module] = [] if self.model.tracker is None else [self.model.tracker]
        return frozen + frozen_detector_parts(
            self.model.detector, backbone=self.freeze_backbone, batch_norm=self.freeze_batch_norm
        )

    def losses(self, batch: VideoBatch) -> dict[str, Tensor]:
        """Return class, mask and dice loss of every decoder layer, of the last one without a suffix."""
        detector = as_mask2former(self.model.detector)
        pixels, targets = detector_input(detector, batch)
        prediction = detector.predict_layers(detector(pixels, layers=detector.sizes.layers))
        losses, _ = self.frame_criterion.frame_losses(prediction, targets.frame_by_frame())
        return losses.by_layer()

    def on_validation_epoch_start(self) -> None:
        """Start to collect frames."""
        self._frames: list[tuple[int, EvaluatedVideo]] = []

    @torch.no_grad()
    def validation_step(self, batch: VideoBatch, batch_idx: int) -> None:
        """Segment the frames of a batch."""
        pixels, _ = detector_input(self.model.detector, batch)
        prediction = self.model.detector.predict(self.model.detector(pixels, layers=1))
        T = batch.frames.shape[1]
        for video, (height, width) in enumerate(batch.sizes.tolist()):
            frames = slice(video * T, (video + 1) * T)
            found = frame_instances(
                FramePrediction(
                    prediction.class_scores[frames],
                    prediction.mask_embeddings[frames],
                    prediction.mask_features[frames],
                    None if prediction.mask_bias is None else prediction.mask_bias[frames],
                ),
                height=height,
                width=width,
                padded=(pixels.shape[-2], pixels.shape[-1]),
                top=self.model.config.detections_per_video,
            )
            for t in range(T):
                masks = batch.masks[video][:, t, :height, :width]
                evaluated = evaluated_frame(
                    found[t],
                    labels=batch.labels[video],
                    masks=masks,
                    categories=self.model.config.categories,
                )
                self._frames.append((self.validation_number(batch_idx), evaluated))

    def on_validation_epoch_end(self) -> None:
        """Log the mask AP of the validation frames."""
        scores = of_the_first(partial(average_precision_percent, categories=self.model.config.categories), self._frames)
        self.log_dict({f"frame_{name}": value for name, value in scores.items()}, prog_bar=True)
