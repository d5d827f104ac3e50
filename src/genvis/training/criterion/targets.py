"""The ground truth in the form that the losses read."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ObjectTargets:
    """The objects of one video, one clip or one frame.

    Attributes:
        labels: (N,) int64, classes from 0.
        masks: (N, T, H, W) bool, at the padded size of the network's input.
    """

    labels: Tensor
    masks: Tensor

    @cached_property
    def visible(self) -> NDArray[np.bool_]:
        """(N,) whether the object has a pixel in any of the frames."""
        flags: NDArray[np.bool_] = self.masks.flatten(1).any(dim=1).cpu().numpy()
        return flags

    def frames(self, start: int, stop: int) -> "ObjectTargets":
        """Return the same objects in the frames from ``start`` to before ``stop``."""
        return ObjectTargets(self.labels, self.masks[:, start:stop])


def padded_targets(labels: Tensor, masks: Tensor, *, height: int, width: int) -> ObjectTargets:
    """Return targets whose masks are padded with False on the right and bottom, as the frames are.

    Args:
        labels: (N,) int64.
        masks: (N, T, H, W) bool.
        height: The padded height, at least H.
        width: The padded width, at least W.
    """
    return ObjectTargets(labels, F.pad(masks, (0, width - masks.shape[-1], 0, height - masks.shape[-2])))
