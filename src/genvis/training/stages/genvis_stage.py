"""Stage 3: the tracker on the frozen detector, clip after clip with propagated queries (paper, section 3.2)."""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from genvis.data.samples.batch import VideoBatch
from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError
from genvis.evaluation.evaluated_videos import EvaluatedVideo
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.genvis import GenVIS
from genvis.model.outputs import DetectorOutput
from genvis.training.cache.detected_videos import DetectedVideos, detect_videos
from genvis.training.criterion.set_criterion import SetCriterion
from genvis.training.criterion.tracker_criterion import TrackerCriterion
from genvis.training.process_group import of_the_first
from genvis.training.stages.disappearance import simulate_disappearance
from genvis.training.stages.query_noise import QueryNoise
from genvis.training.stages.stage import StageModule
from genvis.training.validation.validation_scores import average_precision_percent, evaluated_video


def clip_losses(
    model: GenVIS,
    videos: DetectedVideos,
    *,
    frames_per_clip: int,
    criterion: SetCriterion,
    noise: QueryNoise | None = None,
) -> dict[str, Tensor]:
    """Return the weighted losses of all clips, in their order, named ``classification_0_clip1`` and so on.

    The identity loss compares clips with one another, so that it is one for all of them, named ``identity``.

    Args:
        model: The network, whose tracker is trained.
        videos: B videos of T frames.
        frames_per_clip: N_f; the last clip may be shorter.
        criterion: Costs and losses of a clip.
        noise: Disturbs the queries between two clips; None leaves them as they are.

    Raises:
        InputError: If the model has no tracker.
    """
    tracker = model.tracker
    if tracker is None:
        raise InputError("A MinVIS model has no tracker to train: set method to 'genvis' or 'vita' in model.config.")
    L, _, T = videos.frame_queries.shape[:3]
    tracker_criterion = TrackerCriterion(
        criterion,
        videos=videos.targets.videos,
        decoder_layers=model.config.object_decoder_layers,
        detector_layers=L,
    )
    tokens = torch.stack([_tokens(model, videos, layer) for layer in range(L)])  # (L, B, T, Q_f, C_det + P)
    state = None
    named: dict[str, Tensor] = {}
    for clip, start in enumerate(range(0, T, frames_per_clip)):
        stop = min(start + frames_per_clip, T)
        output, state = tracker(tokens[:, :, start:stop].flatten(0, 1), state)
        losses = tracker_criterion(
            output,
            tracker.mask_features,
            videos.features[:, start:stop],
            videos.frame_assignment[..., start:stop],
            videos.targets.frames(start, stop),
        )
        named.update({f"{name}_clip{clip}": value for name, value in losses.items()})
        if noise is not None and stop < T:
            state = noise.disturb(state, tracker_criterion.assigned, videos.targets.videos)
    if criterion.options.identity:
        named["identity"] = tracker_criterion.identity()
    return named


def _tokens(model: GenVIS, videos: DetectedVideos, layer: int) -> Tensor:
    """Return the frame queries of one of the detector's layers as the tracker reads them, (B, T, Q_f, C_det + P)."""
    assert model.tracker is not None
    detected = DetectorOutput(videos.frame_queries[layer].flatten(0, 1)[None], videos.features.flatten(0, 1))
    return model.tracker.tokens(model.detector, detected).unflatten(0, videos.frame_queries.shape[1:3])


class VideoStage(StageModule):
    """A stage whose model is measured by video AP on whole validation videos."""

    def on_validation_epoch_start(self) -> None:
        """Start to collect videos."""
        self._videos: list[tuple[int, EvaluatedVideo]] = []

    @torch.no_grad()
    def validation_step(self, batch: VideoBatch, batch_idx: int) -> None:
        """Segment the videos of a batch as at inference."""
        segmenter = VideoSegmenter(self.model, cuda_graphs="off")
        for video, (height, width) in enumerate(batch.sizes.tolist()):
            sample = VideoSample(
                batch.frames[video, ..., :height, :width],
                batch.masks[video][..., :height, :width],
                batch.labels[video],
            )
            self._videos.append((self.validation_number(batch_idx), evaluated_video(sample, segmenter)))

    def on_validation_epoch_end(self) -> None:
        """Log the video AP of the validation videos, in percent."""
        scores = of_the_first(partial(average_precision_percent, categories=self.model.config.categories), self._videos)
        self.log_dict({f"video_{name}": value for name, value in scores.items()}, prog_bar=True)


class GenVISStage(VideoStage):
    """Trains the tracker; the detector, of whichever family, is frozen, its batch norm too, and has no gradient."""

    def frozen_parts(self) -> list[nn.Module]:
        """Return the detector."""
        return [self.model.detector]

    def losses(self, batch: VideoBatch | DetectedVideos) -> dict[str, Tensor]:
        """Return the losses of all clips; a cached batch needs no detector."""
        if isinstance(batch, VideoBatch):
            layers = self.loss_options.detector_layers
            batch = detect_videos(self.model.detector, batch, layers=layers, criterion=self.frame_criterion)
        usual, length = self.model.config.clip_length, self._clip_length()
        if self.loss_options.disappearance:
            batch = simulate_disappearance(
                batch, probability=self.loss_options.disappearance, frames_per_clip=length, random=_random_of_step()
            )
        probability = self.loss_options.query_noise
        noise = QueryNoise(probability, _random_of_step()) if probability else None
        losses = clip_losses(self.model, batch, frames_per_clip=length, criterion=self.clip_criterion, noise=noise)
        if length == usual:
            return losses
        frames = batch.frame_queries.shape[2]
        weight = math.ceil(frames / usual) / math.ceil(frames / length)  # A step of more clips has no more weight.
        # The identity loss is a mean already, over the pairs of all clips.
        return {name: value if name == "identity" else weight * value for name, value in losses.items()}

    def _clip_length(self) -> int:
        """Return the length of this step's clips; the random numbers of a step follow from its number."""
        lengths = self.loss_options.clip_lengths
        if not lengths:
            return self.model.config.clip_length
        return lengths[int(torch.randint(len(lengths), ()))]


def _random_of_step() -> np.random.Generator:
    """Return random numbers that follow from those of the step, so that a run that was killed goes on exactly."""
    return np.random.default_rng(int(torch.randint(2**62, ())))
