"""Structure of what is no container: GIF, animated PNG, raw H.264, H.265 and MJPEG, and playlists."""

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genvis.files import printable
from genvis.video.sources.structure.sized_file import CUT_OFF, SizedFile, StructureError, no_part

EXTENSION, IMAGE, TRAILER, GRAPHIC_CONTROL = 0x21, 0x2C, 0x3B, 0xF9


@dataclass(frozen=True)
class _GifPart:
    """An extension or a picture of a GIF.

    Attributes:
        position: Where it begins.
        kind: ``IMAGE``, or the label of an extension.
        is_broken: Whether a block of its chain, other than the last, is smaller than one before.
    """

    position: int
    kind: int
    is_broken: bool


def check_gif(file: SizedFile) -> None:
    """Check the blocks of a GIF (version 89a).

    A picture is a chain of blocks, all of one size but the last. Where another one is smaller, the end of a picture and
    the beginning of the next are lost; unless the writer of the file makes such chains everywhere.
    """
    pictures = [part for part in _gif_parts(file) if part.kind == IMAGE]
    broken = [part.position for part in pictures if part.is_broken]
    if 0 < len(broken) < len(pictures) / 2:
        raise no_part(broken[0])


def has_untimed_pictures(path: Path) -> bool:
    """Whether a GIF has several pictures, some of which state no time: FFmpeg takes those for one packet."""
    try:
        with path.open("rb") as stream:
            kinds = Counter(part.kind for part in _gif_parts(SizedFile(path, stream, video=0, shown=0)))
    except (OSError, StructureError):
        return False
    return kinds[IMAGE] > max(1, kinds[GRAPHIC_CONTROL])


def _gif_parts(file: SizedFile) -> Iterator[_GifPart]:
    position = 13 + _color_table(file.number(10, 1))
    # Some writers forget the trailer: a file may end wherever a block does.
    while position < file.size and (mark := file.number(position, 1)) != TRAILER:
        start, kind = position, mark
        if mark == EXTENSION:
            kind = file.number(position + 1, 1)
            position += 2
        elif mark == IMAGE:
            position += 11 + _color_table(file.number(position + 9, 1))
        else:
            raise no_part(position)
        largest, previous, is_broken = 0, 0, False
        while size := file.number(position, 1):
            is_broken = is_broken or previous < largest
            largest, previous = max(largest, size), size
            position += 1 + size
        position += 1
        yield _GifPart(start, kind, is_broken)


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


PNG_HEAD_BYTES = 8
UNKNOWN_NUMBER = 1 << 31


def check_animated_png(file: SizedFile) -> None:
    """Check the chunks of an animated PNG: their checksums, the order of the frames' parts, and their number."""
    position, parts, frames, announced = PNG_HEAD_BYTES, 0, 0, 0
    while True:
        size, kind = file.number(position, 4), file.read(position + 4, 4)
        end = file.inside(position + 12 + size)
        data = file.read(position + 4, size + 4)
        if zlib.crc32(data) != file.number(end - 4, 4):
            raise no_part(position)
        if kind in (b"fcTL", b"fdAT"):
            if int.from_bytes(data[4:8]) != parts:
                raise no_part(position)
            parts, frames = parts + 1, frames + (kind == b"fcTL")
        elif kind == b"acTL":
            announced = int.from_bytes(data[4:8])
        elif kind == b"IEND":
            break
        position = end
    if frames < announced < UNKNOWN_NUMBER:
        raise StructureError(f"it has {frames} of the {announced} pictures that it announces")


def check_start_codes(file: SizedFile) -> None:
    """Check raw H.264 or H.265 (Annex B): no picture holds three zeros in a row, but for the start of the next."""
    position, tail = 0, b""
    while position < file.size:
        data = tail + file.read(position, min(1 << 24, file.size - position))
        if wrong := re.search(rb"\x00\x00(?:\x00+[^\x00\x01]|\x02)", data):
            raise no_part(position - len(tail) + wrong.start())
        position += len(data) - len(tail)
        tail = data[-4:]


START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN = 0xD8, 0xD9, 0xDA
# Within a scan a marker's first byte is followed by a zero, or is that of a restart.
AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
AFTER_PADDING = re.compile(rb"[^\x00\xff]")


def check_motion_jpeg(file: SizedFile) -> None:
    """Check that the pictures of raw Motion JPEG are whole, and follow one another (ITU-T T.81, annex B)."""
    position = 0
    while (start := file.find(AFTER_PADDING, position)) is not None:
        if start == position or file.read(start - 1, 2) != bytes((0xFF, START_OF_IMAGE)):
            raise no_part(position)
        position = _end_of_picture(file, start + 1)


def _end_of_picture(file: SizedFile, position: int) -> int:
    """Walk the segments of a JPEG picture, and return where it ends."""
    while True:
        if file.number(position, 1) != 0xFF:
            raise no_part(position)
        while (code := file.number(position + 1, 1)) == 0xFF:
            position += 1
        position += 2
        if code == END_OF_IMAGE:
            return position
        if not 0xC0 <= code <= 0xFE or 0xD0 <= code <= START_OF_IMAGE:
            raise no_part(position - 2)
        position = file.inside(position + max(2, file.number(position, 2)))
        if code == START_OF_SCAN:
            scan_end = file.find(AFTER_SCAN, position)
            if scan_end is None:
                raise StructureError(CUT_OFF)
            position = scan_end


def check_playlist(file: SizedFile) -> None:
    """Check that the files of an HLS playlist (RFC 8216) are there: FFmpeg goes on without one."""
    lines = file.read(0, min(file.size, 1 << 24)).decode("utf-8", "replace").splitlines()
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#") and "://" not in name and not (file.path.parent / name).exists():
            raise StructureError(f"'{printable(name)}' of its playlist is missing")
