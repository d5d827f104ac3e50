"""Costs and losses are computed in single precision, whatever the network is trained in."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> torch.autocast:
    """Return a context in which products on the tensor's device are not rounded to half precision.

    Sums over the 12,544 points of a clip's frames are beyond what float16 can hold.

    Args:
        tensor: Any one of those that are computed with.
    """
    return torch.autocast(tensor.device.type, enabled=False)
