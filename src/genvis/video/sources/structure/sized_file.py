"""Files read by position, and the sentence on one whose parts do not join."""

from pathlib import Path
from typing import BinaryIO

CUT_OFF = "the file ends in the middle of a part"


class StructureError(Exception):
    """A file whose parts do not join; the text continues a sentence about it."""


class SizedFile:
    """A file that is read by position; what it cannot deliver is damage.

    Attributes:
        path: Where it lies.
        size: Bytes in the file.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self._stream = stream
        self.size = stream.seek(0, 2)

    def read(self, position: int, count: int) -> bytes:
        """Return exactly ``count`` bytes.

        Raises:
            StructureError: If the file ends before.
        """
        self.inside(position + count)
        self._stream.seek(position)
        return self._stream.read(count)

    def number(self, position: int, count: int, *, little: bool = False) -> int:
        """Return an unsigned number of ``count`` bytes."""
        return int.from_bytes(self.read(position, count), "little" if little else "big")

    def inside(self, end: int) -> int:
        """Return the end of a part if the file reaches it.

        Raises:
            StructureError: If it does not.
        """
        if end > self.size:
            raise StructureError(CUT_OFF)
        return end


def no_part(position: int) -> StructureError:
    """Return the error of a file that has no part where one should begin."""
    return StructureError(f"its parts do not join at byte {position}")
