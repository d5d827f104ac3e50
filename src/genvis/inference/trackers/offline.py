"""Offline tracking: VITA takes the whole video as one clip, so its frame queries are gathered first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genvis.errors import InputError, OutputError
from genvis.inference.mask_store import IN_MEMORY_BYTES
from genvis.inference.scoring import GREATEST_PROBABILITY
from genvis.inference.trackers.propagation import tracks_of_queries
from genvis.inference.trackers.video_tracker import TrackedClip, VideoTracker
from genvis.model.config import PUBLISHED_NO_OBJECT_WEIGHT
from genvis.model.mask_product import projected_mask_logits

if TYPE_CHECKING:
    from genvis.model.detector.base import FrameDetector
    from genvis.model.tracker.tracker import Tracker


@dataclass
class GatheredVideo:
    """Per-frame detector outputs of a video so far.

    Attributes:
        frame_queries: (T, Q_f, C + P) of each clip, as the tracker reads them; they stay in memory (0.1 MB a frame for
            the published sizes).
        feature_shape: (h, w, C_f) of a frame's features.
        features: The features of all frames, in a temporary file (15 MB a frame at 360x640).
    """

    frame_queries: list[Tensor] = field(default_factory=list)
    feature_shape: tuple[int, ...] = ()
    features: SpooledTemporaryFile[bytes] = field(default_factory=partial(SpooledTemporaryFile, IN_MEMORY_BYTES))


class OfflineTracking(VideoTracker):
    """VITA: all frames of a video are detected, then all tracks are decoded in one pass.

    Fails where the video is long: attention over all its frame queries grows with its square (unless windowed), and
    nothing is known before the last frame.

    Args:
        detector: Frame-level detector, in evaluation mode.
        tracker: Network trained to track the detector's queries.
        frames_at_once: Frames of a clip that `finish` delivers.
        no_object_weight: As in `QueryPropagation`.
    """

    score_rule = GREATEST_PROBABILITY
    is_causal = False

    def __init__(
        self,
        detector: "FrameDetector",
        tracker: "Tracker",
        *,
        frames_at_once: int = 1,
        no_object_weight: float = PUBLISHED_NO_OBJECT_WEIGHT,
    ) -> None:
        self.detector = detector
        self.tracker = tracker
        self.frames_at_once = frames_at_once
        self.no_object_weight = no_object_weight

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: GatheredVideo | None) -> tuple[None, GatheredVideo]:
        """Detect in the next frames, and keep what is found: see `VideoTracker.track`.

        Raises:
            OutputError: If the disk is full.
        """
        state = state or GatheredVideo()
        detected = self.detector(pixel_values)
        state.frame_queries.append(self.tracker.tokens(self.detector, detected))
        features = detected.features.permute(0, 2, 3, 1).float().contiguous().cpu().numpy()  # (T, h, w, C_f)
        state.feature_shape = features.shape[1:]
        try:
            state.features.write(features.data)
        except OSError as error:
            raise OutputError(
                f"The features of the video cannot be kept ({error.strerror}): free some disk space, set TMPDIR to a "
                "folder on another disk, or use a GenVIS model, which needs no such file."
            ) from None
        return None, state

    @torch.inference_mode()
    def finish(self, state: GatheredVideo | None) -> Iterator[TrackedClip]:
        """Decode the video and deliver it in clips; all have the class probabilities of the whole."""
        if state is None:
            return
        output, _ = self.tracker(torch.cat(state.frame_queries)[None])
        embeddings = output.mask_embeddings[-1, 0].float()  # (Q, C_m)
        frame_bytes = int(np.prod(state.feature_shape)) * 4
        state.features.seek(0)
        while content := state.features.read(frame_bytes * self.frames_at_once):
            features = torch.from_numpy(np.frombuffer(bytearray(content), np.float32))
            maps = features.reshape(-1, *state.feature_shape).permute(0, 3, 1, 2).to(embeddings.device)
            masks = projected_mask_logits(embeddings, self.tracker.mask_features, maps)  # (T, Q, h, w)
            yield tracks_of_queries(output.class_logits[-1, 0], masks, no_object_weight=self.no_object_weight)
        state.features.close()

    def state_tensors(self, state: GatheredVideo | None) -> dict[str, Tensor]:
        """Raise InputError: an offline model cannot be interrupted."""
        raise InputError("A VITA model sees the whole video at once: its run cannot be saved in the middle.")

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> GatheredVideo | None:
        """Raise InputError: an offline model cannot be interrupted."""
        raise InputError("A VITA model sees the whole video at once: its run cannot be continued from the middle.")
