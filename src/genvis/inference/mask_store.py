"""Store of the masks of a video until its end: the positive parts of all masks of every frame, on disk.

Which tracks are selected is known only at the end, and the published procedure keeps every mask until then. This store
keeps exactly what the selected ones will need: of each mask the network's logits inside the box of the positive ones.
Where none is positive, nothing is kept, because no resizing makes one. Small stores stay in memory.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.errors import InputError, OutputError
from genvis.inference.mask_geometry import BOX_MARGIN, MaskCrop
from genvis.model.device_copies import on_cpu

IN_MEMORY_BYTES = 64 * 1024**2


class _Entry(NamedTuple):
    position: int
    track: int
    top: int
    left: int
    height: int
    width: int
    offset: int


class MaskStore:
    """An append-only store of mask crops.

    Args:
        path: A file that outlives the process, for results that are to be resumed; None uses a temporary file that
            starts in memory and moves to disk at 64 MiB.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._index = np.zeros((0, len(_Entry._fields)), np.int64)
        self._filled = 0
        self._size = 0
        self._path = path
        if path is None:
            self._file = cast(BinaryIO, SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # noqa: SIM115
        else:
            self._file = path.open("r+b" if path.exists() else "w+b")

    @property
    def bytes_kept(self) -> int:
        """How much the crops take, in memory or on disk."""
        return self._size

    def add(self, position: int, logits: Tensor, track_ids: Tensor) -> None:
        """Keep the positive parts of a frame's masks.

        Args:
            position: Place of the frame in the result.
            logits: (N, h, w) float32.
            track_ids: (N,) int64, the track of each mask.

        Raises:
            OutputError: If the disk is full.
        """
        on_host = on_cpu(positive_boxes(logits), logits)
        boxes, pixels = on_host[0].numpy().astype(np.int64), on_host[1].numpy()
        kept = np.flatnonzero(boxes[:, 2] > boxes[:, 0])
        chunks, rows = [], []
        offset = self._size
        numbers: list[int] = track_ids.tolist()
        for row in kept.tolist():
            top, left, bottom, right = boxes[row].tolist()
            crop = np.ascontiguousarray(pixels[row, top:bottom, left:right], np.float32)
            rows.append(_Entry(position, numbers[row], top, left, bottom - top, right - left, offset))
            chunks.append(crop.tobytes())
            offset += crop.nbytes
        if not rows:
            return
        try:
            self._file.seek(self._size)
            self._file.write(b"".join(chunks))
            self._file.flush()  # So that a full disk is told here.
        except OSError as error:
            elsewhere = "choose another output folder" if self._path else "set TMPDIR to a folder on another disk"
            raise OutputError(
                f"The masks of frame {position} cannot be kept ({error.strerror}): free some space, or {elsewhere}."
            ) from None
        self._size = offset
        self._grow(np.array(rows, np.int64))

    def crops(self, track_ids: list[int]) -> Iterator[tuple[int, int, MaskCrop]]:
        """Deliver the crops of some tracks in the order in which they were added.

        Yields:
            Position of the frame, track, crop.
        """
        index = self._index[: self._filled]
        for row in index[np.isin(index[:, 1], track_ids)]:
            entry = _Entry(*row.tolist())
            self._file.seek(entry.offset)
            content = self._file.read(entry.height * entry.width * 4)
            logits = np.frombuffer(content, np.float32).reshape(entry.height, entry.width)
            yield entry.position, entry.track, MaskCrop(top=entry.top, left=entry.left, logits=logits)

    def index(self) -> NDArray[np.int64]:
        """Return the table of contents, to be saved; the crops themselves are in the file already."""
        return self._index[: self._filled].copy()

    def restore(self, index: NDArray[np.int64], mask_size: tuple[int, int]) -> None:
        """Continue with a saved table of contents; crops that were written after it are overwritten.

        Args:
            index: What `index` returned.
            mask_size: Height and width of the masks that the crops are of.

        Raises:
            InputError: If it is no such table, or the file is shorter than it says.
        """
        if index.ndim != 2 or index.shape[1] != len(_Entry._fields):
            raise InputError("The table of its masks is damaged. Start over.")
        top, left, height, width, offset = index[:, 2:].T
        fits = (top >= 0) & (left >= 0) & (height >= 1) & (width >= 1) & (offset >= 0)
        fits &= (height <= mask_size[0]) & (top <= mask_size[0] - height)
        fits &= (width <= mask_size[1]) & (left <= mask_size[1] - width)
        if not fits.all():
            raise InputError("The table of its masks is damaged. Start over.")
        self._index, self._filled = index.copy(), len(index)
        self._size = int((index[:, 4] * index[:, 5] * 4 + index[:, 6]).max()) if len(index) else 0
        if self._file.seek(0, 2) < self._size:
            raise InputError(f"The file of masks is truncated: it should have {self._size} bytes. Start over.")

    def close(self) -> None:
        """Release the file; a temporary one is gone then."""
        # What a full disk kept from being written was reported by `add`; closing would report it a second time.
        with suppress(OSError):
            self._file.close()

    def _grow(self, rows: NDArray[np.int64]) -> None:
        needed = self._filled + len(rows)
        if needed > len(self._index):
            larger = np.zeros((max(1024, 2 * needed), rows.shape[1]), np.int64)
            larger[: self._filled] = self._index[: self._filled]
            self._index = larger
        self._index[self._filled : needed] = rows
        self._filled = needed


def positive_boxes(logits: Tensor) -> Tensor:
    """Return the boxes of what is above 0 in (Q, h, w): top, left, bottom, right, with a margin, or all 0.

    Returns:
        (Q, 4) int64, on the device of the logits.
    """
    positive = logits > 0
    boxes = torch.zeros(logits.shape[0], 4, dtype=torch.int64, device=logits.device)
    present = positive.flatten(1).any(dim=1)
    for axis, length in ((0, logits.shape[1]), (1, logits.shape[2])):
        line = positive.any(dim=2 - axis).to(torch.uint8)  # argmax takes no bool.
        first, last = line.argmax(dim=1), length - line.flip(1).argmax(dim=1)
        boxes[:, axis] = torch.where(present, (first - BOX_MARGIN).clamp(min=0), 0)
        boxes[:, axis + 2] = torch.where(present, (last + BOX_MARGIN).clamp(max=length), 0)
    return boxes
