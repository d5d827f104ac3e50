"""Stage 3: the tracker on the frozen detector, clip after clip with propagated queries (paper, section 3.2)."""

import torch
from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.genvis import GenVIS
from genvis.model.mask_product import embeddings_before_projection
from genvis.training.cache.detected_videos import DetectedVideos, detect_videos
from genvis.training.criterion.full_precision import full_precision
from genvis.training.criterion.uvla import TrackerCriterion
from genvis.training.process_group import gathered
from genvis.training.recipe.loss_options import LossOptions
from genvis.training.stages.detector import by_layer
from genvis.training.stages.stage_module import StageModule
from genvis.training.validation.validation_scores import average_precision_percent, evaluated_video


def clip_losses(model: GenVIS, videos: DetectedVideos, *, frames_per_clip: int, loss: LossOptions) -> dict[str, Tensor]:
    """Return the weighted losses of all clips, in their order, named ``classification_0_clip1`` and so on.

    Args:
        model: The network, whose tracker is trained.
        videos: B videos of T frames.
        frames_per_clip: N_f; the last clip may be shorter.
        loss: What is learned from.

    Raises:
        InputError: If the model has no tracker.
    """
    tracker = model.tracker
    if tracker is None:
        raise InputError("A MinVIS model has no tracker to train: set method to 'genvis' or 'vita' in model.config.")
    L, _, T = videos.frame_queries.shape[:3]
    criterion = TrackerCriterion(
        objects=[len(target.labels) for target in videos.targets],
        decoder_layers=model.config.object_decoder_layers,
        detector_layers=L,
        method=loss.assignment,
        points=loss.point_source,
        weights=loss.weights,
    )
    state = None
    named: dict[str, Tensor] = {}
    for clip, start in enumerate(range(0, T, frames_per_clip)):
        stop = min(start + frames_per_clip, T)
        output, state = tracker(videos.frame_queries[:, :, start:stop].flatten(0, 1), state)
        # A few queries are cheaper to project than all pixels of all frames, forward and backward.
        with full_precision(output.mask_embeddings):
            embeddings, bias = embeddings_before_projection(output.mask_embeddings, tracker.mask_features)
        result = criterion(
            output._replace(mask_embeddings=embeddings),
            videos.stride4_features[:, start:stop],
            bias,
            [frames[start:stop] for frames in videos.frame_assignment],
            [target.frames(start, stop) for target in videos.targets],
        )
        losses = by_layer(result.set._asdict()) | {"similarity": result.similarity}
        named.update({f"{name}_clip{clip}": value for name, value in losses.items()})
    return named


class VideoStage(StageModule):
    """A stage whose model is measured by video AP on whole validation videos."""

    def on_validation_epoch_start(self) -> None:
        """Start to collect videos."""
        self._videos: list[EvaluatedVideo] = []

    @torch.no_grad()
    def validation_step(self, batch: VideoBatch, batch_idx: int) -> None:
        """Segment the videos of a batch as at inference."""
        segmenter = VideoSegmenter(self.model)
        for video, (height, width) in enumerate(batch.sizes.tolist()):
            sample = VideoSample(
                batch.frames[video, ..., :height, :width],
                batch.masks[video][..., :height, :width],
                batch.labels[video],
            )
            self._videos.append(evaluated_video(sample, segmenter))

    def on_validation_epoch_end(self) -> None:
        """Log the video AP of the validation videos, in percent."""
        scores = average_precision_percent(gathered(self._videos), categories=self.model.config.categories)
        self.log_dict({f"video_{name}": value for name, value in scores.items()}, prog_bar=True)


class TrackerStage(VideoStage):
    """Trains the tracker; the detector is frozen, its batch norm too, and runs without gradient."""

    def frozen_parts(self) -> list[nn.Module]:
        """Return the detector."""
        return [self.model.detector]

    def losses(self, batch: VideoBatch | DetectedVideos) -> dict[str, Tensor]:
        """Return the losses of all clips; a cached batch needs no detector."""
        videos = detect_videos(self.model, batch, loss=self.loss_options) if isinstance(batch, VideoBatch) else batch
        return clip_losses(self.model, videos, frames_per_clip=self.model.config.clip_length, loss=self.loss_options)
