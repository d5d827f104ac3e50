"""The frozen detector's outputs on disk, so that a training step costs only the tracker.

One file holds the views one after the other, another one a row of numbers per view. A view is written completely
before its row, so that a cache that was interrupted goes on after the last complete view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.errors import InputError
from genvis.files import cannot_write, make_folder
from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint
from genvis.training.criterion.targets import Indices

StoredType = Literal["float16", "float32"]
_VERSION = 2
_REMEDY = "give cache.folder another name, or delete the folder"
# Where the view starts; L, T, Q_f, C_det; channels, height and width of the features; N; height and width of the masks.
_COLUMNS = 11


@dataclass(frozen=True)
class CachedView:
    """One augmented video as the detector sees it.

    Attributes:
        frame_queries: (L, T, Q_f, C_det).
        features: (T, C_f, h, w).
        frame_assignment: (L, N, T), the frame query of each object or -1.
        labels: (N,) int64.
        masks: (N, T, H, W) bool, padded as the network's input is.
    """

    frame_queries: Tensor
    features: Tensor
    frame_assignment: Indices
    labels: Tensor
    masks: Tensor


class DetectorCache:
    """A folder of cached views.

    Args:
        folder: Made if it does not exist.
        fingerprint: Of everything that the views depend on; a folder with another one is refused.
        stored_as: Type of the queries and features on disk. float16 halves the space and changes losses slightly.

    Raises:
        InputError: If the folder holds something else, or a damaged cache.
        OutputError: If it cannot be written.

    Attributes:
        folder: Where it is.
    """

    def __init__(self, folder: Path, *, fingerprint: Fingerprint, stored_as: StoredType = "float16") -> None:
        self.folder = make_folder(folder)
        self._data, self._index = folder / "views.bin", folder / "index.bin"
        self._type = np.dtype(stored_as)
        record = folder / FINGERPRINT_FILE
        if not record.exists() and any(folder.iterdir()):
            raise InputError(f"'{folder}' is not empty and no cache: give cache.folder another name.")
        Fingerprint(fingerprint.kind, format=_VERSION, **fingerprint.parts).bind(record, remedy=_REMEDY)
        self._rows = self._read_rows()
        self._map: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self._data.stat().st_size if self._data.is_file() else 0

    def append(self, view: CachedView) -> None:
        """Write one more view.

        Raises:
            OutputError: If it cannot be written or the disk is full.
        """
        L, T, queries, C = view.frame_queries.shape
        _, channels, h, w = view.features.shape
        N, _, H, W = view.masks.shape
        start = self._end(len(self))
        parts = [
            view.frame_queries.float().cpu().numpy().astype(self._type),
            view.features.float().cpu().numpy().astype(self._type),
            view.frame_assignment.astype(np.int16),
            view.labels.cpu().numpy().astype(np.int16),
            np.packbits(view.masks.cpu().numpy(), axis=-1),
        ]
        row = np.array([[start, L, T, queries, C, channels, h, w, N, H, W]], np.int64)
        try:
            with self._data.open("r+b" if self._data.exists() else "wb") as file:
                file.seek(start)
                file.truncate()
                for part in parts:
                    file.write(np.ascontiguousarray(part).tobytes())
            with self._index.open("ab") as file:
                file.write(row.tobytes())
        except OSError as error:
            raise cannot_write(self._data, error) from error
        self._rows = np.concatenate([self._rows, row])
        self._map = None

    def length(self, position: int) -> int:
        """Return T, the frames of a view."""
        return int(self._rows[position][2])

    def __getitem__(self, position: int) -> CachedView:
        return self.read(position)

    def read(self, position: int, frames: Sequence[int] | None = None) -> CachedView:
        """Read one view.

        Args:
            position: From 0.
            frames: Only these frames, in this order; None for all.

        Raises:
            IndexError: If there is no such view.
        """
        if not 0 <= position < len(self):
            raise IndexError(position)
        place, L, T, queries, C, channels, h, w, N, H, W = (int(number) for number in self._rows[position])
        if self._map is None:
            self._map = np.memmap(self._data, np.uint8, "r")
        shapes: list[tuple[tuple[int, ...], np.dtype[np.generic]]] = [
            ((L, T, queries, C), self._type),
            ((T, channels, h, w), self._type),
            ((L, N, T), np.dtype(np.int16)),
            ((N,), np.dtype(np.int16)),
            ((N, T, H, -(-W // 8)), np.dtype(np.uint8)),
        ]
        parts: list[NDArray[Any]] = []
        for shape, kind in shapes:
            size = int(np.prod(shape)) * kind.itemsize
            parts.append(self._map[place : place + size].view(kind).reshape(shape))
            place += size
        chosen: slice | NDArray[np.int64] = slice(None) if frames is None else np.asarray(frames, np.int64)
        packed = parts[4][:, chosen]
        masks = np.unpackbits(packed, axis=-1, count=W) if N else np.zeros((0, packed.shape[1], H, W), np.uint8)
        return CachedView(
            frame_queries=_float_tensor(parts[0][:, chosen]),
            features=_float_tensor(parts[1][chosen]),
            frame_assignment=np.asarray(parts[2])[..., chosen].astype(np.int64),
            labels=torch.from_numpy(np.asarray(parts[3]).astype(np.int64)),
            masks=torch.from_numpy(masks.view(np.bool_)),
        )

    def _end(self, views: int) -> int:
        """Return where the view after so many ones starts."""
        if views == 0:
            return 0
        start, L, T, queries, C, channels, h, w, N, H, W = (int(number) for number in self._rows[views - 1])
        numbers = L * T * queries * C + T * channels * h * w
        return start + numbers * self._type.itemsize + 2 * T * L * N + 2 * N + N * T * H * -(-W // 8)

    def _read_rows(self) -> NDArray[np.int64]:
        if not self._index.is_file():
            return np.zeros((0, _COLUMNS), np.int64)
        content = self._index.read_bytes()
        whole = len(content) // (8 * _COLUMNS) * 8 * _COLUMNS
        if whole < len(content):
            with self._index.open("r+b") as file:
                file.truncate(whole)
        rows = np.frombuffer(content[:whole], np.int64).reshape(-1, _COLUMNS)
        self._rows = rows
        size = self._data.stat().st_size if self._data.is_file() else 0
        is_chain = all(int(row[0]) == self._end(view) for view, row in enumerate(rows))
        if not is_chain or (rows < 0).any() or size < self._end(len(rows)):
            raise InputError(f"The cache '{self._data}' is damaged or shorter than its index says: delete the folder.")
        return rows


def _float_tensor(values: NDArray[Any]) -> torch.Tensor:
    """Copy values from the file once, which may be 400 MB; the file itself is read only."""
    return torch.from_numpy(np.array(values, dtype=np.float32, order="C", subok=False))
