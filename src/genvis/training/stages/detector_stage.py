"""Stage 1: the frame-level detector (Mask2Former), trained on single images, or on frames that share objects."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.outputs import FramePrediction
from genvis.training.criterion.hungarian_matching import UNASSIGNED
from genvis.training.criterion.losses import full_precision, identity_loss
from genvis.training.criterion.targets import Indices, ObjectTargets
from genvis.training.process_group import of_the_first, shared_normalizers
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
        output = detector(pixels, layers=detector.sizes.layers)
        losses, assigned = self.frame_criterion.frame_losses(detector.predict_layers(output), targets.frame_by_frame())
        if not self.loss_options.identity:
            return losses.by_layer()
        return losses.by_layer() | {"identity": self._identity(output.frame_queries[-1], assigned[-1], targets)}

    def _identity(self, frame_queries: Tensor, assigned: Indices, targets: ObjectTargets) -> Tensor:
        """Return the weighted identity loss of the last layer's frame queries that hold an object.

        Args:
            frame_queries: (B·T, Q_f, C_det).
            assigned: (N·T,) the frame query of each object in each frame, -1 where it is not visible.
            targets: Of B videos of T frames.
        """
        place = np.flatnonzero(assigned != UNASSIGNED)  # (E,)
        T = targets.in_frame.shape[1]
        objects = place // T
        frames = targets.videos[objects] * T + place % T
        things, moments = (torch.from_numpy(part).to(frame_queries.device) for part in (objects, frames))
        with full_precision(frame_queries):
            total, pairs = identity_loss(frame_queries[frames, assigned[place]], things, moments)
            return self.loss_options.identity * total / shared_normalizers(pairs)

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
