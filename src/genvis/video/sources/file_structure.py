"""Structure of video files: where their parts end, and whether each joins the next.

FFmpeg skips what it cannot make sense of, and estimates the length of a file that says none from the file itself. A
truncated GIF, or a Matroska file with a hole, then reads like a shorter video without any error. The structure of the
file tells: its parts state their sizes, so a whole file is covered by them from its first byte to its last. Only heads
are read, not the pictures. Every check is made so that undamaged files pass it, with what writers in use leave behind:
unknown sizes of live recordings, padding, foreign data after the end.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genvis.files import printable

CUT_OFF = "the file ends in the middle of a part"


class StructureError(Exception):
    """A file whose parts do not join; the text continues a sentence about it."""


class _File:
    """A file that is read by position.

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
        self._stream.seek(position)
        data = self._stream.read(count)
        if len(data) < count:
            raise StructureError(CUT_OFF)
        return data

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


def structural_damage(path: Path, format_name: str) -> str | None:
    """Say how the structure of a video file is damaged; None if it is whole, or of a format without a check.

    Args:
        path: A regular file.
        format_name: FFmpeg's name of the format.

    Returns:
        Half a sentence, such as ``"the file ends in the middle of a part"``.
    """
    check = CHECKS.get(format_name)
    if check is None:
        return None
    try:
        with path.open("rb") as stream:
            check(_File(path, stream))
    except StructureError as damage:
        return str(damage)
    return None


def _no_part(position: int) -> StructureError:
    return StructureError(f"its parts do not join at byte {position}")


# Matroska and WebM (RFC 9559, RFC 8794) ---------------------------------------------------------------------------

SEGMENT, CLUSTER, TRACKS, TRACK_ENTRY, TRACK_NUMBER = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xD7
SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xA3, 0xA0, 0xA1
VOID_OR_CHECKSUM = frozenset({0xEC, 0xBF})
IN_SEGMENT = VOID_OR_CHECKSUM | {
    CLUSTER,
    TRACKS,
    0x114D9B74,
    0x1549A966,
    0x1C53BB6B,
    0x1941A469,
    0x1043A770,
    0x1254C367,
}
IN_CLUSTER = VOID_OR_CHECKSUM | {SIMPLE_BLOCK, BLOCK_GROUP, 0xE7, 0x5854, 0xA7, 0xAB, 0xAF}


def _matroska(file: _File) -> None:
    position = 0
    while position < file.size:
        element, body, end = _element(file, position)
        if element == SEGMENT:
            _segment(file, body, file.size if end is None else file.inside(end))
            return
        position = file.inside(body if end is None else end)
    raise StructureError("it holds no segment")


def _segment(file: _File, position: int, segment_end: int) -> None:
    """Walk the elements of a segment; a cluster of unknown size ends where the next element of the segment begins."""
    tracks: set[int] = set()
    open_cluster = False
    while position < segment_end:
        element, body, end = _element(file, position)
        if element == CLUSTER and end is None:
            open_cluster, position = True, body
            continue
        if end is None or end > segment_end:
            raise StructureError(CUT_OFF) if end is not None and end > file.size else _no_part(position)
        if element in IN_SEGMENT:
            open_cluster = open_cluster and element in VOID_OR_CHECKSUM
            if element == TRACKS:
                tracks |= _track_numbers(file, body, end)
            elif element == CLUSTER:
                _cluster(file, body, end, tracks)
        elif open_cluster and element in IN_CLUSTER:
            _in_cluster(file, element, body, end, tracks)
        else:
            raise _no_part(position)
        position = end


def _cluster(file: _File, position: int, cluster_end: int, tracks: set[int]) -> None:
    while position < cluster_end:
        element, body, end = _element(file, position)
        if element not in IN_CLUSTER or end is None or end > cluster_end:
            raise _no_part(position)
        _in_cluster(file, element, body, end, tracks)
        position = end


