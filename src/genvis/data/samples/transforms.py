"""Transforms of torchvision's v2 kind for videos with masks: what is drawn, is drawn once for the whole video.

They take any structure of tv_tensors, as all v2 transforms do, and mix with those: frames are a `tv_tensors.Video`
(T, 3, H, W), masks a `tv_tensors.Mask` (N, T, H, W) of the same frames. Images (3, H, W) with masks (N, H, W) work as
well, except where frames differ. Random numbers come from PyTorch's generator.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from genvis.errors import InputError


def _integer(low: int, high: int) -> int:
    """Draw a whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, ()))


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def resize(value: Any, size: tuple[int, int]) -> Any:
    """Resize frames bilinearly with antialiasing, and masks to the nearest pixel.

    A pixel of a mask is the one that its centre falls on. torchvision's resizing of masks takes the corner instead,
    which moves masks by up to half a pixel against their frames.

    Args:
        value: Image, Video or Mask (..., H, W).
        size: New height and width.
    """
    if isinstance(value, tv_tensors.Mask):
        mask = value.as_subclass(Tensor)
        return tv_tensors.wrap(F.resize_image(mask, list(size), InterpolationMode.NEAREST_EXACT), like=value)
    return F.resize(value, list(size), InterpolationMode.BILINEAR, antialias=True)


class RandomShortSide(v2.Transform):
    """Resize so that the shorter side is one of several lengths and the longer side at most `max_size`.

    Args:
        short_sides: Pixels; one is drawn per video ("choice_by_clip" of the recipes).
        max_size: Pixels; None for no limit.
    """

    def __init__(self, short_sides: Sequence[int], max_size: int | None = None) -> None:
        super().__init__()
        if not short_sides or min(short_sides) < 1 or (max_size is not None and max_size < 1):
            raise InputError(f"Sizes must be at least 1 pixel, not {list(short_sides)} with max_size {max_size}.")
        self.short_sides = tuple(short_sides)
        self.max_size = max_size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the size."""
        height, width = v2.query_size(flat_inputs)
        scale = self.short_sides[_integer(0, len(self.short_sides) - 1)] / min(height, width)
        if self.max_size is not None:
            scale = min(scale, self.max_size / max(height, width))
        return {"size": (max(1, round(height * scale)), max(1, round(width * scale)))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize frames or masks."""
        return resize(inpt, params["size"])


