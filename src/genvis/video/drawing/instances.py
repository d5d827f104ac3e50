"""Instances on a frame: mask, contour and label in the track's colour, legible on dark and on light."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genvis.errors import InputError
from genvis.masks import RLEMask, tight_box
from genvis.video.drawing.labels import LabelWriter
from genvis.video.drawing.palette import track_color
from genvis.video.sources.source import RGBImage

Box = tuple[int, int, int, int]
BLACK = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class DrawingStyle:
    """How instances look.

    Attributes:
        fill: Opacity of the mask, 0 to 1.
        contour: Whether the mask's edge is drawn.
        ids: Whether labels say the track id.
        labels: Whether labels say the category.
        scores: Whether labels say the score.
    """

    fill: float = 0.4
    contour: bool = True
    ids: bool = True
    labels: bool = True
    scores: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.fill <= 1:
            raise InputError(f"The opacity of masks must be in [0, 1], not {self.fill}.")


DEFAULT_STYLE = DrawingStyle()


def draw_instances(
    image: RGBImage,
    *,
    masks: NDArray[np.bool_] | Sequence[NDArray[np.bool_] | RLEMask],
    ids: Sequence[int],
    labels: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
    style: DrawingStyle = DEFAULT_STYLE,
) -> RGBImage:
    """Draw instances on a copy of a frame.

    Lines and letters grow with the frame. Labels stay inside it, keep clear of each other where they can, and get
    shorter, down to the track id alone, where a frame or an object is too small for them.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: (N, H, W) bool, or N masks, each (H, W) bool or run lengths; empty ones are skipped.
        ids: N track ids, from 1; they choose the colours.
        labels: N category names.
        scores: N confidences in [0, 1]; better ones are drawn on top.
        style: How instances look.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: If the numbers or sizes do not fit together.
    """
    height, width = image.shape[:2]
    _check(image, masks=masks, ids=ids, labels=labels, scores=scores)
    canvas = Image.fromarray(image)
    boxes: dict[int, Box] = {}
    order = sorted(range(len(ids)), key=lambda place: scores[place] if scores is not None else 0.0)
    thickness = max(1, round(min(height, width) / 300))
    for place in order:
        crop, box = _crop(masks[place])
        if crop is None:
            continue
        boxes[place] = box
        _draw_mask(canvas, crop, box, color=track_color(ids[place]), thickness=thickness, style=style)
    writer = LabelWriter(canvas)
    for place in reversed(order):
        if place in boxes:
            words = _words(place, ids=ids, labels=labels, scores=scores, style=style)
            writer.write(words, box=boxes[place], color=track_color(ids[place]))
    return np.array(canvas)


def scaled_mask(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Scale a mask to another size, (H, W) to (height, width) bool, by the nearest pixel."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask.view(np.uint8)).resize((width, height), Image.Resampling.NEAREST)) > 0


def _check(
    image: RGBImage,
    *,
    masks: NDArray[np.bool_] | Sequence[NDArray[np.bool_] | RLEMask],
    ids: Sequence[int],
    labels: Sequence[str] | None,
    scores: Sequence[float] | None,
) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"The image to draw on must be (H, W, 3) uint8, not {image.shape} {image.dtype}.")
    for name, values in (("masks", masks), ("labels", labels), ("scores", scores)):
        if values is not None and len(values) != len(ids):
            raise InputError(f"There are {len(values)} {name} for {len(ids)} ids.")
    for mask in masks:
        size = (mask.height, mask.width) if isinstance(mask, RLEMask) else mask.shape
        if size != image.shape[:2]:
            raise InputError(f"A mask of {size} does not fit an image of {image.shape[:2]}.")


def _crop(mask: NDArray[np.bool_] | RLEMask) -> tuple[NDArray[np.bool_] | None, Box]:
    """Return the part of a mask inside its box, and the box; None without a pixel."""
    left, top, columns, rows = mask.box if isinstance(mask, RLEMask) else tight_box(mask)
    if rows == 0:
        return None, (0, 0, 0, 0)
    box = left, top, left + columns, top + rows
    if isinstance(mask, RLEMask):
        return np.ascontiguousarray(mask.inside()), box  # row after row, as Pillow reads it
    return mask[top : top + rows, left : left + columns].astype(np.bool_, copy=False), box


def _draw_mask(
    canvas: Image.Image,
    crop: NDArray[np.bool_],
    box: Box,
    *,
    color: tuple[int, int, int],
    thickness: int,
    style: DrawingStyle,
) -> None:
    """Fill and outline one mask: Pillow pastes in C, and only within the box."""
    left, top = box[:2]
    opacity = crop.view(np.uint8) * np.uint8(round(255 * style.fill))
    if style.contour:
        opacity[crop & ~_eroded(crop, thickness)] = 255
        # A dark rim around the contour keeps it visible on a background of its own colour.
        rim = np.pad(crop, 1)
        rim = _dilated(rim) & ~rim
        canvas.paste(BLACK, (left - 1, top - 1), Image.fromarray(rim.view(np.uint8) * np.uint8(110)))
    canvas.paste(color, (left, top), Image.fromarray(opacity))


def _eroded(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Take a square of ``2·radius + 1`` off the edge; beyond the box there is nothing, so its border is edge."""
    height, width = mask.shape
    padded = np.pad(mask, radius)
    rows = padded[:height].copy()
    for shift in range(1, 2 * radius + 1):
        rows &= padded[shift : shift + height]
    result = rows[:, :width].copy()
    for shift in range(1, 2 * radius + 1):
        result &= rows[:, shift : shift + width]
    return result


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    result = mask.copy()
    result[1:] |= mask[:-1]
    result[:-1] |= mask[1:]
    result[:, 1:] |= mask[:, :-1]
    result[:, :-1] |= mask[:, 1:]
    return result


def _words(
    place: int,
    *,
    ids: Sequence[int],
    labels: Sequence[str] | None,
    scores: Sequence[float] | None,
    style: DrawingStyle,
) -> list[str]:
    """The parts of a label, the most important first."""
    words = [str(ids[place])] if style.ids else []
    if style.labels and labels is not None:
        words.append(labels[place])
    if style.scores and scores is not None:
        words.append(f"{scores[place]:.0%}")
    return words
