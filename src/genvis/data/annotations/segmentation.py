"""Masks as annotation files hold them: polygons, compressed and uncompressed run lengths.

Run lengths are those of COCO: a mask is read column by column, and the counts say how many pixels are outside, inside,
outside, ... in turn. The compressed form writes each count as characters of six bits (five of the number and one that
says whether more follow), from the fourth on as the difference to the count two before.
"""

import math
from typing import Any, TypedDict, TypeGuard

import numpy as np
from numpy.typing import NDArray


class RunLengths(TypedDict):
    """A mask as pycocotools holds it: ``size`` is [height, width], ``counts`` the compressed run lengths."""

    size: list[int]
    counts: bytes


class SegmentationError(ValueError):
    """A mask that cannot be read; the text says what is wrong with it, without the place."""


def decode_counts(counts: str | bytes) -> NDArray[np.int64]:
    """Return the counts that a compressed run-length string holds.

    Unlike pycocotools, which reads whatever it is given, this says when the string is damaged.

    Args:
        counts: The string of COCO's ``counts``.

    Returns:
        The counts, (R,) int64; they can be negative in a damaged string.

    Raises:
        SegmentationError: If the string holds a character outside of the alphabet, or ends within a number.
    """
    raw = counts.encode("latin-1", "replace") if isinstance(counts, str) else counts
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if codes.size == 0:
        return np.zeros(0, np.int64)
    if codes.min() < 0 or codes.max() > 63:
        raise SegmentationError("the run lengths hold a character that does not belong there")
    last = (codes & 32) == 0
    if not last[-1]:
        raise SegmentationError("the run lengths end in the middle of a number")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 12:
        raise SegmentationError("the run lengths hold a number that is too long")
    position = np.arange(codes.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & 31) << (5 * position), starts)
    numbers -= np.where(codes[ends] & 16, 1 << (5 * lengths), 0)  # sign of the last group
    # From the fourth count on, each is the difference to the count two before.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def check_counts(counts: NDArray[np.int64], height: int, width: int) -> None:
    """Raise :class:`SegmentationError` unless the counts fill a mask of this size exactly."""
    if counts.size and counts.min() < 0:
        raise SegmentationError("the run lengths hold a negative count")
    if height * width >= 1 << 32:
        raise SegmentationError(f"a frame of {height}x{width} is larger than run lengths can be")
    total = int(counts.sum())
    if total != height * width:
        raise SegmentationError(f"the run lengths sum to {total} instead of {height}x{width} = {height * width}")


def run_length_counts(segmentation: dict[str, Any]) -> NDArray[np.int64]:
    """Return the counts of a run-length mask, compressed or not.

    Args:
        segmentation: A dictionary with ``counts``: a string, or a list of whole numbers.

    Returns:
        The counts, (R,) int64.

    Raises:
        SegmentationError: If the counts are missing or damaged.
    """
    counts = segmentation.get("counts")
    if isinstance(counts, str | bytes):
        return decode_counts(counts)
    # Files hold a hundred million counts: only what runs at the speed of C is fast enough.
    if isinstance(counts, list) and set(map(type, counts)) <= {int}:
        if counts and (max(counts) > 2**53 or min(counts) < -(2**53)):
            raise SegmentationError("the run lengths hold a number that is too long")
        return np.array(counts, np.int64)
    raise SegmentationError("'counts' is neither a string nor a list of whole numbers")


def run_length_size(segmentation: dict[str, Any]) -> tuple[int, int]:
    """Return (height, width) of a run-length mask.

    Raises:
        SegmentationError: If ``size`` is not two positive whole numbers.
    """
    size = segmentation.get("size")
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(is_positive_integer(side) for side in size)):
        raise SegmentationError(f"'size' is {size!r} instead of [height, width]")
    return int(size[0]), int(size[1])


def polygon_points(polygon: Any) -> NDArray[np.float64]:
    """Return the corners of one polygon of a segmentation.

    Args:
        polygon: A flat list x0, y0, x1, y1, ...

    Returns:
        (P, 2) float64, x and y, in pixels.

    Raises:
        SegmentationError: If it is not a flat list of at least three corners.
    """
    if not isinstance(polygon, list):
        raise SegmentationError("a polygon is not a list of numbers")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in polygon):
        raise SegmentationError("a polygon holds something that is not a number")
    if not all(abs(value) < 1e6 and math.isfinite(value) for value in polygon):
        raise SegmentationError("a polygon holds a number that is infinite or beyond any image")
    if len(polygon) % 2:
        raise SegmentationError(f"a polygon has an odd number of coordinates ({len(polygon)})")
    if len(polygon) < 6:
        raise SegmentationError(f"a polygon has {len(polygon) // 2} corners, fewer than 3")
    return np.array(polygon, np.float64).reshape(-1, 2)


def to_run_lengths(segmentation: Any, height: int, width: int) -> RunLengths | None:
    """Return a mask of any form as compressed run lengths.

    Args:
        segmentation: None, a list of polygons, or a dictionary with ``size`` and ``counts``.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Returns:
        The run lengths, or None where the object is absent: for None, an empty list or a mask without pixels.

    Raises:
        SegmentationError: If the mask is damaged or not of the frame's size.
    """
    from pycocotools import mask as coco_mask

    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, list):
        corners = [polygon_points(polygon) for polygon in segmentation]
        parts = coco_mask.frPyObjects([points.ravel().tolist() for points in corners], height, width)
        merged: RunLengths = coco_mask.merge(parts)
        return merged if coco_mask.area(merged) else None
    if not isinstance(segmentation, dict):
        raise SegmentationError(f"the mask is a {type(segmentation).__name__}, not polygons or run lengths")
    size = run_length_size(segmentation)
    if size != (height, width):
        raise SegmentationError(f"the mask is {size[0]}x{size[1]} but the frame is {height}x{width} (height x width)")
    counts = run_length_counts(segmentation)
    check_counts(counts, height, width)
    if not counts[1::2].any():
        return None
    return encode_counts(counts, height, width)


def encode_counts(counts: NDArray[np.int64], height: int, width: int) -> RunLengths:
    """Return counts that fill the frame as compressed run lengths."""
    from pycocotools import mask as coco_mask

    result: RunLengths = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return result


def encode_mask(mask: NDArray[np.bool_]) -> RunLengths | None:
    """Return an (H, W) bool mask as compressed run lengths, or None if it has no pixel."""
    from pycocotools import mask as coco_mask

    if not mask.any():
        return None
    result: RunLengths = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return result


def decode_mask(run_lengths: RunLengths) -> NDArray[np.bool_]:
    """Return run lengths as an (H, W) bool mask."""
    from pycocotools import mask as coco_mask

    decoded: NDArray[np.bool_] = coco_mask.decode(run_lengths).astype(bool)
    return decoded


def is_positive_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value from a JSON file is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
