"""Binary masks as COCO's RLE, and polygons drawn as masks: the one codec, and the one validator of every reader.

An RLE reads a mask column by column; its counts say how many pixels are outside, inside, outside, ... in turn. The
compressed form writes each count as characters of six bits (five of the number, one that says whether more follow),
from the fourth count on as the difference to the count two before (pycocotools, maskApi.c).

pycocotools trusts whatever it is given: counts that do not fill their frame show it stray memory or never end. So all
that comes from a file passes :func:`read_mask` or :func:`read_masks` first. Their bounds keep what a small file can
ask for below 1 GB.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

from genvis.errors import InputError
from genvis.json_values import shown, whole_number

LARGEST_SIDE = 65_535
"""Most rows, and most columns, of a frame, in pixels: the limit of JPEG."""

MOST_PIXELS = 1 << 27
"""Most pixels of a frame: 134 million, enough for video in 16K (15,360 x 8,640)."""

LONGEST_RLE = 1 << 24
"""Most counts of one RLE, and most characters of a compressed one."""

LONGEST_OUTLINE = 1 << 22
"""Longest outline of the polygons of one mask, in pixels."""

# A count below 2^33 has at most seven characters; more are damage, and would overflow what adds them up.
_MOST_CHARACTERS = 7
# The value of a number's last five bits, which are signed.
_SIGNED = np.array([*range(16), *range(-16, 0)], np.int64)
# Characters that are decoded at once; each takes some 40 bytes meanwhile.
_BLOCK = 1 << 16
# pycocotools (2.0.11) fails in `area` on more masks in one call.
_AREAS_PER_CALL = 255


class MaskError(InputError):
    """A mask that cannot be read; the text says what is wrong with it, without the place.

    Attributes:
        position: Which of several masks it is.
    """

    position: int = 0


class MaskSizeError(MaskError):
    """A mask of another size than its frame."""


class MaskSumError(MaskError):
    """An RLE whose counts do not fill its frame exactly."""


@dataclass(frozen=True, slots=True)
class RLEMask:
    """One binary mask as compressed RLE, a few hundred bytes.

    Attributes:
        height: Rows of the mask.
        width: Columns of the mask.
        counts: The compressed counts, ASCII bytes as pycocotools writes them.
    """

    height: int
    width: int
    counts: bytes

    @classmethod
    def encode(cls, mask: ArrayLike) -> "RLEMask":
        """Compress a dense mask.

        Args:
            mask: (H, W), bool or numbers of which all but 0 count as foreground.

        Raises:
            InputError: If the mask does not have two dimensions, or no pixel at all.
        """
        dense = np.asarray(mask)
        if dense.ndim != 2 or dense.size == 0:
            raise InputError(f"A mask must be (H, W) with at least one pixel, not {dense.shape}.")
        if dense.dtype != np.bool_:
            dense = dense != 0
        left, top, columns, rows = tight_box(dense)
        inside = dense[top : top + rows, left : left + columns]
        return cls.from_box(inside, left=left, top=top, height=dense.shape[0], width=dense.shape[1])

    @classmethod
    def from_box(cls, inside: NDArray[np.bool_], *, left: int, top: int, height: int, width: int) -> "RLEMask":
        """Compress a mask of which only a part has pixels; the time depends on that part, not on the frame.

        Args:
            inside: (h, w) bool, the part.
            left: First column of the part in the frame.
            top: First row of the part in the frame.
            height: Rows of the frame.
            width: Columns of the frame.

        Raises:
            InputError: If the part does not lie within the frame.
        """
        rows, columns = inside.shape
        if not (0 <= top <= height - rows and 0 <= left <= width - columns):
            raise InputError(f"A part of {rows}x{columns} at row {top}, column {left} exceeds {height}x{width} pixels.")
        framed = np.zeros((columns, rows + 2), np.bool_)
        framed[:, 1:-1] = inside.T
        column, row = np.divmod(np.flatnonzero(framed[:, 1:] != framed[:, :-1]), rows + 1)
        changes = (column + left) * height + (row + top)  # between outside and inside, in reading order
        if rows == height:
            # A run that goes on from the last row of a column to the first of the next does not end there.
            goes_on = np.flatnonzero(changes[1:] == changes[:-1])
            changes = np.delete(changes, np.concatenate((goes_on, goes_on + 1)))
        counts = np.diff(changes, prepend=0, append=height * width)
        if len(counts) > 1 and counts[-1] == 0:
            counts = counts[:-1]
        encoded = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return cls(height, width, encoded["counts"])

    @classmethod
    def from_coco(cls, segmentation: Mapping[str, Any]) -> "RLEMask":
        """Read COCO's dictionary: ``size`` [H, W] and ``counts`` as text, bytes, or a list of numbers.

        Raises:
            InputError: If it is not one, or damaged.
        """
        try:
            height, width = read_size(segmentation)
            mask = read_mask(segmentation, height=height, width=width)
        except MaskError as error:
            raise InputError(f"A mask cannot be read: {error}.") from None
        return cls.encode(np.zeros((height, width), np.bool_)) if mask is None else mask

    def coco(self) -> dict[str, Any]:
        """Return the dictionary that pycocotools takes."""
        return {"size": [self.height, self.width], "counts": self.counts}

    def to_coco(self) -> dict[str, Any]:
        """Return COCO's dictionary with ``counts`` as text, ready for JSON."""
        return {"size": [self.height, self.width], "counts": self.counts.decode("ascii")}

    def decode(self, out: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Return the dense mask, (H, W) bool.

        Args:
            out: (H, W) zeros to write it into, instead of a new array.
        """
        dense = np.zeros((self.height, self.width), np.bool_) if out is None else out
        left, top, columns, rows = self.box
        dense[top : top + rows, left : left + columns] = self.inside()
        return dense

    def inside(self) -> NDArray[np.bool_]:
        """Return the dense mask inside its `box`, (h, w) bool, in a time that depends on the box, not on the frame."""
        left, top, columns, rows = self.box
        counts, _ = decode_counts([self.counts])
        ends = np.cumsum(counts)
        starts, stops = ends[:-1:2], ends[1::2]  # of the runs inside, in pixels of the frame, column by column
        if rows == self.height:  # Runs can go on from one column to the next.
            flat = _filled(columns * rows, starts - left * self.height, stops - left * self.height)
            return flat.reshape(columns, rows).T
        column = starts // self.height
        first = (column - left) * (rows + 1) - column * self.height - top  # of the column, in the box less in the frame
        return _filled(columns * (rows + 1), starts + first, stops + first).reshape(columns, rows + 1)[:, :rows].T

    @property
    def area(self) -> int:
        """Foreground pixels."""
        return int(coco_mask.area(self.coco()))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The tight box as COCO has it: left, top, width, height in pixels; all 0 if the mask is empty."""
        left, top, width, height = (int(number) for number in coco_mask.toBbox(self.coco()))
        return left, top, width, height


def _filled(length: int, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (length,) bool, True in the runs from each start up to its stop."""
    steps = np.zeros(length + 1, np.int8)
    steps[starts] += 1
    steps[stops] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the tight box of an (H, W) bool mask as COCO has it: left, top, width, height; all 0 without a pixel."""
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return 0, 0, 0, 0
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return left, top, right - left, bottom - top


def encode_mask(mask: NDArray[np.bool_]) -> RLEMask | None:
    """Return an (H, W) bool mask as RLE, or None if it has no pixel."""
    return RLEMask.encode(mask) if mask.any() else None


def merge_masks(masks: Sequence[RLEMask]) -> RLEMask:
    """Return the union of one or more masks of one size."""
    if len(masks) == 1:
        return masks[0]
    merged = coco_mask.merge([mask.coco() for mask in masks])
    return RLEMask(masks[0].height, masks[0].width, merged["counts"])


def overlap_area(first: RLEMask, second: RLEMask) -> int:
    """Return how many pixels two masks of one size have in common, without decoding them."""
    common = coco_mask.merge([first.coco(), second.coco()], intersect=True)
    return int(coco_mask.area(common))


def without(mask: RLEMask, taken: RLEMask) -> RLEMask:
    """Return the pixels of a mask that are not in another one of its size, without decoding them."""
    counts, _ = decode_counts([taken.counts])
    outside = counts[1:] if counts[0] == 0 else np.concatenate(([0], counts))
    free = coco_mask.frPyObjects({"size": [taken.height, taken.width], "counts": outside}, taken.height, taken.width)
    left = coco_mask.merge([mask.coco(), free], intersect=True)
    return RLEMask(mask.height, mask.width, left["counts"])


def mask_areas(encoded: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """Return the pixels of masks, (N,), given as pycocotools' dictionaries."""
    if not encoded:
        return np.zeros(0, np.int64)
    starts = range(0, len(encoded), _AREAS_PER_CALL)
    parts = [coco_mask.area(list(encoded[start : start + _AREAS_PER_CALL])) for start in starts]
    return np.concatenate(parts).astype(np.int64)


def check_frame_size(height: int, width: int) -> None:
    """Raise :class:`MaskError` unless frames of this size can be worked with."""
    if min(height, width) < 1 or max(height, width) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise MaskError(
            f"{shown(height)}x{shown(width)} (height x width) is no possible size: sides are 1 to {LARGEST_SIDE:,} "
            f"pixels, and a frame has at most {MOST_PIXELS:,}"
        )


def read_size(segmentation: Mapping[str, Any]) -> tuple[int, int]:
    """Return (height, width) of an RLE as COCO's dictionary has it.

    Raises:
        MaskError: If ``size`` is not two whole numbers, or no possible size of a frame.
    """
    size = segmentation.get("size") if isinstance(segmentation, Mapping) else None
    if isinstance(size, list | tuple) and len(size) == 2:
        height, width = whole_number(size[0]), whole_number(size[1])
        if height is not None and width is not None:
            check_frame_size(height, width)
            return height, width
    raise MaskError(f"'size' is {shown(size)} instead of [height, width]")


def read_mask(segmentation: Any, *, height: int, width: int) -> RLEMask | None:
    """Return a mask of any of COCO's forms.

    Args:
        segmentation: None, a list of polygons, or a dictionary with ``size`` and ``counts`` (text, bytes or a list).
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Returns:
        The mask, or None where the object is absent: for None, an empty list or a mask without pixels.

    Raises:
        MaskError: If the mask is damaged or not of the frame's size, or the frame too large.
    """
    return read_masks([segmentation], height=height, width=width)[0]


def read_masks(segmentations: Sequence[Any], *, height: int, width: int) -> list[RLEMask | None]:
    """Return many masks of one frame size, as :func:`read_mask` does, in a fraction of its time.

    Raises:
        MaskError: If a mask is damaged; its ``position`` says which.
    """
    check_frame_size(height, width)
    masks: list[RLEMask | None] = [None] * len(segmentations)
    texts: dict[int, bytes] = {}
    for position, segmentation in enumerate(segmentations):
        if segmentation is None or segmentation == []:
            continue
        try:
            if isinstance(segmentation, list):
                polygons = [polygon_points(polygon) for polygon in segmentation]
                masks[position] = draw_polygons(polygons, height=height, width=width)
                continue
            counts = _counts_of(segmentation, height, width)
            if isinstance(counts, bytes):
                texts[position] = counts
            else:
                _check_counts(counts, np.array([0, len(counts)]), height, width)
                masks[position] = _mask_of(counts, height, width)
        except MaskError as error:
            error.position = position
            raise
    for block in _blocks(texts):
        for position, mask in _read_texts(block, height, width).items():
            masks[position] = mask
    return masks


def polygon_points(polygon: Any) -> NDArray[np.float64]:
    """Return the corners of one polygon of a segmentation.

    Args:
        polygon: A flat list x0, y0, x1, y1, ...

    Returns:
        (P, 2) float64, x and y, in pixels.

    Raises:
        MaskError: If it is not a flat list of at least three corners, or one is beyond any image.
    """
    if not isinstance(polygon, list):
        raise MaskError("a polygon is not a list of numbers")
    if not set(map(type, polygon)) <= {int, float}:
        raise MaskError("a polygon holds something that is not a number")
    if len(polygon) % 2:
        raise MaskError(f"a polygon has an odd number of coordinates ({len(polygon)})")
    if len(polygon) < 6:
        raise MaskError(f"a polygon has {len(polygon) // 2} corners, fewer than 3")
    # Before NumPy sees them: whole numbers of a file can have thousands of digits.
    if not all(-LARGEST_SIDE <= number <= LARGEST_SIDE for number in polygon):
        raise MaskError("a polygon holds a number that is infinite or beyond any image")
    return np.array(polygon, np.float64).reshape(-1, 2)


def draw_polygons(polygons: Sequence[NDArray[np.float64]], *, height: int, width: int) -> RLEMask | None:
    """Return the pixels that polygons cover together, by COCO's rule, or None if there are none.

    Args:
        polygons: (P, 2) float64 each, x and y in pixels. Parts outside of the frame are cut.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Raises:
        MaskError: If a corner is beyond any image, or the outline longer than the bound.
    """
    check_frame_size(height, width)
    polygons = [points for points in polygons if len(points) > 2]  # pycocotools takes two corners for a box
    if not polygons:
        return None
    outline = 0.0
    for points in polygons:
        if not (np.abs(points) <= LARGEST_SIDE).all():
            raise MaskError("a polygon holds a number that is infinite or beyond any image")
        outline += float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())
    if outline > LONGEST_OUTLINE:
        raise MaskError(f"its polygons have an outline of {outline:,.0f} pixels, more than {LONGEST_OUTLINE:,}")
    drawn = coco_mask.frPyObjects([points.ravel().tolist() for points in polygons], height, width)
    mask = merge_masks([RLEMask(height, width, part["counts"]) for part in drawn])
    return mask if mask.area else None


def decode_counts(texts: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of N compressed RLEs, whatever they sum to.

    Args:
        texts: The compressed counts of each.

    Returns:
        All counts one after the other, (R,) int64, which can be negative in damaged ones, and where each RLE begins,
        (N + 1,) int64; the last entry is R.

    Raises:
        MaskError: If a text is empty, too long, ends within a number, or holds something else; its ``position`` says
            which.
    """
    lengths = np.array([len(text) for text in texts], np.int64)
    _refuse(lengths == 0, "the RLE has no counts")
    _refuse(lengths > LONGEST_RLE, f"the RLE has more than {LONGEST_RLE:,} characters")
    ends = np.cumsum(lengths)
    codes = np.frombuffer(b"".join(texts), np.uint8) - np.uint8(48)  # what lies below wraps around to above 63
    if codes.max() > 63:
        _refuse(np.maximum.reduceat(codes, ends - lengths) > 63, "the RLE holds a character that does not belong there")
    last = np.flatnonzero(codes < 32)  # Each number ends with its highest five bits, the sign among them.
    _refuse(codes[ends - 1] >= 32, "the RLE ends in the middle of a number")
    starts = np.searchsorted(last, np.concatenate((ends - lengths, ends[-1:])))
    digits = np.diff(last, prepend=-1)
    if digits.max() > _MOST_CHARACTERS:
        _refuse(np.maximum.reduceat(digits, starts[:-1]) > _MOST_CHARACTERS, "the RLE holds a number that is too long")
    counts = _SIGNED[codes[last]]
    for place in range(1, int(digits.max())):
        longer = np.flatnonzero(digits > place)
        counts[longer] = (counts[longer] << 5) + (codes[last[longer] - place] & 31)
    # From the fourth count of an RLE on, each is the difference to the count two before.
    for start, stop in pairwise(starts.tolist()):
        for chain in (counts[start + 1 : stop : 2], counts[start + 2 : stop : 2]):
            np.cumsum(chain, out=chain)
    return counts, starts


def _counts_of(segmentation: Any, height: int, width: int) -> "bytes | NDArray[np.int64]":
    """Return the counts of an RLE of the frame's size: compressed ones as they are, others as numbers; unchecked."""
    if not isinstance(segmentation, Mapping):
        raise MaskError(f"the mask is a {type(segmentation).__name__}, not polygons or RLE")
    size = read_size(segmentation)
    if size != (height, width):
        raise MaskSizeError(f"the mask is {size[0]}x{size[1]} but the frame is {height}x{width} (height x width)")
    counts = segmentation.get("counts")
    if isinstance(counts, bytes):
        return counts
    if isinstance(counts, str):
        return counts.encode("utf-8", "surrogatepass")
    # Files hold a hundred million counts: only what runs at the speed of C is fast enough.
    kinds = set(map(type, counts)) if isinstance(counts, list) else set()
    if not isinstance(counts, list) or not kinds <= {int, float}:
        raise MaskError("'counts' is neither a text nor a list of whole numbers")
    if not 0 < len(counts) <= LONGEST_RLE:
        raise MaskError(f"the RLE has {len(counts):,} counts instead of 1 to {LONGEST_RLE:,}")
    try:
        numbers = np.array(counts, np.float64 if float in kinds else np.int64)
    except OverflowError:
        raise MaskError("the RLE holds a number that is too long") from None
    if not (numbers == np.trunc(numbers)).all():  # NaN is not
        raise MaskError("'counts' is neither a text nor a list of whole numbers")
    if not -MOST_PIXELS <= numbers.min() <= numbers.max() <= MOST_PIXELS:
        raise MaskError("the RLE holds a number that is too long")
    return numbers.astype(np.int64, copy=False)


def _read_texts(texts: Mapping[int, bytes], height: int, width: int) -> dict[int, RLEMask | None]:
    """Return the masks of compressed RLEs, decoded together."""
    try:
        counts, starts = decode_counts(list(texts.values()))
        _check_counts(counts, starts, height, width)
    except MaskError as error:
        error.position = list(texts)[error.position]
        raise
    is_empty_run = counts == 0
    is_empty_run[starts[:-1]] = False
    is_canonical = ~np.logical_or.reduceat(is_empty_run, starts[:-1]) & (np.diff(starts) > 1)
    masks: dict[int, RLEMask | None] = {}
    for index, (position, text) in enumerate(texts.items()):
        if is_canonical[index]:
            masks[position] = RLEMask(height, width, text)
        else:
            masks[position] = _mask_of(counts[starts[index] : starts[index + 1]], height, width)
    return masks


def _check_counts(counts: NDArray[np.int64], starts: NDArray[np.int64], height: int, width: int) -> None:
    """Refuse RLEs, as :func:`decode_counts` returns them, that do not fill a frame exactly."""
    pixels = height * width
    _refuse(np.minimum.reduceat(counts, starts[:-1]) < 0, "the RLE has a negative count")
    # At most 2^24 counts below 2^34: their sum cannot overflow.
    sums = np.add.reduceat(counts, starts[:-1])
    wrong = np.flatnonzero(sums != pixels)
    if wrong.size:
        error = MaskSumError(f"the RLE covers {sums[wrong[0]]} pixels instead of {height}x{width} = {pixels}")
        error.position = int(wrong[0])
        raise error


def _mask_of(counts: NDArray[np.int64], height: int, width: int) -> RLEMask | None:
    """Return the mask of counts that fill its frame, or None if it has no pixel.

    Runs of length 0 are taken out: pycocotools gives wrong boxes and overlaps for them.
    """
    runs = counts
    if not counts[1:].all():
        inside, filled = np.arange(len(counts)) % 2, counts > 0
        counts, inside = counts[filled], inside[filled]
        runs = np.add.reduceat(counts, np.flatnonzero(np.diff(inside, prepend=-1)))
        if inside[0]:
            runs = np.concatenate(([0], runs))
    if len(runs) < 2:
        return None
    encoded = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return RLEMask(height, width, encoded["counts"])


def _blocks(texts: Mapping[int, bytes]) -> Iterator[dict[int, bytes]]:
    """Yield compressed RLEs in parts that are decoded together."""
    block: dict[int, bytes] = {}
    characters = 0
    for position, text in texts.items():
        if block and characters + len(text) > _BLOCK:
            yield block
            block, characters = {}, 0
        block[position] = text
        characters += len(text)
    if block:
        yield block


def _refuse(flags: NDArray[np.bool_], problem: str) -> None:
    """Raise an error for the first of several masks that is flagged, if one is."""
    if flags.any():
        error = MaskError(problem)
        error.position = int(flags.argmax())
        raise error