class SlidingCrop(v2.Transform):
    """Cut out a window that slides from one place to another in the course of the video.

    The window is "absolute_range" of the recipes: height and width are drawn separately, and its two places anywhere
    in the frame. In between it moves linearly, to the pixel; a single frame takes the first place.

    Args:
        smallest: Least height and width in pixels; smaller frames are taken whole.
        largest: Greatest height and width in pixels.
    """

    def __init__(self, smallest: int = 384, largest: int = 600) -> None:
        super().__init__()
        if not 1 <= smallest <= largest:
            raise InputError(f"A crop needs 1 <= smallest <= largest, not {smallest} and {largest}.")
        self.smallest = smallest
        self.largest = largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the window's size and its place in every frame."""
        size = v2.query_size(flat_inputs)
        window = [_integer(min(side, self.smallest), min(side, self.largest)) for side in size]
        free = torch.tensor([side - length for side, length in zip(size, window, strict=True)])
        places = (torch.rand(2, 2) * (free + 1)).floor().minimum(free)
        frames = _frame_count(flat_inputs)
        share = torch.linspace(0, 1, frames)[:, None] if frames > 1 else torch.zeros(1, 1)
        corners = torch.lerp(places[0], places[1], share).round().long().tolist()
        return {"window": window, "corners": corners}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop frames or masks."""
        height, width = params["window"]

        def crop(frame: Any, index: int) -> Any:
            top, left = params["corners"][index]
            return F.crop(frame, top, left, height, width)

        return _frame_by_frame(crop, inpt)


class RotateFrames(v2.Transform):
    """Rotate each frame by an angle and about a centre of its own; what comes into view is black.

    Args:
        degrees: Greatest angle to either side.
        centre: Range of the centre, as a share of height and of width.
    """

    def __init__(self, degrees: float = 15.0, centre: tuple[float, float] = (0.4, 0.6)) -> None:
        super().__init__()
        if not 0 <= degrees <= 180:
            raise InputError(f"A rotation needs an angle of 0 to 180 degrees, not {degrees}.")
        self.degrees = degrees
        self.centre = centre

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw an angle and a centre for every frame."""
        frames = _frame_count(flat_inputs)
        angles = (2 * torch.rand(frames) - 1) * self.degrees
        low, high = self.centre
        return {"angles": angles, "centres": low + (high - low) * torch.rand(frames, 2)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Rotate frames or masks."""
        rows, columns = _rotated_places(inpt.shape[-2:], **params)
        plain = inpt.as_subclass(Tensor)
        if isinstance(inpt, tv_tensors.Mask):
            result = _take_nearest(plain if plain.ndim == 4 else plain[:, None], rows, columns)
        else:
            # All frames in one go, which v2's rotation, with one angle for all, cannot do.
            H, W = plain.shape[-2:]
            grid = torch.stack([2 * columns / W - 1, 2 * rows / H - 1], dim=-1)
            pixels = (plain if plain.ndim == 4 else plain[None]).to(torch.float32)
            mixed = torch.nn.functional.grid_sample(pixels, grid, align_corners=False)
            result = mixed.round_().clamp_(0, 255).to(plain.dtype) if plain.dtype == torch.uint8 else mixed
        return tv_tensors.wrap(result.reshape(plain.shape), like=inpt)


def _rotated_places(size: Sequence[int], angles: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each pixel's centre comes from: row and column, (T, H, W), in pixels from the frame's corner."""
    H, W = size
    radians = torch.deg2rad(angles)[:, None, None]
    cosine, sine = radians.cos(), radians.sin()
    middle_row, middle_column = centres[:, 0, None, None] * H, centres[:, 1, None, None] * W
    down = torch.arange(H)[:, None] + 0.5 - middle_row
    right = torch.arange(W)[None, :] + 0.5 - middle_column
    return cosine * down + sine * right + middle_row, cosine * right - sine * down + middle_column


def _take_nearest(masks: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return masks (N, T, H, W) as seen at places (T, H, W): the pixel that a place lies in, and 0 outside."""
    H, W = masks.shape[-2:]
    row, column = rows.floor().long(), columns.floor().long()
    inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
    place = (row.clamp(0, H - 1) * W + column.clamp(0, W - 1)).flatten(1)
    taken = masks.flatten(2).gather(2, place.expand(len(masks), -1, -1))
    return taken.unflatten(2, (H, W)) * inside


class LargeScaleJitter(v2.Transform):
    """Resize to anything between tiny and twice the target, then crop or pad to a square.

    The augmentation of the stage on COCO: the image is first thought of as filling the square, then scaled by a random
    factor, and a random window of the square's size is taken. Padding is on the right and bottom.

    Args:
        image_size: Height and width of the result in pixels.
        min_scale: Smallest factor.
        max_scale: Greatest factor.
        fill: Value of the padding of frames; 128 is about the mean of all images.
    """

    def __init__(
        self, image_size: int = 1024, *, min_scale: float = 0.1, max_scale: float = 2.0, fill: int = 128
    ) -> None:
        super().__init__()
        if image_size < 1 or not 0 < min_scale <= max_scale:
            raise InputError(
                "Large scale jitter needs image_size of at least 1 and 0 < min_scale <= max_scale, "
                f"not {image_size}, {min_scale} and {max_scale}."
            )
        self.image_size = image_size
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.fill = fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the size and the window."""
        height, width = v2.query_size(flat_inputs)
        scale = _uniform(self.min_scale, self.max_scale) * self.image_size / max(height, width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        corner = [_integer(0, max(0, side - self.image_size)) for side in size]
        window = [min(side, self.image_size) for side in size]
        return {"size": size, "corner": corner, "window": window}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize, crop and pad frames or masks."""
        cropped = F.crop(resize(inpt, params["size"]), *params["corner"], *params["window"])
        bottom, right = (self.image_size - side for side in params["window"])
        fill = 0 if isinstance(inpt, tv_tensors.Mask) else self.fill
        return F.pad(cropped, [0, 0, right, bottom], fill=fill)


def _frame_count(flat_inputs: list[Any]) -> int:
    """Return T, or 1 for images."""
    return next((int(value.shape[0]) for value in flat_inputs if isinstance(value, tv_tensors.Video)), 1)


def _frame_by_frame(function: Any, value: Any) -> Any:
    """Apply `function(frame, index)` to every frame of a Video, or of a Mask (N, T, H, W)."""
    if isinstance(value, tv_tensors.Video):
        axis = 0
    elif isinstance(value, tv_tensors.Mask) and value.ndim == 4:
        axis = 1
    else:
        return function(value, 0)
    # A frame keeps its axis, so that the kind of tensor stays the same.
    parts = [
        function(tv_tensors.wrap(part, like=value), index)
        for index, part in enumerate(value.as_subclass(Tensor).split(1, dim=axis))
    ]
    return tv_tensors.wrap(torch.cat([part.as_subclass(Tensor) for part in parts], dim=axis), like=value)


RECIPE_SHORT_SIDES = (288, 320, 352, 384, 416, 448, 480, 512)


def video_transform(
    *,
    short_sides: Sequence[int] = RECIPE_SHORT_SIDES,
    max_size: int | None = 768,
    crop: bool = True,
    crop_short_sides: Sequence[int] = (400, 500, 600),
    crop_size: tuple[int, int] = (384, 600),
    crop_probability: float = 0.5,
    flip_probability: float = 0.5,
    rotation: float = 0.0,
) -> v2.Compose:
    """Return the recipes' augmentation of videos; the defaults are those of all GenVIS recipes.

    Args:
        short_sides: One is drawn per video as the final length of the shorter side, in pixels.
        max_size: The final longer side is at most this, in pixels.
        crop: Whether to crop at all.
        crop_short_sides: Before the crop, the shorter side is resized to one of these.
        crop_size: Smallest and greatest height and width of the sliding window, in pixels.
        crop_probability: How often a video is cropped; otherwise it goes without the resizing before the crop, too.
        flip_probability: How often a video is mirrored left to right.
        rotation: Greatest angle in degrees by which each frame is rotated on its own; 15 for pseudo videos.
    """
    steps: list[v2.Transform] = []
    if rotation:
        steps.append(RotateFrames(rotation))
    if crop:
        steps.append(v2.RandomApply([RandomShortSide(crop_short_sides), SlidingCrop(*crop_size)], p=crop_probability))
    steps += [RandomShortSide(short_sides, max_size), v2.RandomHorizontalFlip(flip_probability)]
    return v2.Compose(steps)


def pseudo_video_transform(
    *,
    short_sides: Sequence[int] = RECIPE_SHORT_SIDES,
    max_size: int | None = 768,
    crop: bool = True,
    crop_short_sides: Sequence[int] = (400, 500, 600),
    crop_size: tuple[int, int] = (384, 600),
    rotation: float = 15.0,
) -> v2.Compose:
    """Return the recipes' augmentation of an image that is repeated as a video: every frame comes out differently.

    Args:
        short_sides: One is drawn per video as the final length of the shorter side, in pixels.
        max_size: The final longer side is at most this, in pixels.
        crop: Whether to crop at all; without it, only the rotation moves the image.
        crop_short_sides: Before the crop, the shorter side is resized to one of these.
        crop_size: Smallest and greatest height and width of the sliding window, in pixels.
        rotation: Greatest angle in degrees by which each frame is rotated.
    """
    return video_transform(
        short_sides=short_sides,
        max_size=max_size,
        crop=crop,
        crop_short_sides=crop_short_sides,
        crop_size=crop_size,
        rotation=rotation,
    )


def image_transform(
    *, image_size: int = 1024, min_scale: float = 0.1, max_scale: float = 2.0, flip_probability: float = 0.5
) -> v2.Compose:
    """Return the augmentation of the first stage, on single images of COCO.

    Args:
        image_size: Height and width of the result in pixels.
        min_scale: Smallest factor of the large scale jitter.
        max_scale: Greatest factor of the large scale jitter.
        flip_probability: How often an image is mirrored left to right.
    """
    jitter = LargeScaleJitter(image_size, min_scale=min_scale, max_scale=max_scale)
    return v2.Compose([v2.RandomHorizontalFlip(flip_probability), jitter])
