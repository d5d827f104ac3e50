"""Training samples from videos: choose frames, augment, keep what is visible."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from genvis.data.samples.sample import VideoSample
from genvis.data.samples.video_dataset import VideoSource
from genvis.data.sampling.clip_sampling import ClipSampling
from genvis.data.sampling.random_key import RandomKey

VideoTransform = Callable[[dict[str, Any]], Mapping[str, Any]]
"""A transform of torchvision's v2 kind; see :mod:`genvis.data.samples.transforms`."""


class TrainingSource(Protocol):
    """Anything that makes training samples."""

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return the sample that belongs to the key, or None if it came out without any visible object."""
        ...


def augment(
    sample: VideoSample, transform: VideoTransform | None, random: np.random.Generator | None = None
) -> VideoSample:
    """Apply a transform of torchvision's v2 kind to frames and masks alike.

    Args:
        sample: The sample; it is not changed.
        transform: Takes and returns ``{"frames": tv_tensors.Video, "masks": tv_tensors.Mask}``; None does nothing.
        random: Where the seed of the transform's random numbers comes from. PyTorch's own generator is left as it
            was. Without it, the transform draws from PyTorch's generator.

    Returns:
        The transformed sample with all its objects, whether or not they are still visible.

    Raises:
        InputError: If frames and masks no longer fit together, or if the frames are no longer bytes.
    """
    if transform is None:
        return sample
    tensors = {"frames": tv_tensors.Video(sample.frames), "masks": tv_tensors.Mask(sample.masks.view(torch.uint8))}
    if random is None:
        result = transform(tensors)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(random.integers(1 << 63)))
            result = transform(tensors)
    frames, masks = (result[name].as_subclass(Tensor).contiguous() for name in ("frames", "masks"))
    return replace(sample, frames=frames, masks=masks.to(torch.bool))


def keep_visible(sample: VideoSample) -> VideoSample | None:
    """Drop the objects that no frame shows; None if no object is left.

    An object that some frames show stays, with empty masks in the others.
    """
    seen = sample.visible.any(dim=1)
    if not seen.any():
        return None
    if seen.all():
        return sample
    return replace(sample, masks=sample.masks[seen], labels=sample.labels[seen])


@dataclass(frozen=True)
class VideoClips:
    """Clips of annotated videos, augmented (paper, section 4.2).

    Attributes:
        videos: Where the videos are from; use ``VideoDataset(..., skip_empty=True)``.
        sampling: Which frames a sample takes.
        transform: How they are augmented, for example :func:`genvis.data.samples.transforms.video_transform`.
    """

    videos: VideoSource
    sampling: ClipSampling
    transform: VideoTransform | None = None

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return clips of the video whose turn it is, or None if they show no object."""
        random = key.generator()
        index = key.choose(len(self.videos))
        frames = self.sampling.sample(self.videos.length(index), random)
        # What these frames do not show cannot appear by augmenting them.
        sample = keep_visible(self.videos.sample(index, frames))
        return None if sample is None else keep_visible(augment(sample, self.transform, random))
