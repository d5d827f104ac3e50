"""How frames get to the size at which the network sees them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from genvis.errors import InputError


def resized_size(height: int, width: int, *, min_size: int, max_size: int) -> tuple[int, int]:
    """Return the size with the shorter side ``min_size``, unless the longer side would exceed ``max_size``.

    Args:
        height: Rows of the frame.
        width: Columns of the frame.
        min_size: Wanted length of the shorter side, in pixels.
        max_size: Greatest length of the longer side, in pixels.

    Returns:
        Height and width, each at least 1, rounded half up as the published evaluation does.
    """
    scale = min_size / min(height, width)
    scaled_height, scaled_width = height * scale, width * scale
    longer = max(scaled_height, scaled_width)
    if longer > max_size:
        scaled_height, scaled_width = scaled_height * max_size / longer, scaled_width * max_size / longer
    return max(1, int(scaled_height + 0.5)), max(1, int(scaled_width + 0.5))


def frames_to_tensor(images: Sequence[NDArray[np.uint8]], *, size: tuple[int, int], device: torch.device) -> Tensor:
    """Stack frames of a clip and resize them, bilinear with antialiasing.

    Args:
        images: T frames, (H, W, 3) uint8 RGB each, all of one size.
        size: Height and width to reach.
        device: Where the result goes.

    Returns:
        (T, 3, height, width) uint8.

    Raises:
        InputError: If there is no frame, or one has another shape or type than the first.
    """
    if not images:
        raise InputError("A clip needs at least one frame.")
    for image in images:
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            what = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"A frame must be an array (H, W, 3) of uint8 RGB, not {what}.")
        if image.shape != images[0].shape:
            raise InputError(
                f"All frames of a clip need one size, but {image.shape[:2]} follows {images[0].shape[:2]}."
            )
    stacked = torch.stack([torch.from_numpy(np.ascontiguousarray(image)) for image in images])
    frames = stacked.permute(0, 3, 1, 2).to(device)
    if frames.shape[-2:] == size:
        return frames
    return transforms.resize(frames, list(size), antialias=True)
