"""Videos whose colours are their masks: wherever a mask goes, its colour must go as well."""

import torch
from torch import Tensor

from genvis.data.samples.sample import VideoSample


def checkerboard(height: int, width: int, *, square: int, shift: int = 0) -> Tensor:
    """Return (H, W) bool."""
    rows, columns = torch.arange(height)[:, None] + shift, torch.arange(width)[None, :] + 2 * shift
    return (rows // square + columns // square) % 2 == 0


def colour_coded(height: int, width: int, *, frames: int, square: int = 16) -> VideoSample:
    """Return a video of three objects; object c is where colour channel c is 255, and elsewhere the channel is 0."""
    masks = torch.stack(
        [
            torch.stack([checkerboard(height, width, square=square + 3 * c, shift=5 * t + c) for t in range(frames)])
            for c in range(3)
        ]
    )
    return VideoSample(
        frames=(masks.transpose(0, 1) * 255).to(torch.uint8), masks=masks, labels=torch.arange(3), source="pattern"
    )


def certain(sample: VideoSample, margin: int = 4) -> Tensor:
    """Return (N, T, H, W) bool: where the colours are unmixed and say for sure what the masks must be."""
    colours = sample.frames.transpose(0, 1)
    return (colours <= margin) | (colours >= 255 - margin)


def mistakes(sample: VideoSample) -> Tensor:
    """Return (N, T, H, W) bool: where the masks differ from those that the colours tell.

    A colour in the very middle, of a pixel that two squares share equally or of grey padding, tells nothing.
    """
    colours = sample.frames.transpose(0, 1)
    return (sample.masks & (colours < 120)) | (~sample.masks & (colours > 135))
