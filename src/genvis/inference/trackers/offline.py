"""VITA: the whole video is one clip, so its frame queries are gathered first and decoded together."""

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

import numpy as np
import torch
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.mask_store import IN_MEMORY_BYTES
from genvis.inference.trackers.propagation import TrackedClip
from genvis.model.genvis import GenVIS
from genvis.model.mask_product import projected_mask_logits


class OfflineTracking:
    """Gathers the frames of one video, then follows all identities in one pass.

    The frame queries stay in memory (0.1 MB a frame for the published sizes); the stride-4 map of every frame, which is
    needed once the identities are known, goes to a temporary file (15 MB a frame at 360x640).

    Args:
        model: A VITA model, in evaluation mode.
    """

    def __init__(self, model: GenVIS) -> None:
        if model.tracker is None:
            raise InputError("A MinVIS model has no tracker, so it cannot run offline.")
        self.model = model
        self.tracker = model.tracker
        self._frame_queries: list[Tensor] = []
        self._feature_shape: tuple[int, ...] = ()
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 (lives as long as the video)

    @torch.inference_mode()
    def add(self, frames: Tensor) -> None:
        """Detect in the next frames.

        Args:
            frames: (T, 3, H, W) uint8, on the model's device.

        Raises:
            InputError: If the disk is full.
        """
        detected = self.model.detector(self.model.prepare_frames(frames[None]))
        self._frame_queries.append(detected.frame_queries[-1])
        features = detected.features.permute(0, 2, 3, 1).float().contiguous().cpu().numpy()
        self._feature_shape = features.shape[1:]
        try:
            self._file.write(features.data)
        except OSError as error:
            raise InputError(
                f"The features of the video cannot be kept ({error.strerror}): free some disk space, set TMPDIR to a "
                "folder on another disk, or use a GenVIS model, which needs no such file."
            ) from None

    @torch.inference_mode()
    def finish(self, *, frames_at_once: int = 1) -> Iterator[TrackedClip]:
        """Decode the video and deliver it in pieces; all pieces have the class probabilities of the whole.

        Args:
            frames_at_once: Frames of a piece.
        """
        if not self._frame_queries:
            return
        output, _ = self.tracker(torch.cat(self._frame_queries)[None])
        probabilities = output.class_logits[-1, 0].float().softmax(dim=-1)[:, :-1]
        embeddings = output.mask_embeddings[-1, 0].float()
        frame_bytes = int(np.prod(self._feature_shape)) * 4
        self._file.seek(0)
        while content := self._file.read(frame_bytes * frames_at_once):
            features = torch.from_numpy(np.frombuffer(bytearray(content), np.float32).reshape(-1, *self._feature_shape))
            maps = features.permute(0, 3, 1, 2).to(embeddings.device)
            yield TrackedClip(probabilities, projected_mask_logits(embeddings, self.tracker.mask_features, maps))

    def close(self) -> None:
        """Release the temporary file."""
        self._file.close()
