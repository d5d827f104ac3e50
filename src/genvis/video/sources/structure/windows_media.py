"""Structure of Windows Media files (Advanced Systems Format, 01.20): packets, and the pieces of frames in them.

A packet has a fixed size and holds payloads. Each payload is a piece of a media object, such as a frame: it states the
number of the object, its size, and the place of the piece in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from genvis.video.sources.structure.sized_file import CUT_OFF, SizedFile, StructureError, no_part

FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
HEADER_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
# Both tell the number of a stream at the same place.
STREAM_PROPERTIES = (
    bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365"),
    bytes.fromhex("cba5e61472c632438399a96952065b5a"),
)
HEAD_BYTES, DATA_HEAD_BYTES = 24, 50
# The two bits that say how many bytes a number has.
BYTES_OF_TYPE = (0, 1, 2, 4)


@dataclass
class _MediaStream:
    """The video, with the object that its last payload belonged to.

    Attributes:
        stream: Number of the stream.
        streams: Numbers of all streams, as the header tells them.
        number: Number of the object; None before the first.
        size: Its bytes.
        filled: How many of them came.
    """

    stream: int
    streams: frozenset[int]
    number: int | None = None
    size: int = 0
    filled: int = 0


def check_advanced_systems(file: SizedFile) -> None:
    """Check a Windows Media file: its size, its packets, and that no piece of a frame, and no frame, is missing."""
    end = file.inside(file.number(16, 8, little=True))
    packet_bytes, is_broadcast = 0, False
    streams = {file.video}
    for kind, position in (*_objects(file, 30, end), *_extensions(file, end)):
        if kind == FILE_PROPERTIES:
            is_broadcast = bool(file.number(position + 88, 4, little=True) & 1)
            file.inside(0 if is_broadcast else file.number(position + 40, 8, little=True))
            packet_bytes = file.number(position + 92, 4, little=True)
        elif kind in STREAM_PROPERTIES:
            streams.add(file.number(position + 72, 2, little=True) & 0x7F)
    for kind, position in _objects(file, end, file.size) if packet_bytes else ():
        if kind == DATA:
            # A broadcast does not know its size.
            size = file.number(position + 16, 8, little=True)
            data_end = file.size if is_broadcast else file.inside(position + size)
            _check_packets(file, position + DATA_HEAD_BYTES, data_end, packet_bytes, frozenset(streams))
            break


def _objects(file: SizedFile, position: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Walk the objects of a file, or of its header: what each is, and where it begins."""
    while position < end:
        yield file.read(position, 16), position
        size = file.number(position + 16, 8, little=True)
        if size < HEAD_BYTES or position + size > end:
            raise no_part(position)
        position += size


def _extensions(file: SizedFile, end: int) -> Iterator[tuple[bytes, int]]:
    """Walk the objects of the second part of the header."""
    for kind, position in _objects(file, 30, end):
        if kind == HEADER_EXTENSION:
            yield from _objects(file, position + 46, position + file.number(position + 16, 8, little=True))


def _check_packets(file: SizedFile, position: int, end: int, packet_bytes: int, streams: frozenset[int]) -> None:
    video = _MediaStream(file.video, streams)
    while position + packet_bytes <= end:
        try:
            _check_packet(_Reader(file.read(position, packet_bytes)), video)
        except _Disjoint:
            raise no_part(position) from None
        position += packet_bytes
    if position < end or video.filled < video.size:
        raise StructureError(CUT_OFF)


class _Disjoint(Exception):
    """A packet that does not parse, or does not continue what came before."""


class _Reader:
    """The numbers of a packet, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.end = len(data)

    def number(self, count: int) -> int:
        return int.from_bytes(self.skip(count), "little")

    def skip(self, count: int) -> bytes:
        if self.position + count > self.end:
            raise _Disjoint
        self.position += count
        return self.data[self.position - count : self.position]


def _check_packet(packet: _Reader, video: _MediaStream) -> None:
    """Walk the payloads of a packet."""
    flags = packet.number(1)
    if flags & 0x80:  # Data for the correction of errors.
        packet.skip(flags & 0x0F)
        flags = packet.number(1)
    properties = packet.number(1)
    packet_end = packet.number(BYTES_OF_TYPE[flags >> 5 & 3]) or packet.end
    packet.skip(BYTES_OF_TYPE[flags >> 1 & 3])
    padding = packet.number(BYTES_OF_TYPE[flags >> 3 & 3])
    packet.skip(6)  # When it is sent.
    if packet_end > packet.end or packet.position + padding > packet_end:
        raise _Disjoint
    packet.end = packet_end - padding
    payloads, length_bytes = 1, 0
    if flags & 1:
        counts = packet.number(1)
        payloads, length_bytes = counts & 0x3F, BYTES_OF_TYPE[counts >> 6]
    for _ in range(payloads):
        _check_payload(packet, properties, length_bytes, video)


def _check_payload(packet: _Reader, properties: int, length_bytes: int, video: _MediaStream) -> None:
    stream = packet.number(1) & 0x7F
    number_bytes = BYTES_OF_TYPE[properties >> 4 & 3]
    number = packet.number(number_bytes)
    offset = packet.number(BYTES_OF_TYPE[properties >> 2 & 3])
    replicated = packet.number(BYTES_OF_TYPE[properties & 3])
    size = packet.number(4) if replicated >= 8 else 0
    packet.skip(max(0, replicated - 4) if replicated >= 8 else replicated)
    body = packet.skip(packet.number(length_bytes) if length_bytes else packet.end - packet.position)
    if stream not in video.streams:
        raise _Disjoint
    if stream != video.stream:
        return
    if offset and replicated != 1:
        if (video.number, video.size, video.filled) != (number, size, offset):
            raise _Disjoint
    elif video.number is not None and (video.filled < video.size or number != (video.number + 1) % 256**number_bytes):
        raise _Disjoint
    if replicated == 1:  # Several small objects, each whole, behind its size; what looks like an offset is their time.
        place, number = 0, number - 1
        while place < len(body):
            place, number = place + 1 + body[place], number + 1
        if place > len(body):
            raise _Disjoint
        video.number, video.size, video.filled = number % 256**number_bytes, 0, 0
    else:
        video.number, video.size, video.filled = number, size, offset + len(body)
        if video.filled > size:
            raise _Disjoint
