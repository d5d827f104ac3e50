"""Structure of NUT files (the description of 2008, as FFmpeg writes them): packets with checksums, and frames."""

import zlib
from dataclasses import dataclass
from itertools import islice

from genvis.video.sources.structure.sized_file import SizedFile, no_part

FILE_ID = b"nut/multimedia container\0"
MAIN, STREAM, SYNCPOINT, INDEX, INFO = (
    0x4E4D7A561F5F04AD,
    0x4E5311405BF2F9DB,
    0x4E4BE4ADEECA4569,
    0x4E58DD672F23E64E,
    0x4E49AB68B596BA78,
)
PACKETS = frozenset((MAIN, STREAM, SYNCPOINT, INDEX, INFO))
LONGEST_WITHOUT_CHECKSUM, MOST_TIME_BASES = 4096, 1024
CODED_PTS, STREAM_ID, SIZE_MSB, CHECKSUM, RESERVED, HEADER, MATCH_TIME, CODED, INVALID = (
    1 << bit for bit in (3, 4, 5, 6, 7, 10, 11, 12, 13)
)
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class _FrameCode:
    """What the first byte of a frame stands for."""

    flags: int
    size_factor: int
    size: int
    reserved: int
    header: int


class _Numbers:
    """Numbers of variable size, one after the other."""

    def __init__(self, file: SizedFile, position: int) -> None:
        self.file = file
        self.position = position

    def next(self) -> int:
        value, start = 0, self.position
        while True:
            byte = self.file.number(self.position, 1)
            self.position += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
            if self.position - start > 9:
                raise no_part(start)


def check_nut(file: SizedFile) -> None:
    """Check the packets with their checksums, and that frames fill what is between them."""
    if file.read(0, len(FILE_ID)) != FILE_ID:
        raise no_part(0)
    position, table, elided = len(FILE_ID), None, [0]
    while position < file.size:
        first = file.number(position, 1)
        if first != ord("N"):
            if table is None:
                raise no_part(position)
            position = file.inside(_end_of_frame(file, position, table, elided))
            continue
        body, end, kind = _packet(file, position)
        if kind == MAIN:
            table, elided = _main_header(file, body)
        position = end


def _packet(file: SizedFile, position: int) -> tuple[int, int, int]:
    """Return where the body of a packet begins, where it ends, and what it is."""
    kind = file.number(position, 8)
    numbers = _Numbers(file, position + 8)
    length = numbers.next()
    body = numbers.position
    if kind not in PACKETS or length < 4:
        raise no_part(position)
    if length > LONGEST_WITHOUT_CHECKSUM:
        body += 4
        if _checksum(file.read(position, body - position)):
            raise no_part(position)
    end = file.inside(numbers.position + length + body - numbers.position)
    if _checksum(file.read(body, end - body)):
        raise no_part(position)
    return body, end, kind


def _checksum(data: bytes) -> int:
    """CRC-32 with the bits of every byte in the other order than zlib's; 0 of data with their checksum behind them."""
    return zlib.crc32(data.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF


def _main_header(file: SizedFile, position: int) -> tuple[list[_FrameCode], list[int]]:
    """Return what the 256 first bytes of frames stand for, and the lengths of headers that are left out."""
    numbers = _Numbers(file, position)
    if numbers.next() > 3:
        numbers.next()  # The minor version.
    numbers.next(), numbers.next()  # Streams; the longest distance.
    for _ in islice(range(numbers.next()), MOST_TIME_BASES):
        numbers.next(), numbers.next()
    table: list[_FrameCode] = []
    factor, header = 1, 0
    while len(table) < 256:
        flags, fields = numbers.next(), numbers.next()
        # Time, factor of the size, stream, size, reserved fields, how many codes, match time, header; some go on.
        values = {place: numbers.next() for place in range(min(fields, 64))}
        factor, header = values.get(1, factor), values.get(7, header)
        size, reserved = values.get(3, 0), values.get(4, 0)
        count = values.get(5, factor - size)
        if count <= 0:
            raise no_part(position)
        for step in range(min(count, 256)):
            if len(table) == ord("N"):
                table.append(_FrameCode(INVALID, 0, 0, 0, 0))
            if len(table) < 256:
                table.append(_FrameCode(flags, factor, size + step, reserved, header))
    elided = [0]
    for _ in islice(range(numbers.next()), 128):
        length = numbers.next()
        elided.append(length)
        numbers.position += length
    return table, elided


def _end_of_frame(file: SizedFile, position: int, table: list[_FrameCode], elided: list[int]) -> int:
    code = table[file.number(position, 1)]
    numbers = _Numbers(file, position + 1)
    flags, header, reserved = code.flags, code.header, code.reserved
    if flags & CODED:
        flags ^= numbers.next()
    if flags & INVALID or code.flags & INVALID:
        raise no_part(position)
    if flags & STREAM_ID:
        numbers.next()
    if flags & CODED_PTS:
        numbers.next()
    size = code.size + (code.size_factor * numbers.next() if flags & SIZE_MSB else 0)
    if flags & MATCH_TIME:
        numbers.next()
    if flags & HEADER:
        header = numbers.next()
    if flags & RESERVED:
        reserved = numbers.next()
    for _ in islice(range(reserved), 64):
        numbers.next()
    if flags & CHECKSUM:
        numbers.position += 4
        if _checksum(file.read(position, numbers.position - position)):
            raise no_part(position)
    if header >= len(elided) or size < elided[header]:
        raise no_part(position)
    return numbers.position + size - elided[header]
