"""From mask logits of the network to masks at the size of the frame, only inside their boxes.

The published procedure resizes twice: bilinearly to the padded input size, from which the padding is cropped (there the
score is measured), then bilinearly to the frame's own size (there the mask is cut). Both steps are linear and act on
rows and columns apart, so one product of three small matrices does both, for any part of the mask.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from genvis.masks import RLEMask

# A pixel of the frame depends on up to three neighbouring stride-4 values in each direction. So a box around the
# positive ones, this much larger, holds all that a pixel inside the mask depends on.
BOX_MARGIN = 2

Matrix = NDArray[np.float32]


class MaskCrop(NamedTuple):
    """The part of a mask of the network that can be above 0.

    Attributes:
        top: First row.
        left: First column.
        logits: (h, w) float32.
    """

    top: int
    left: int
    logits: Matrix


class MaskQuality(NamedTuple):
    """How sure a mask is, at the size at which the network saw the frame.

    Attributes:
        total: Sum of the sigmoid over the pixels above 0.5.
        area: How many they are.
    """

    total: float
    area: int


@dataclass(frozen=True)
class MaskGeometry:
    """The sizes that a frame goes through.

    Attributes:
        frame: Height and width of the frame itself.
        resized: Height and width at which the network sees it.
        padded: Height and width with the padding on the right and bottom.
        masks: Height and width of the mask logits, which cover the padded size.
    """

    frame: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]
    masks: tuple[int, int]

    @cached_property
    def _to_resized(self) -> tuple[Matrix, Matrix]:
        rows, columns = (
            bilinear_matrix(padded, small)[:resized]
            for padded, small, resized in zip(self.padded, self.masks, self.resized, strict=True)
        )
        return rows, columns

    @cached_property
    def _to_frame(self) -> tuple[Matrix, Matrix]:
        rows, columns = (
            (bilinear_matrix(frame, resized).astype(np.float64) @ step).astype(np.float32)
            for frame, resized, step in zip(self.frame, self.resized, self._to_resized, strict=True)
        )
        return rows, columns

    @cached_property
    def _reach(self) -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.int64], ...]]:
        return tuple(_reached(matrix) for matrix in self._to_resized), tuple(map(_reached, self._to_frame))

    def quality(self, crop: MaskCrop) -> MaskQuality:
        """Measure the sigmoid inside the hard mask (reference procedure, step a)."""
        logits, _, _ = self._resize(crop, self._to_resized, self._reach[0])
        inside = logits[logits > 0]
        return MaskQuality(float((1 / (1 + np.exp(-inside))).sum(dtype=np.float64)), int(inside.size))

    def mask(self, crop: MaskCrop, *, order: Literal["C", "F"] = "F") -> NDArray[np.uint8]:
        """Cut the mask at the frame's own size (reference procedure, step b).

        Args:
            crop: The part that can be inside.
            order: Of its pixels in memory: ``"F"``, column after column, as RLE reads them; ``"C"``, row after row. To
                turn one into the other takes longer than to cut the mask.

        Returns:
            (H, W) of 0 and 1.
        """
        logits, top, left = self._resize(crop, self._to_frame, self._reach[1])
        mask = np.zeros(self.frame, np.uint8, order=order)
        mask[top : top + logits.shape[0], left : left + logits.shape[1]] = logits > 0
        return mask

    def encoded_mask(self, crop: MaskCrop) -> RLEMask | None:
        """Return the mask at the frame's own size as RLE, or None if no pixel is in it."""
        logits, top, left = self._resize(crop, self._to_frame, self._reach[1])
        inside = logits > 0
        if not inside.any():
            return None
        return RLEMask.from_box(inside, left=left, top=top, height=self.frame[0], width=self.frame[1])

    @staticmethod
    def _resize(
        crop: MaskCrop, matrices: tuple[Matrix, Matrix], reach: tuple[NDArray[np.int64], ...]
    ) -> tuple[Matrix, int, int]:
        height, width = crop.logits.shape
        (top, bottom), (left, right) = (
            (int(reached[0, start]), int(reached[1, start + length - 1]))
            for reached, start, length in zip(reach, (crop.top, crop.left), (height, width), strict=True)
        )
        rows = matrices[0][top:bottom, crop.top : crop.top + height]
        columns = matrices[1][left:right, crop.left : crop.left + width]
        resized = cast(Matrix, rows @ crop.logits @ columns.T)
        return resized, top, left


@lru_cache(maxsize=16)
def mask_geometry(
    frame: tuple[int, int], resized: tuple[int, int], padded: tuple[int, int], masks: tuple[int, int]
) -> MaskGeometry:
    """Return the geometry of these sizes; its matrices are computed once, however many videos and sessions share it."""
    return MaskGeometry(frame=frame, resized=resized, padded=padded, masks=masks)


def bilinear_matrix(size: int, source: int) -> Matrix:
    """Return the (size, source) matrix of bilinear resizing without aligned corners, as torch's ``interpolate``."""
    position = np.maximum((np.arange(size, dtype=np.float64) + 0.5) * (source / size) - 0.5, 0)
    lower = np.minimum(position.astype(np.int64), source - 1)
    upper = np.minimum(lower + 1, source - 1)
    weight = position - lower
    matrix = np.zeros((size, source))
    np.add.at(matrix, (np.arange(size), lower), 1 - weight)
    np.add.at(matrix, (np.arange(size), upper), weight)
    return matrix.astype(np.float32)


def _reached(matrix: Matrix) -> NDArray[np.int64]:
    """Return (2, source): the first row that a column or a later one reaches, one past the last of it or an earlier."""
    touched = matrix > 0
    size = len(matrix)
    any_row = touched.any(axis=0)
    first = np.where(any_row, touched.argmax(axis=0), size)
    last = np.where(any_row, size - touched[::-1].argmax(axis=0), 0)
    return np.stack([np.minimum.accumulate(first[::-1])[::-1], np.maximum.accumulate(last)])
