"""GenVIS: a clip of frames and the state of a video in, a prediction and the new state out."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, initialization

from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.detector.factory import build_detector
from genvis.model.mask_product import projected_mask_logits
from genvis.model.outputs import ClipMasks, ClipPrediction, DetectorOutput, FramePrediction, TrackerOutput, TrackerState
from genvis.model.tracker.propagation_gate import OPEN_GATE, PropagationGate
from genvis.model.tracker.tracker import Tracker

_NO_PROPAGATION: dict[str, Any] = {
    "propagate_queries": False,
    "propagation": "full",
    "frame_reading": "attention",
    "memory_read": "none",
}


class GenVIS(PreTrainedModel):
    """Generalized video instance segmentation: a frame-level detector and a tracker of its queries.

    ``config.method`` also makes it VITA (the whole video is one clip, nothing is propagated) or MinVIS (the detector
    alone, `predict_frames`; see `genvis.inference.trackers.query_matching`).
    """

    config_class = GenVISConfig
    base_model_prefix = "genvis"
    main_input_name = "frames"

    def __init__(self, config: GenVISConfig) -> None:
        super().__init__(config)
        self.detector = build_detector(config.detector_config, config.preprocessing)
        self.tracker = None if config.method == "minvis" else Tracker(config, self.detector.sizes)
        self.post_init()

    def as_vita(self, *, encoder_window_size: int = 6) -> "GenVIS":
        """Return the same network run as VITA: the whole video is one clip, nothing is propagated, no memory.

        Args:
            encoder_window_size: Frames per attention window of the object encoder; 0 attends globally.

        Raises:
            InputError: If the model has no tracker.
        """
        if self.tracker is None:
            raise InputError("A MinVIS model has no tracker, which VITA needs: load a GenVIS or VITA model.")
        return self._with_fields(method="vita", encoder_window_size=encoder_window_size, **_NO_PROPAGATION)

    def as_minvis(self) -> "GenVIS":
        """Return the detector alone, whose queries are matched from frame to frame (MinVIS)."""
        return self._with_fields(method="minvis", **_NO_PROPAGATION)

    def _with_fields(self, **fields: Any) -> "GenVIS":
        other = GenVIS(GenVISConfig(**{**self.config.to_dict(), **fields}))
        kept = other.state_dict().keys()
        other.load_state_dict({name: tensor for name, tensor in self.state_dict().items() if name in kept})
        # The typed `to`: transformers' own only adds a guard for quantised models.
        return nn.Module.to(other, device=self.device, dtype=self.dtype).train(self.training)

    def forward(
        self,
        frames: Tensor,
        state: TrackerState | None = None,
        *,
        memory_clips: int | None = None,
        occupancy_weighted: bool = False,
    ) -> tuple[ClipPrediction, TrackerState]:
        """Segment one clip of each of B videos.

        Args:
            frames: (B, T, 3, H, W), RGB, 0..255, uint8 or float; any T from 1 up.
            state: What the previous clip of the same videos left; None for their first.
            memory_clips: How many past clips the memory is to keep, at least 1; None takes the configured number.
            occupancy_weighted: Propagate a query only as far as it holds an object: p·new + (1 - p)·old, with
                p = 1 - P(no object). Off, as published.

        Returns:
            The prediction, whose masks have the padded size, and the state for the next clip.

        Raises:
            InputError: If the frames have another shape or range, the state is of other videos, ``memory_clips`` is
                less than 1, or the model has no tracker.
        """
        tracker, detected, output, state = self._track(
            frames, state, memory_clips=memory_clips, occupancy_weighted=occupancy_weighted
        )
        batch, length = frames.shape[:2]
        prediction = ClipPrediction(
            class_logits=output.class_logits[-1],
            mask_embeddings=output.mask_embeddings[-1],
            mask_features=tracker.mask_features(detected.features).unflatten(0, (batch, length)),
            frame_queries=detected.frame_queries[-1].unflatten(0, (batch, length)),
        )
        return prediction, state

    def segment(
        self,
        frames: Tensor,
        state: TrackerState | None = None,
        *,
        memory_clips: int | None = None,
        occupancy_weighted: bool = False,
    ) -> tuple[ClipMasks, TrackerState]:
        """Segment one clip of one video: the masks that `forward` leaves as a product, in less time than that takes.

        Args:
            frames: (T, 3, H, W), as in `forward`.
            state: What the previous clip of the same video left; None for its first.
            memory_clips: As in `forward`.
            occupancy_weighted: As in `forward`.

        Returns:
            Classes and masks of all instance queries, and the state for the next clip.

        Raises:
            InputError: As in `forward`.
        """
        tracker, detected, output, state = self._track(
            frames[None], state, memory_clips=memory_clips, occupancy_weighted=occupancy_weighted
        )
        masks = projected_mask_logits(output.mask_embeddings[-1, 0], tracker.mask_features, detected.features)
        return ClipMasks(class_logits=output.class_logits[-1, 0], mask_logits=masks), state

    def _track(
        self, frames: Tensor, state: TrackerState | None, *, memory_clips: int | None, occupancy_weighted: bool
    ) -> tuple[Tracker, DetectorOutput, TrackerOutput, TrackerState]:
        if self.tracker is None:
            raise InputError("A MinVIS model has no tracker: call predict_frames, or load a GenVIS or VITA model.")
        pixel_values = self.prepare_frames(frames)
        batch, length = frames.shape[:2]
        expected = (batch, *self.tracker.first_queries.shape)
        if state is not None and state.instance_queries.shape != expected:
            raise InputError(
                f"The state has instance queries of shape {tuple(state.instance_queries.shape)} instead of {expected}: "
                "give the state that the previous clip of the same videos left, or None for their first clip."
            )
        detected = self.detector(pixel_values)
        tokens = self.tracker.tokens(self.detector, detected).unflatten(0, (batch, length))
        output, state = self.tracker(tokens, state, memory_clips=memory_clips, occupancy_weighted=occupancy_weighted)
        return self.tracker, detected, output, state

    def predict_frames(self, frames: Tensor) -> FramePrediction:
        """Segment each frame on its own with the detector's heads.

        Args:
            frames: (B, T, 3, H, W), as in `forward`.

        Returns:
            The instances of F = B·T frames.
        """
        return self.detector.predict(self.detector(self.prepare_frames(frames)))

    def prepare_frames(self, frames: Tensor) -> Tensor:
        """Normalise and pad resized frames as the detector's preprocessing says.

        Args:
            frames: (B, T, 3, H, W), RGB, 0..255, uint8 or float.

        Returns:
            (B·T, 3, H', W'), the detector's input.

        Raises:
            InputError: If the shape is another, there is no frame, or a value is outside 0..255.
        """
        if not isinstance(frames, Tensor):
            raise InputError(
                f"Frames must be one tensor (B, T, 3, H, W), not a {type(frames).__name__}: bring them to one size and "
                "stack them."
            )
        if frames.ndim != 5 or frames.shape[2] != 3:
            raise InputError(f"Frames must be (B, T, 3, H, W) RGB, not {tuple(frames.shape)}: stack and permute them.")
        if 0 in frames.shape:
            raise InputError(f"Frames of shape {tuple(frames.shape)} hold no pixel: give at least one frame.")
        if frames.dtype != torch.uint8:
            _check_range(frames)
        return self.detector.preprocessing.normalize(frames.flatten(0, 1), dtype=self.dtype)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise what transformers does not know: the parts of the tracker."""
        if isinstance(module, nn.Linear):
            initialization.xavier_uniform_(module.weight)
            if module.bias is not None:
                initialization.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            initialization.xavier_uniform_(module.in_proj_weight)
            initialization.zeros_(module.in_proj_bias)
        elif isinstance(module, nn.Embedding):
            initialization.normal_(module.weight)
        elif isinstance(module, nn.Conv2d):
            initialization.kaiming_uniform_(module.weight, a=1)
            if module.bias is not None:
                initialization.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            initialization.ones_(module.weight)
            initialization.zeros_(module.bias)
        elif isinstance(module, PropagationGate):
            initialization.zeros_(module.weight)
            initialization.constant_(module.bias, OPEN_GATE)


def _check_range(frames: Tensor) -> None:
    low, high = frames.aminmax()
    if not (low >= 0 and high <= 255):  # Also catches NaN.
        raise InputError(f"Float frames must be within 0..255, but these reach from {low:.4g} to {high:.4g}.")
    if high <= 1 and high > 0 and frames.dtype.is_floating_point and bool((frames % 1 != 0).any()):
        warnings.warn("Float frames are expected within 0..255, but these are within 0..1.", stacklevel=3)


AutoConfig.register("genvis", GenVISConfig)
AutoModel.register(GenVISConfig, GenVIS)
