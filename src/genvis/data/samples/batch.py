"""Several samples side by side: what one training step takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError


@dataclass(frozen=True)
class VideoBatch:
    """B videos of T frames, padded on the right and bottom to one common size.

    The network's input is normalised first and padded with zeros afterwards, whereas the padding here is raw: set
    the normalised pixels outside `sizes` to zero, for example by multiplying with `valid`.

    Attributes:
        frames: (B, T, 3, H, W) uint8, RGB; the padding is 0.
        sizes: (B, 2) int64, the true height and width of each video; always on the CPU.
        masks: B tensors (N_b, T, H, W) bool, padded like the frames; the padding is False.
        labels: B tensors (N_b,) int64, contiguous classes from 0.
        video_ids: The data sets' own ids, for messages and logs.
        sources: The data sets the videos are from, for messages and logs.
    """

    frames: Tensor
    sizes: Tensor
    masks: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    video_ids: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.frames.shape[0]

    @property
    def valid(self) -> Tensor:
        """(B, 1, 1, H, W) bool on the frames' device: True inside each video, False in its padding."""
        H, W = self.frames.shape[-2:]
        sizes = self.sizes.to(self.frames.device)
        rows = torch.arange(H, device=sizes.device) < sizes[:, :1]
        columns = torch.arange(W, device=sizes.device) < sizes[:, 1:]
        return (rows[:, :, None] & columns[:, None, :])[:, None, None]

    @property
    def visible(self) -> tuple[Tensor, ...]:
        """B tensors (N_b, T) bool: whether the object has at least one pixel in the frame."""
        return tuple(masks.flatten(2).any(dim=-1) for masks in self.masks)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "VideoBatch":
        """Return the batch with frames, masks and labels on `device`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "VideoBatch":
        """Return the batch in page-locked memory; `torch.utils.data.DataLoader(pin_memory=True)` calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "VideoBatch":
        return replace(
            self,
            frames=function(self.frames),
            masks=tuple(function(masks) for masks in self.masks),
            labels=tuple(function(labels) for labels in self.labels),
        )


def collate(samples: Sequence[VideoSample], divisor: int = 32) -> VideoBatch:
    """Pad samples to one size and put them into one batch.

    Args:
        samples: B samples of the same number of frames; sizes may differ.
        divisor: Height and width of the batch are multiples of it (the detector needs 32).

    Returns:
        The batch; H and W are the largest height and width of the samples, rounded up to the divisor.

    Raises:
        InputError: If there is no sample, or if the numbers of frames differ.
    """
    if not samples:
        raise InputError("A batch needs at least one sample, not an empty list.")
    lengths = {sample.frames.shape[0] for sample in samples}
    if len(lengths) > 1:
        raise InputError(
            f"The samples of a batch need the same number of frames, not {sorted(lengths)}: "
            "use the same number of clips and frames per clip for every data set."
        )
    sizes = torch.tensor([sample.frames.shape[-2:] for sample in samples])
    H, W = (-(-side // divisor) * divisor for side in sizes.amax(dim=0).tolist())
    frames = torch.zeros((len(samples), lengths.pop(), 3, H, W), dtype=torch.uint8)
    masks = []
    for index, sample in enumerate(samples):
        height, width = sample.frames.shape[-2:]
        frames[index, ..., :height, :width] = sample.frames
        padded = torch.zeros((*sample.masks.shape[:2], H, W), dtype=torch.bool)
        padded[..., :height, :width] = sample.masks
        masks.append(padded)
    return VideoBatch(
        frames=frames,
        sizes=sizes,
        masks=tuple(masks),
        labels=tuple(sample.labels for sample in samples),
        video_ids=tuple(sample.video_id for sample in samples),
        sources=tuple(sample.source for sample in samples),
    )
