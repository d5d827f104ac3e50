"""Structure of MPEG transport and program streams (ISO/IEC 13818-1): packets, and the counts in them."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.video.sources.structure.sized_file import CUT_OFF, SizedFile, StructureError, no_part

SYNC = 0x47
HEAD_BYTES, PACKET_BYTES = 4, 188
BEGINS = 0x40
CHUNK_PACKETS = 50_000
PROGRAMS = 0


@dataclass
class _Counts:
    """The counts of the packets of one kind, from 0 to 15 and on from 0, which tell missing ones.

    Attributes:
        number: That of the packets.
        last: The count of the last one; None before the first.
    """

    number: int
    last: int | None = None

    def jumps(self, packets: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return where packets are, and where they do not continue the one before.

        Args:
            packets: (N, 188), the next packets of all kinds.

        Returns:
            The rows of the packets that count, and those among them that jump.
        """
        numbers = (packets[:, 1] & 0x1F).astype(np.int64) << 8 | packets[:, 2]
        rows = np.flatnonzero((numbers == self.number) & (packets[:, 3] & 0x10 > 0))  # Without a payload none counts.
        if not len(rows):
            return rows, rows
        counts = (packets[rows, 3] & 0x0F).astype(np.int64)
        steps = np.diff(counts, prepend=counts[0] - 1 if self.last is None else self.last) % 16
        self.last = int(counts[-1])
        says_so = (packets[rows, 3] & 0x20 > 0) & (packets[rows, 4] > 0) & (packets[rows, 5] & 0x80 > 0)
        # One that comes twice, as the standard allows, is read twice by the decoder too.
        return rows, rows[(steps != 1) & ~says_so]


def check_transport_stream(file: SizedFile) -> None:
    """Check that every packet begins with its sync byte, none of the video is missing, and the last is whole."""
    head = np.frombuffer(file.read(0, min(file.size, 10_000)), np.uint8)
    found = [
        (length, start)
        for length in (188, 192, 204)
        for start in range(min(length, len(head)))
        if (head[start::length][:5] == SYNC).all() and len(head[start::length]) >= min(5, file.size // length)
    ]
    if not found:
        raise no_part(0)
    length, sync = found[0]
    # A packet of 192 bytes begins with the 4 bytes of its time.
    start = (sync - 4) % length if length == 192 else sync
    sync = 4 if length == 192 else 0
    video, programs, frames = _Counts(file.video), _Counts(PROGRAMS), _Units()
    has_restarted = False
    for position in range(start, file.size, CHUNK_PACKETS * length):
        data = np.frombuffer(file.read(position, min(CHUNK_PACKETS * length, file.size - position)), np.uint8)
        wrong = np.flatnonzero(data[sync::length] != SYNC)
        if len(wrong):
            raise no_part(position + int(wrong[0]) * length)
        packets = data[: len(data) // length * length].reshape(-1, length)[:, sync : sync + PACKET_BYTES]
        (rows, jumps), restarts = video.jumps(packets), programs.jumps(packets)[1]
        for row in jumps:
            # Where the list of programs jumps too, and a frame begins, two files were joined.
            before = rows[rows < row].max(initial=-1)
            is_joint = ((before < restarts) & (restarts < row)).any() or (before < 0 and has_restarted)
            if not (is_joint and packets[row, 1] & BEGINS):
                raise _missing(position + int(row) * length)
        has_restarted = bool((restarts > rows.max(initial=-1)).any()) or (has_restarted and not len(rows))
        broken = frames.broken(packets, rows)
        if broken is not None:
            raise _missing(position + broken * length)
    if (file.size - start) % length or frames.filled < frames.size:
        raise StructureError(CUT_OFF)


def _missing(position: int) -> StructureError:
    return StructureError(f"packets of it are missing or damaged at byte {position}")


@dataclass
class _Units:
    """The frames, as the packets of a transport stream carry them: each begins with its size, or with 0.

    Attributes:
        size: Bytes of the last one as it says; 0 if it does not.
        filled: Bytes of it so far.
    """

    size: int = 0
    filled: int = 0

    def broken(self, packets: NDArray[np.uint8], rows: NDArray[np.intp]) -> int | None:
        """Return the row after which a frame does not have the size that it states, or that is marked as damaged.

        Args:
            packets: (N, 188), the next packets.
            rows: Those of the video.
        """
        heads = HEAD_BYTES + np.where(packets[rows, 3] & 0x20, 1 + packets[rows, HEAD_BYTES].astype(np.int64), 0)
        begins = packets[rows, 1] & BEGINS > 0
        bad = (packets[rows, 1] & 0x80 > 0) | (heads > PACKET_BYTES) | (begins & (heads > PACKET_BYTES - 6))
        if bad.any():
            return int(rows[np.argmax(bad)])
        first = np.flatnonzero(begins)
        starts = packets[rows[first, None], heads[first, None] + np.arange(6)].astype(np.int64)  # (F, 6)
        sizes = starts[:, 4] << 8 | starts[:, 5]
        if (wrong := (starts[:, :3] != (0, 0, 1)).any(axis=1)).any():
            return int(rows[first[np.argmax(wrong)]])
        filled = np.concatenate(([0], np.cumsum(PACKET_BYTES - heads)))
        fills = np.diff(filled[first], prepend=-self.filled, append=filled[-1])
        stated = np.concatenate(([self.size], np.where(sizes > 0, sizes + 6, 0)))
        wrong = (stated[:-1] > 0) & (stated[:-1] != fills[:-1])
        self.size, self.filled = int(stated[-1]), int(fills[-1])
        return int(rows[first[np.argmax(wrong)]]) if wrong.any() else None


PACK, PROGRAM_END, SYSTEM_HEADER = 0xBA, 0xB9, 0xBB
SECTORS = (b"RIFF", b"\x00\xff\xff\xff")
NOT_ZERO = re.compile(rb"[^\x00]")


def check_program_stream(file: SizedFile) -> None:
    """Check that packets follow one another, unless they are in the sectors of a Video CD."""
    position = 0
    if file.read(0, 4) in SECTORS:
        return
    while (one := file.find(NOT_ZERO, position)) is not None:  # Zeros may stand before a packet.
        if one - position < 2 or file.number(one, 1) != 1:
            raise no_part(position)
        code, body = file.number(one + 1, 1), one + 2
        if code == PACK:
            kind = file.number(body, 1)
            if kind >> 6 == 1:
                position = body + 10 + (file.number(body + 9, 1) & 7)
            elif kind >> 4 == 2:
                position = body + 8
            else:
                raise no_part(position)
        elif code == PROGRAM_END:
            position = body
        elif code >= SYSTEM_HEADER:
            position = body + 2 + file.number(body, 2)
        else:
            raise no_part(position)
        file.inside(position)