def _in_cluster(file: _File, element: int, body: int, end: int, tracks: set[int]) -> None:
    """Check that a block belongs to a track that exists: FFmpeg leaves out any other."""
    if element == BLOCK_GROUP:
        position = body
        while position < end:
            element, inner, inner_end = _element(file, position)
            if inner_end is None or inner_end > end:
                raise _no_part(position)
            if element == BLOCK:
                break
            position = inner_end
        else:
            raise _no_part(body)
        body = inner
    if element in (SIMPLE_BLOCK, BLOCK) and tracks and _vint(file, body)[0] not in tracks:
        raise _no_part(body)


def _track_numbers(file: _File, position: int, tracks_end: int) -> set[int]:
    numbers = set()
    while position < tracks_end:
        element, body, end = _element(file, position)
        if end is None or end > tracks_end:
            raise _no_part(position)
        while element == TRACK_ENTRY and body < end:
            inner, inner_body, inner_end = _element(file, body)
            if inner_end is None or inner_end > end:
                raise _no_part(body)
            if inner == TRACK_NUMBER:
                numbers.add(file.number(inner_body, inner_end - inner_body))
            body = inner_end
        position = end
    return numbers


def _element(file: _File, position: int) -> tuple[int, int, int | None]:
    """Read the head of an EBML element: its identifier, where its body begins and ends; None for an unknown size."""
    first = file.number(position, 1)
    length = 9 - first.bit_length()
    if length > 4:
        raise _no_part(position)
    element = file.number(position, length)
    size, after = _vint(file, position + length)
    return element, after, None if size is None else after + size


def _vint(file: _File, position: int) -> tuple[int | None, int]:
    """Read a number of variable size, None for the one of all ones, and the position after it."""
    first = file.number(position, 1)
    length = 9 - first.bit_length()
    if length > 8:
        raise _no_part(position)
    largest = (1 << 7 * length) - 1
    value = file.number(position, length) & largest
    return None if value == largest else value, position + length


# GIF (version 89a) ------------------------------------------------------------------------------------------------

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B


def _gif(file: _File) -> None:
    position = 13 + _color_table(file.number(10, 1))
    # Some writers forget the trailer: a file may end wherever a block does.
    while position < file.size and (mark := file.number(position, 1)) != TRAILER:
        if mark == EXTENSION:
            position += 2
        elif mark == IMAGE:
            position += 11 + _color_table(file.number(position + 9, 1))
        else:
            raise _no_part(position)
        while size := file.number(position, 1):
            position += 1 + size
        position += 1


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


# MPEG transport streams (ISO/IEC 13818-1) -------------------------------------------------------------------------

SYNC = 0x47
CHUNK_PACKETS = 50_000


