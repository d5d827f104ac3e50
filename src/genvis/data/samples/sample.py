"""One training or evaluation sample: the frames of a video with the masks of its objects."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genvis.errors import InputError


@dataclass(frozen=True)
class VideoSample:
    """Frames of one video and its objects.

    Attributes:
        frames: (T, 3, H, W) uint8, RGB.
        masks: (N, T, H, W) bool, the visible pixels of each object; all False in frames where it is not visible.
        labels: (N,) int64, contiguous classes from 0.
        video_id: The data set's own id of the video or image.
        source: The data set the sample is from, for messages and logs.
    """

    frames: Tensor
    masks: Tensor
    labels: Tensor
    video_id: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or self.frames.dtype != torch.uint8:
            raise InputError(
                f"Frames must be (T, 3, H, W) uint8, not {tuple(self.frames.shape)} {self.frames.dtype} "
                f"(video {self.video_id} of '{self.source}')."
            )
        expected = (self.labels.shape[0], self.frames.shape[0], *self.frames.shape[-2:])
        if tuple(self.masks.shape) != expected or self.masks.dtype != torch.bool:
            raise InputError(
                f"Masks must be (N, T, H, W) = {expected} bool, not {tuple(self.masks.shape)} {self.masks.dtype} "
                f"(video {self.video_id} of '{self.source}')."
            )

    @property
    def visible(self) -> Tensor:
        """(N, T) bool: whether the object has at least one pixel in the frame."""
        # Much faster than any(), which PyTorch does not vectorise for bool.
        return self.masks.flatten(2).view(torch.uint8).amax(dim=-1).to(torch.bool)
