"""How a model is run: clip length, frame size, memory, classes. What sessions and whole videos have in common."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.categories import Categories
from genvis.errors import InputError
from genvis.inference.mask_geometry import MaskGeometry
from genvis.inference.resizing import frames_to_tensor, resized_size
from genvis.inference.trackers.propagation import Association, ClipTracking
from genvis.model.genvis import GenVIS


class RunSetup:
    """A model and how to run it; the arguments are those of `VideoSegmenter`."""

    def __init__(
        self,
        model: GenVIS,
        *,
        clip_length: int | None,
        min_size: int | None,
        max_size: int | None,
        memory_clips: int | None,
        classes: Sequence[str] | None,
        association: Association | None,
    ) -> None:
        config = model.config
        self.model = model.eval()
        self.labels: Categories = config.categories
        self.clip_length = config.clip_length if clip_length is None else clip_length
        self.min_size = config.min_size_test if min_size is None else min_size
        self.max_size = max(config.max_size_test, self.min_size) if max_size is None else max_size
        self.memory_clips = memory_clips
        self.association: Association = association or ("matching" if config.method == "minvis" else "propagation")
        self.is_offline = config.method == "vita" and association is None
        self.classes = None if classes is None else _class_numbers(classes, self.labels)
        self._geometry: MaskGeometry | None = None
        for name in ("clip_length", "min_size", "max_size", "memory_clips"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1.")

    @property
    def frames_at_once(self) -> int:
        """How many frames go through the detector together: a clip, or some frames of an offline model's one clip."""
        return max(4, self.clip_length) if self.is_offline else self.clip_length

    def tracking(self) -> ClipTracking:
        """Return what follows the identities of one new video."""
        return ClipTracking(self.model, association=self.association, memory_clips=self.memory_clips)

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> tuple[Tensor, MaskGeometry]:
        """Resize the frames of a clip and move them to the model.

        Args:
            images: (H, W, 3) uint8 RGB each, of one size.

        Returns:
            (T, 3, h, w) uint8, and the sizes on the way back.

        Raises:
            InputError: If a frame has another shape, size or type.
        """
        height, width = images[0].shape[:2] if len(images) and getattr(images[0], "ndim", 0) == 3 else (1, 1)
        if 0 in (height, width):
            raise InputError(f"A frame of {height}x{width} pixels holds nothing to segment.")
        geometry = self.geometry(height, width)
        return frames_to_tensor(images, size=geometry.resized, device=self.model.device), geometry

    def geometry(self, height: int, width: int) -> MaskGeometry:
        """Return the sizes that a frame of this size goes through."""
        if self._geometry is None or self._geometry.frame != (height, width):
            resized = resized_size(height, width, min_size=self.min_size, max_size=self.max_size)
            divisor = self.model.config.size_divisibility
            padded = [-(-length // divisor) * divisor for length in resized]
            stride4 = (padded[0] // 4, padded[1] // 4)
            self._geometry = MaskGeometry(frame=(height, width), resized=resized, stride4=stride4)
        return self._geometry

    def settings(self) -> dict[str, Any]:
        """Return what a saved run depends on besides the model."""
        names = ("clip_length", "min_size", "max_size", "memory_clips", "association")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the weights, by which saved sessions and runs know their model."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]


def _class_numbers(names: Sequence[str], labels: Categories) -> tuple[int, ...]:
    known = {label.lower(): number for number, label in enumerate(labels.names)}
    unknown = [name for name in names if name.lower() not in known]
    if unknown or not names:
        what = f"no class '{unknown[0]}'" if unknown else "an empty list of classes"
        raise InputError(f"The model has {what}; it knows {', '.join(labels.names)}.")
    return tuple(sorted({known[name.lower()] for name in names}))
