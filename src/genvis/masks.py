"""Binary masks as compressed run lengths: the field's format (COCO, YouTube-VIS, MOTS), a few hundred bytes each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

from genvis.errors import InputError

# pycocotools (2.0.11) fails in `area` on more masks in one call.
_AREAS_PER_CALL = 255


def mask_areas(encoded: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """Return the pixels of compressed masks, (N,), given as pycocotools' dictionaries."""
    if not encoded:
        return np.zeros(0, np.int64)
    starts = range(0, len(encoded), _AREAS_PER_CALL)
    parts = [coco_mask.area(list(encoded[start : start + _AREAS_PER_CALL])) for start in starts]
    return np.concatenate(parts).astype(np.int64)


@dataclass(frozen=True, slots=True)
class RunLengthMask:
    """One binary mask, column-major run lengths in COCO's compressed form.

    Attributes:
        height: Rows of the mask.
        width: Columns of the mask.
        counts: The compressed run lengths, ASCII bytes as pycocotools writes them.
    """

    height: int
    width: int
    counts: bytes

    @classmethod
    def encode(cls, mask: ArrayLike) -> "RunLengthMask":
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
        encoded = coco_mask.encode(np.asfortranarray(dense.view(np.uint8)))
        return cls(dense.shape[0], dense.shape[1], encoded["counts"])

    @classmethod
    def from_coco(cls, segmentation: Mapping[str, Any]) -> "RunLengthMask":
        """Read COCO's dictionary: ``size`` [H, W] and ``counts`` as text, bytes, or a list of uncompressed run lengths.

        Raises:
            InputError: If it is not one.
        """
        try:
            height, width = (int(number) for number in segmentation["size"])
            counts = segmentation["counts"]
        except (KeyError, TypeError, ValueError):
            raise InputError("A run-length mask needs 'size': [height, width] and 'counts'.") from None
        if isinstance(counts, list):
            if not all(isinstance(count, int) and count >= 0 for count in counts):
                raise InputError("The 'counts' of a run-length mask must be whole numbers from 0.")
            counts = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
        try:
            compressed = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
            covered = int(_run_lengths(compressed).sum())
        except (TypeError, ValueError):
            raise InputError(
                "The 'counts' of a run-length mask are damaged: they are not compressed run lengths."
            ) from None
        if covered != height * width or height < 1 or width < 1:
            raise InputError(f"A run-length mask covers {covered} pixels where its size says {height}x{width}.")
        return cls(height, width, compressed)

    def to_coco(self) -> dict[str, Any]:
        """Return COCO's dictionary with ``counts`` as text, ready for JSON."""
        return {"size": [self.height, self.width], "counts": self.counts.decode("ascii")}

    def decode(self) -> NDArray[np.bool_]:
        """Return the dense mask, (H, W) bool."""
        return np.ascontiguousarray(coco_mask.decode(self._coco())).view(np.bool_)

    @property
    def area(self) -> int:
        """Foreground pixels."""
        return int(coco_mask.area(self._coco()))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The tight box as COCO has it: left, top, width, height in pixels; all 0 if the mask is empty."""
        left, top, width, height = (int(number) for number in coco_mask.toBbox(self._coco()))
        return left, top, width, height

    def _coco(self) -> dict[str, Any]:
        return {"size": [self.height, self.width], "counts": self.counts}


def _run_lengths(compressed: bytes) -> NDArray[np.int64]:
    """Expand COCO's compressed counts: little-endian groups of 5 bits with a sign, differences to the count two before.

    The C library trusts the counts of a file; lengths that do not fill the mask would show it stray memory.
    """
    codes = np.frombuffer(compressed, np.uint8).astype(np.int64) - 48
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("not compressed run lengths")
    last = np.flatnonzero((codes & 32) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    if place.max() > 9:
        raise ValueError("a run length is out of range")
    values = np.add.reduceat((codes & 31) << (5 * place), first)
    values -= ((codes[last] & 16) >> 4) << (5 * (place[last] + 1))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if values.min() < 0:
        raise ValueError("a run length is negative")
    return values
