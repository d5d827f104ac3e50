"""The frozen detector's outputs on disk, so that a training step costs only the tracker.

One file holds views one after the other, another one a row of numbers per view. A view is written completely before its
row, so that a cache that was interrupted goes on after the last complete view. Processes that fill a cache together
have a pair of files each.
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
from genvis.fingerprint import FINGERPRINT_FILE, LOCK_FILE, Fingerprint
from genvis.training.criterion.targets import Indices

StoredType = Literal["float16", "float32"]
_VERSION = 3
_REMEDY = "give cache.folder another name, or delete the folder"
# Which view it is; where it starts; L, T, Q_f, C_det; channels, height and width of the features; N; height and width
# of the masks.
_COLUMNS = 12
Row = NDArray[np.int64]


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
        self._type = np.dtype(stored_as)
        record = folder / FINGERPRINT_FILE
        if not record.exists() and any(path.name != LOCK_FILE for path in folder.iterdir()):
            raise InputError(f"'{folder}' is not empty and no cache: give cache.folder another name.")
        Fingerprint(fingerprint.kind, format=_VERSION, **fingerprint.parts).bind(record, remedy=_REMEDY)
        self._rows: dict[int, list[Row]] = {}
        self._places: dict[int, tuple[int, Row]] = {}
        self._maps: dict[int, NDArray[np.uint8]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Find what other processes have written since.

        Raises:
            InputError: If a file is damaged.
        """
        numbers = sorted(_writer(path) for path in self.folder.glob("index*.bin"))
        self._rows = {writer: self._read_rows(writer) for writer in numbers}
        self._places = {int(row[0]): (writer, row) for writer, rows in self._rows.items() for row in rows}
        self._maps = {}

    def __len__(self) -> int:
        """Return how many views there are from the first one on, without a gap."""
        return next(
            (position for position in range(len(self._places)) if position not in self._places), len(self._places)
        )

    def missing(self, views: int) -> list[int]:
        """Return which of the first so many views are not there."""
        return [position for position in range(views) if position not in self._places]

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("views*.bin"))

    def append(self, view: CachedView, *, position: int | None = None, writer: int = 0) -> None:
        """Write one more view.

        Args:
            view: What is written.
            position: Which view it is; None for the first that is not there.
            writer: Number of this process among those that fill the cache together.

        Raises:
            OutputError: If it cannot be written or the disk is full.
        """
        L, T, queries, C = view.frame_queries.shape
        _, channels, h, w = view.features.shape
        N, _, H, W = view.masks.shape
        rows = self._rows.setdefault(writer, [])
        number, start = len(self) if position is None else position, self._end(rows, len(rows))
        parts = [
            view.frame_queries.float().cpu().numpy().astype(self._type),
            view.features.float().cpu().numpy().astype(self._type),
            view.frame_assignment.astype(np.int16),
            view.labels.cpu().numpy().astype(np.int16),
            np.packbits(view.masks.cpu().numpy(), axis=-1),
        ]
        row = np.array([number, start, L, T, queries, C, channels, h, w, N, H, W], np.int64)
        data, index = self._files(writer)
        try:
            with data.open("r+b" if data.exists() else "wb") as file:
                file.seek(start)
                file.truncate()
                for part in parts:
                    file.write(np.ascontiguousarray(part).tobytes())
            with index.open("r+b" if index.exists() else "wb") as file:
                file.seek(len(rows) * row.nbytes)
                file.truncate()  # Half a row, which a killed process left.
                file.write(row.tobytes())
        except OSError as error:
            raise cannot_write(data, error) from error
        rows.append(row)
        self._places[number] = (writer, row)
        self._maps.pop(writer, None)

    def length(self, position: int) -> int:
        """Return T, the frames of a view."""
        return int(self._places[position][1][3])

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
        if position not in self._places:
            raise IndexError(position)
        writer, row = self._places[position]
        place, L, T, queries, C, channels, h, w, N, H, W = (int(number) for number in row[1:])
        if writer not in self._maps:
            self._maps[writer] = np.memmap(self._files(writer)[0], np.uint8, "r")
        content = self._maps[writer]
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
            parts.append(content[place : place + size].view(kind).reshape(shape))
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

    def _files(self, writer: int) -> tuple[Path, Path]:
        """Return the files of a process: the views, and their rows."""
        suffix = f"-{writer}" if writer else ""
        return self.folder / f"views{suffix}.bin", self.folder / f"index{suffix}.bin"

    def _end(self, rows: Sequence[Row], views: int) -> int:
        """Return where the view after so many ones of a file starts."""
        if views == 0:
            return 0
        start, L, T, queries, C, channels, h, w, N, H, W = (int(number) for number in rows[views - 1][1:])
        numbers = L * T * queries * C + T * channels * h * w
        return start + numbers * self._type.itemsize + 2 * T * L * N + 2 * N + N * T * H * -(-W // 8)

    def _read_rows(self, writer: int) -> list[Row]:
        data, index = self._files(writer)
        content = index.read_bytes()
        whole = len(content) // (8 * _COLUMNS) * 8 * _COLUMNS
        rows = list(np.frombuffer(content[:whole], np.int64).reshape(-1, _COLUMNS))
        size = data.stat().st_size if data.is_file() else 0
        is_chain = all(int(row[1]) == self._end(rows, view) for view, row in enumerate(rows))
        if not is_chain or any((row < 0).any() for row in rows) or size < self._end(rows, len(rows)):
            raise InputError(f"The cache '{data}' is damaged or shorter than its index says: delete the folder.")
        return rows


def _writer(path: Path) -> int:
    """Return the number of the process that a file is of."""
    number = path.stem.partition("-")[2]
    return int(number) if number.isdecimal() else 0


def _float_tensor(values: NDArray[Any]) -> torch.Tensor:
    """Copy values from the file once, which may be 400 MB; the file itself is read only."""
    return torch.from_numpy(np.array(values, dtype=np.float32, order="C", subok=False))