def _transport_stream(file: _File) -> None:
    """Check that every packet begins with its sync byte, and that the last one is whole."""
    head = np.frombuffer(file.read(0, min(file.size, 10_000)), np.uint8)
    found = [
        (length, start)
        for length in (188, 192, 204)
        for start in range(min(length, len(head)))
        if (head[start::length][:5] == SYNC).all() and len(head[start::length]) >= min(5, file.size // length)
    ]
    if not found:
        raise _no_part(0)
    length, start = found[0]
    # A packet of 192 bytes begins with the 4 bytes of its time.
    start = (start - 4) % length if length == 192 else start
    for position in range(start, file.size, CHUNK_PACKETS * length):
        data = np.frombuffer(file.read(position, min(CHUNK_PACKETS * length, file.size - position)), np.uint8)
        wrong = np.flatnonzero(data[4 if length == 192 else 0 :: length] != SYNC)
        if len(wrong):
            raise _no_part(position + int(wrong[0]) * length)
    if (file.size - start) % length:
        raise StructureError(CUT_OFF)


# Containers of boxes, chunks, tags and keys -----------------------------------------------------------------------


def _boxes(file: _File) -> None:
    """Check the boxes of a fragmented MP4 (ISO/IEC 14496-12); one with an index is checked by that."""
    position, is_fragmented = 0, False
    while position < file.size:
        rest = file.size - position
        if rest < 8:
            break
        size, kind = file.number(position, 4), file.read(position + 4, 4)
        is_fragmented = is_fragmented or kind in (b"moof", b"sidx")
        if size == 1:
            size = file.number(position + 8, 8)
        elif size == 0:
            break
        if size < 8 or not re.fullmatch(rb"[\x20-\x7e\xa9]{4}", kind):
            if is_fragmented:
                raise _no_part(position)
            return
        if size > rest and is_fragmented:
            raise StructureError(CUT_OFF)
        position += size
    if is_fragmented and any(file.read(position, min(8, max(0, file.size - position)))):
        raise StructureError(CUT_OFF)


def _riff(file: _File) -> None:
    """Check that the file is as long as its RIFF chunks say; one that was piped or killed says nothing."""
    position = 0
    while position + 12 <= file.size and file.read(position, 4) == b"RIFF":
        size = file.number(position + 4, 4, little=True)
        position = file.size if size in (0, 0xFFFFFFFF) else file.inside(position + 8 + size + size % 2)


def _flash_video(file: _File) -> None:
    position = file.number(5, 4) + 4
    while position < file.size:
        kind, size = file.number(position, 1) & 0x1F, file.number(position + 1, 3)
        if kind not in (8, 9, 18):
            raise _no_part(position)
        # Some writers count the size of a tag without its head, or not at all.
        if file.number(position + 11 + size, 4) not in (size + 11, size, 0):
            raise _no_part(position)
        position += 15 + size


ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def _advanced_systems(file: _File) -> None:
    """Check a Windows Media file against the size that its header states; a broadcast states none."""
    end = file.inside(file.number(16, 8, little=True))
    position = 30
    while position < end:
        size = file.number(position + 16, 8, little=True)
        if size < 24 or position + size > end:
            raise _no_part(position)
        if file.read(position, 16) == ASF_FILE_PROPERTIES:
            is_broadcast = file.number(position + 88, 4, little=True) & 1
            file.inside(0 if is_broadcast else file.number(position + 40, 8, little=True))
        position += size


def _material_exchange(file: _File) -> None:
    """Check the keys of an MXF file (SMPTE 377), which may begin with up to 64 kB of something else."""
    position = max(0, file.read(0, min(file.size, 1 << 16)).find(b"\x06\x0e\x2b\x34"))
    while position < file.size:
        if file.read(position, 4) != b"\x06\x0e\x2b\x34":
            raise _no_part(position)
        size, head = file.number(position + 16, 1), 17
        if size & 0x80:
            head += size & 0x7F
            size = file.number(position + 17, size & 0x7F)
        position = file.inside(position + head + size)


# Pictures and video without a container ----------------------------------------------------------------------------


def _start_codes(file: _File) -> None:
    """Check raw H.264 or H.265 (Annex B): no picture holds three zeros in a row, but for the start of the next."""
    position, tail = 0, b""
    while position < file.size:
        data = tail + file.read(position, min(1 << 24, file.size - position))
        if wrong := re.search(rb"\x00\x00(?:\x00+[^\x00\x01]|\x02)", data):
            raise _no_part(position - len(tail) + wrong.start())
        position += len(data) - len(tail)
        tail = data[-4:]


def _motion_jpeg(file: _File) -> None:
    if not file.read(max(0, file.size - 4096), min(4096, file.size)).rstrip(b"\0").endswith(b"\xff\xd9"):
        raise StructureError(CUT_OFF)


def _playlist(file: _File) -> None:
    """Check that the files of an HLS playlist (RFC 8216) are there: FFmpeg goes on without one."""
    lines = file.read(0, min(file.size, 1 << 24)).decode("utf-8", "replace").splitlines()
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#") and "://" not in name and not (file.path.parent / name).exists():
            raise StructureError(f"'{printable(name)}' of its playlist is missing")


CHECKS: dict[str, Callable[[_File], None]] = {
    "matroska,webm": _matroska,
    "gif": _gif,
    "mpegts": _transport_stream,
    "mov,mp4,m4a,3gp,3g2,mj2": _boxes,
    "avi": _riff,
    "flv": _flash_video,
    "asf": _advanced_systems,
    "mxf": _material_exchange,
    "h264": _start_codes,
    "hevc": _start_codes,
    "mjpeg": _motion_jpeg,
    "hls": _playlist,
}
