"""Ground truth in the form that the losses read: all objects of a batch in one row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ObjectTargets:
    """The N objects of B videos in T frames; what decides about the matching lies on the CPU.

    Attributes:
        labels: (N,) int64, classes from 0.
        masks: (N, T, H, W) bool, at the padded size of the network's input.
        videos: (N,) the video of each object, 0 to B - 1; on the CPU.
        in_frame: (N, T) whether the object has a pixel in the frame; on the CPU.
    """

    labels: Tensor
    masks: Tensor
    videos: Indices
    in_frame: Flags

    @cached_property
    def visible(self) -> Flags:
        """(N,) whether the object has a pixel in any of the frames."""
        return np.asarray(self.in_frame.any(axis=1))

    def frames(self, start: int, stop: int) -> "ObjectTargets":
        """Return the same objects in the frames from ``start`` to before ``stop``."""
        return ObjectTargets(self.labels, self.masks[:, start:stop], self.videos, self.in_frame[:, start:stop])

    def frame_by_frame(self) -> "ObjectTargets":
        """Return the N·T objects of B·T videos of one frame each: object n in frame t is row n·T + t."""
        T = self.in_frame.shape[1]
        return ObjectTargets(
            self.labels.repeat_interleave(T),
            self.masks.flatten(0, 1).unsqueeze(1),
            (self.videos[:, None] * T + np.arange(T)).reshape(-1),
            self.in_frame.reshape(-1, 1),
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "ObjectTargets":
        """Return the same with labels and masks on ``device``."""
        labels, masks = (part.to(device, non_blocking=non_blocking) for part in (self.labels, self.masks))
        return replace(self, labels=labels, masks=masks)


def join_targets(
    labels: Sequence[Tensor], masks: Sequence[Tensor], *, height: int, width: int, in_frame: Flags | None = None
) -> ObjectTargets:
    """Put the objects of B videos into one row.

    Args:
        labels: For every video (N_b,) int64.
        masks: For every video (N_b, T, H, W) bool; padded with False on the right and bottom, as the frames are.
        height: The padded height, at least H.
        width: The padded width, at least W.
        in_frame: (N, T) visibility in the order of the videos; None computes it, with one transfer to the CPU.
    """
    joint = torch.cat([F.pad(part, (0, width - part.shape[-1], 0, height - part.shape[-2])) for part in masks])
    videos = np.repeat(np.arange(len(labels)), [len(part) for part in labels])
    seen = joint.flatten(2).any(dim=2).cpu().numpy() if in_frame is None else in_frame
    return ObjectTargets(torch.cat(list(labels)), joint, videos, seen)
