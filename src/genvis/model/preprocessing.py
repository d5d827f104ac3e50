"""Preprocessing of frames: resizing, padding and normalisation as the weights of a detector expect them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms
from transformers.image_transforms import get_size_with_aspect_ratio

from genvis.errors import InputError

ResizeRule = Literal["shortest_edge", "longest_edge", "square"]
Rounding = Literal["half_up", "down"]
Fill = Literal["pad", "stretch"]
Size = tuple[int, int]
Channels = tuple[float, float, float]

IMAGENET_MEAN: Channels = (123.675, 116.28, 103.53)
IMAGENET_STD: Channels = (58.395, 57.12, 57.375)

# Image processors of transformers, by the model_type of their models.
_CONVENTIONS: dict[str, dict[str, Any]] = {
    "mask2former": {"rounding": "down", "fill": "stretch"},
    "eomt": {"rule": "longest_edge", "rounding": "down", "pads_raw_frames": True},
    "rf_detr": {"rule": "square", "antialias": False, "resizes_masks_once": True},
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Way from a frame of a video to the input of a detector.

    A frame (h, w) is resized to `resized_size`, normalised, and padded on the right and bottom to `padded_size`. The
    defaults are the conventions of the published GenVIS, VITA, MinVIS and VidEoMT models.

    Attributes:
        short_side: Pixels of the shorter side ("shortest_edge"), of the longer side ("longest_edge"), or of both.
        max_size: Greatest length of the longer side, in pixels; counts with "shortest_edge" only, None is no limit.
        rule: Which side gets its length. "shortest_edge" keeps the aspect and pads to a multiple of ``divisor``.
            "longest_edge" keeps the aspect and pads to a square (EoMT). "square" does not keep the aspect (RF-DETR).
        rounding: Of the other side: "half_up" as Detectron2, "down" as the image processors of transformers.
        fill: How "shortest_edge" gets to a multiple of ``divisor``: by zeros ("pad"), or by resizing to that multiple,
            which changes the aspect a little ("stretch", transformers' Mask2Former).
        divisor: Heights and widths of network inputs are multiples of this.
        mean: Subtracted from the RGB channels, 0..255.
        std: Divides the RGB channels, 0..255.
        antialias: Resize uint8 frames bilinearly with antialiasing; False resizes in float32 without it (RF-DETR).
        resizes_masks_once: Masks are resized from their stride of 4 to the frame in one step (RF-DETR); otherwise by
            way of the size of the network's input, where their quality is measured.
        pads_raw_frames: Pad before normalisation, so that the padding is black (EoMT); otherwise the padding is zero
            after it.

    Raises:
        InputError: If a size is less than 1, a standard deviation is not positive, or a name is unknown.
    """

    short_side: int
    max_size: int | None = None
    rule: ResizeRule = "shortest_edge"
    rounding: Rounding = "half_up"
    fill: Fill = "pad"
    divisor: int = 32
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    antialias: bool = True
    pads_raw_frames: bool = False
    resizes_masks_once: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("rule", ResizeRule), ("rounding", Rounding), ("fill", Fill)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise InputError(f"Preprocessing has {name} '{getattr(self, name)}'; it must be one of {known}.")
        for name in ("short_side", "max_size", "divisor"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} of the preprocessing is {value}; it must be at least 1.")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise InputError(
                f"The preprocessing has mean {self.mean} and std {self.std}; give three values each, std above 0."
            )

    @classmethod
    def from_image_processor(
        cls, model_type: str, processor: Mapping[str, Any], *, side: int = 800, divisor: int = 32
    ) -> "Preprocessing":
        """Return the preprocessing of a transformers image processor.

        Args:
            model_type: Of the model it belongs to: "mask2former", "eomt" or "rf_detr".
            processor: Content of ``preprocessor_config.json``; empty for the defaults of the family.
            side: Side of the input where the processor names none, in pixels.
            divisor: Multiple that inputs need, in pixels: 32, or patch size times windows.

        Raises:
            InputError: If the family is unknown, or the processor resizes in a way that its models do not expect.
        """
        if model_type not in _CONVENTIONS:
            raise InputError(f"No preprocessing is known for models of type '{model_type}'.")
        if processor.get("resample", 2) != 2:
            raise InputError(f"The preprocessor resizes by method {processor['resample']}; only bilinear (2) is known.")
        fields = dict(_CONVENTIONS[model_type])
        size = processor.get("size") or {}
        size = {"shortest_edge": size, "longest_edge": processor.get("max_size")} if isinstance(size, int) else size
        if "height" in size:
            if size["height"] != size.get("width"):
                raise InputError(
                    f"The preprocessor resizes to {size['height']}x{size.get('width')}; squares are known."
                )
            fields |= {"short_side": size["height"]}
            if model_type == "mask2former":
                fields |= {"rule": "square"}
        elif model_type == "mask2former":
            fields |= {"short_side": size.get("shortest_edge", side), "max_size": size.get("longest_edge", 1333)}
        else:
            fields |= {"short_side": (size.get("longest_edge") if model_type == "eomt" else None) or side}
        scale = 1 / processor.get("rescale_factor", 1 / 255)
        for name, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            values = processor.get(f"image_{name}")
            fields[name] = default if values is None else tuple(round(value * scale, 6) for value in values)
        return cls(divisor=divisor, **fields)

    def with_resolution(self, short_side: int, max_size: int | None = None) -> "Preprocessing":
        """Return the same with another resolution, the user's choice.

        Args:
            short_side: As the attribute; where inputs are squares, rounded up to a multiple of ``divisor``.
            max_size: As the attribute; None keeps the limit, but lets it be no lower than ``short_side``.

        Raises:
            InputError: If a size is less than 1, or the limit is below the shorter side.
        """
        if max_size is not None and 1 <= max_size < short_side:
            raise InputError(f"max_size {max_size} is below the resolution {short_side}: give at least {short_side}.")
        if self.rule != "shortest_edge":
            short_side = self._multiple(short_side)
        elif max_size is None and self.max_size is not None:
            max_size = max(self.max_size, short_side)
        return replace(self, short_side=short_side, max_size=max_size)

    def resized_size(self, height: int, width: int) -> Size:
        """Return the size (h', w') to which a frame is resized, each side at least 1 pixel.

        Args:
            height: Rows of the frame.
            width: Columns of the frame.
        """
        if self.rule == "square":
            return self.short_side, self.short_side
        longest = self.short_side if self.rule == "longest_edge" else self.max_size
        if self.rounding == "down":
            resized = get_size_with_aspect_ratio((height, width), self.short_side, longest)
        else:
            resized = _half_up(height, width, shortest=self.short_side, longest=longest)
        resized = max(1, resized[0]), max(1, resized[1])
        if self.rule == "shortest_edge" and self.fill == "stretch":
            return self._multiple(resized[0]), self._multiple(resized[1])
        return resized

    def padded_size(self, height: int, width: int) -> Size:
        """Return the size (H', W') of the network's input for a resized frame of (h', w')."""
        if self.rule == "longest_edge":
            return max(height, self.short_side), max(width, self.short_side)
        if self.rule == "square":
            return height, width
        return self._multiple(height), self._multiple(width)

    def resize(self, frames: Tensor) -> Tensor:
        """Resize frames.

        Args:
            frames: (T, 3, h, w) uint8.

        Returns:
            (T, 3, h', w'), 0..255: uint8, or float32 without antialiasing.
        """
        size = self.resized_size(frames.shape[-2], frames.shape[-1])
        if frames.shape[-2:] == size:
            return frames
        if not self.antialias:
            frames = frames.float()
        return transforms.resize(frames, list(size), antialias=self.antialias)

    def normalize(self, frames: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normalise and pad resized frames.

        Args:
            frames: (F, 3, h', w'), RGB, 0..255, uint8 or float.
            dtype: Of the result; the arithmetic is done in float32 at least.

        Returns:
            (F, 3, H', W'), the network's pixel values.
        """
        height, width = frames.shape[-2:]
        padded = self.padded_size(height, width)
        padding = (0, padded[1] - width, 0, padded[0] - height)
        if self.pads_raw_frames:
            frames = F.pad(frames, padding)
        pixels = frames.to(torch.promote_types(dtype, torch.float32), copy=True)
        # Numbers instead of tensors: nothing is copied to the device, so that nothing waits for it.
        for channel, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            pixels[:, channel].sub_(mean).div_(std)
        return (pixels if self.pads_raw_frames else F.pad(pixels, padding)).to(dtype)

    def _multiple(self, length: int) -> int:
        return -(-length // self.divisor) * self.divisor


def _half_up(height: int, width: int, *, shortest: int, longest: int | None) -> Size:
    """Return the size with the shorter side ``shortest``, unless the longer side would exceed ``longest``."""
    scale = shortest / min(height, width)
    scaled_height, scaled_width = height * scale, width * scale
    longer = max(scaled_height, scaled_width)
    if longest is not None and longer > longest:
        scaled_height, scaled_width = scaled_height * longest / longer, scaled_width * longest / longer
    return int(scaled_height + 0.5), int(scaled_width + 0.5)
