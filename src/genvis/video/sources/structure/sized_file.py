"""Files read by position, and the sentence on one whose parts do not join."""

import re
from pathlib import Path
from typing import BinaryIO

FIRST_CHUNK_BYTES, CHUNK_BYTES, LONGEST_PATTERN = 1 << 12, 1 << 20, 16
CUT_OFF = "the file ends in the middle of a part"


class StructureError(Exception):
    """A file whose parts do not join; the text continues a sentence about it."""


class SizedFile:
    """A file that is read by position; what it cannot deliver is damage.

    Attributes:
        path: Where it lies.
        size: Bytes in the file.
        video: The container's own number of the video stream.
        shown: How many of its frames were read and are to be shown.
    """

    def __init__(self, path: Path, stream: BinaryIO, *, video: int, shown: int) -> None:
        self.path = path
        self.video, self.shown = video, shown
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

    def find(self, pattern: re.Pattern[bytes], position: int) -> int | None:
        """Return the first place, from a position on, where a short pattern begins; None if there is none."""
        chunk = FIRST_CHUNK_BYTES
        while position < self.size:
            data = self.read(position, min(chunk, self.size - position))
            chunk = min(4 * chunk, CHUNK_BYTES)
            if found := pattern.search(data):
                return position + found.start()
            # What begins in the last bytes may go on in the next ones.
            position += max(1, len(data) - LONGEST_PATTERN) if position + len(data) < self.size else len(data)
        return None

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
