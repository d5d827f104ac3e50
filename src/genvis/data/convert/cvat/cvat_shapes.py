"""The geometry of CVAT's shapes: what they cover, and how they move between keyframes."""

import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genvis.data.convert.cvat.cvat_xml import CvatShape
from genvis.data.convert.cvat.interpolation import polygons_between
from genvis.json_values import shown
from genvis.masks import MaskError, RLEMask, check_frame_size, draw_polygons, encode_mask, read_mask

DRAWN = ("polygon", "mask", "box", "ellipse")
"""The shapes that cover an area."""

BoxMode = Literal["skip", "rectangle"]

ELLIPSE_CORNERS = 64

# The numbers of each shape that CVAT interpolates; the last of these is an angle in degrees.
NUMBERS = {"box": ("xtl", "ytl", "xbr", "ybr", "rotation"), "ellipse": ("cx", "cy", "rx", "ry", "rotation")}


def shapes_by_frame(
    shapes: list[CvatShape], *, numbers: range, stop: int, fill: bool
) -> Iterator[tuple[int, CvatShape, CvatShape | None, float]]:
    """Return which shapes make up a track in each frame, as CVAT itself reads a file.

    A shape holds until the next one; polygons, boxes and ellipses move on the way. Masks do not: CVAT has no way to
    move them, and writes each one for its own frame.

    Args:
        shapes: The shapes of one track, in the order of the frames.
        numbers: The frames of the task, as the file counts them.
        stop: The last frame that the task says to have.
        fill: Whether frames between and after the shapes are filled in.

    Yields:
        The frame, the shape at or before it, the one after it (None if it stands for itself) and how far the frame is
        on the way to it, 0 to 1.
    """
    step, last_frame = numbers.step, numbers[-1]
    # CVAT leaves out the mark of the end of an untracked shape where it would fall on the last frame or behind it. In
    # exports of projects it compares the frame that was counted on with the last one that was not.
    ends_early = len(shapes) == 1 and shapes[0].frame + step >= stop
    for index, shape in enumerate(shapes):
        if shape.outside:
            continue
        yield shape.frame, shape, None, 0.0
        if not fill or shape.kind == "mask" or ends_early:
            continue
        following = shapes[index + 1] if index + 1 < len(shapes) else None
        if following is None:
            for frame in range(shape.frame + step, last_frame + 1, step):
                yield frame, shape, None, 0.0
            continue
        span = following.frame - shape.frame
        for frame in range(shape.frame + step, following.frame, step):
            yield frame, shape, following if following.kind == shape.kind else None, (frame - shape.frame) / span


def z_order(shape: CvatShape) -> int:
    """Return the place of a shape in depth, 0 if it does not say: a higher number is nearer to the camera."""
    text = shape.fields.get("z_order", "0").strip()
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0


def draw_shape(
    shape: CvatShape, following: CvatShape | None, fraction: float, *, height: int, width: int
) -> RLEMask | None:
    """Return the pixels that a shape covers, or None if there are none within the frame.

    Args:
        shape: A shape of :data:`DRAWN`.
        following: The next shape of the track, of the same kind, where the object is on the way to it.
        fraction: How far on the way, 0 to 1.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Raises:
        MaskError: If the shape is damaged.
    """
    if shape.kind == "mask":
        return _draw_mask(shape, height, width)
    if shape.kind == "polygon":
        corners = _polygon(shape)
        if following is not None:
            corners = polygons_between(corners, _polygon(following), [fraction])[0]
    else:
        numbers = _numbers(shape)
        if following is not None:
            difference = _numbers(following) - numbers
            difference[-1] = (difference[-1] + 180) % 360 - 180  # the short way round
            numbers = numbers + fraction * difference
        corners = _box_corners(numbers) if shape.kind == "box" else _ellipse_corners(numbers)
    return draw_polygons([corners], height=height, width=width)


def _polygon(shape: CvatShape) -> NDArray[np.float64]:
    try:
        corners = np.array([pair.split(",") for pair in shape.fields.get("points", "").split(";")], np.float64)
    except ValueError:
        raise MaskError("its points are not a list of x,y") from None
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise MaskError("its points are not at least three pairs x,y")
    _refuse_infinite(corners)
    return corners


def _numbers(shape: CvatShape) -> NDArray[np.float64]:
    try:
        numbers = np.array(
            [float(shape.fields.get(name, "0" if name == "rotation" else "")) for name in NUMBERS[shape.kind]]
        )
    except ValueError:
        raise MaskError(f"it is without {', '.join(NUMBERS[shape.kind][:-1])}") from None
    _refuse_infinite(numbers)
    return numbers


def _refuse_infinite(numbers: NDArray[np.float64]) -> None:
    if not np.isfinite(numbers).all():
        raise MaskError("it holds a number that is not finite")


def _turned(points: NDArray[np.float64], centre: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned: NDArray[np.float64] = (points - centre) @ turn + centre
    return turned


def _box_corners(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    left, top, right, bottom, rotation = numbers
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return _turned(corners, corners.mean(axis=0), rotation)


def _ellipse_corners(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, radius_x, radius_y, rotation = numbers
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
    centre = np.array([x, y])
    return _turned(centre + np.stack([radius_x * np.cos(angles), radius_y * np.sin(angles)], axis=1), centre, rotation)


def _draw_mask(shape: CvatShape, height: int, width: int) -> RLEMask | None:
    """Draw CVAT's RLE: row by row within a box, outside pixels first; what is off the frame is cut."""
    left, top, box_width, box_height = (_whole(shape, name) for name in ("left", "top", "width", "height"))
    check_frame_size(box_height, box_width)
    try:
        counts = [int(count) for count in shape.fields.get("rle", "").split(",")]
    except ValueError:
        raise MaskError("its rle is not a list of whole numbers") from None
    # What goes row by row through the box goes column by column through its transpose.
    turned = read_mask({"size": [box_width, box_height], "counts": counts}, height=box_width, width=box_height)
    if turned is None:
        return None
    box = turned.decode().T
    mask = np.zeros((height, width), bool)
    rows, columns = slice(max(top, 0), max(top + box_height, 0)), slice(max(left, 0), max(left + box_width, 0))
    target = mask[rows, columns]
    target[...] = box[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
    return encode_mask(mask)


def _whole(shape: CvatShape, name: str) -> int:
    """Return a field that is a whole number, perhaps written as a float."""
    text = shape.fields.get(name, "")
    found = re.fullmatch(r"\s*(-?\d{1,9})(\.0*)?\s*", text)
    if found is None:
        raise MaskError(f"its {name} is {shown(text)} instead of a whole number")
    return int(found[1])
