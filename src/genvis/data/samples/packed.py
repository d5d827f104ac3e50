"""Many short byte strings in one block of memory, for files with hundreds of thousands of masks."""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PackedBytes:
    """A list of byte strings as two arrays.

    Worker processes share such arrays, whereas Python objects are copied as soon as their references are counted.

    Attributes:
        data: (total,) uint8, all strings one after the other.
        starts: (n + 1,) int64, where each begins; the last entry is the end.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.starts[index + 1]].tobytes()


class PackedBytesBuilder:
    """Builder of a :class:`PackedBytes` from byte strings."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, value: bytes) -> None:
        """Add one string."""
        self._data += value
        self._ends.append(len(self._data))

    def build(self) -> PackedBytes:
        """Return the collected strings; the memory is shared, so the builder is finished with this."""
        return PackedBytes(np.frombuffer(self._data, np.uint8), np.frombuffer(self._ends, np.int64))
