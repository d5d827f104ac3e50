"""Structure of what is no container: GIF, raw H.264, H.265 and MJPEG, and playlists."""

import re

from genvis.files import printable
from genvis.video.sources.structure.sized_file import CUT_OFF, SizedFile, StructureError, no_part

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B


def check_gif(file: SizedFile) -> None:
    """Check the blocks of a GIF (version 89a)."""
    position = 13 + _color_table(file.number(10, 1))
    # Some writers forget the trailer: a file may end wherever a block does.
    while position < file.size and (mark := file.number(position, 1)) != TRAILER:
        if mark == EXTENSION:
            position += 2
        elif mark == IMAGE:
            position += 11 + _color_table(file.number(position + 9, 1))
        else:
            raise no_part(position)
        while size := file.number(position, 1):
            position += 1 + size
        position += 1


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def check_start_codes(file: SizedFile) -> None:
    """Check raw H.264 or H.265 (Annex B): no picture holds three zeros in a row, but for the start of the next."""
    position, tail = 0, b""
    while position < file.size:
        data = tail + file.read(position, min(1 << 24, file.size - position))
        if wrong := re.search(rb"\x00\x00(?:\x00+[^\x00\x01]|\x02)", data):
            raise no_part(position - len(tail) + wrong.start())
        position += len(data) - len(tail)
        tail = data[-4:]


def check_motion_jpeg(file: SizedFile) -> None:
    """Check that the last picture of raw Motion JPEG has its end."""
    if not file.read(max(0, file.size - 4096), min(4096, file.size)).rstrip(b"\0").endswith(b"\xff\xd9"):
        raise StructureError(CUT_OFF)


def check_playlist(file: SizedFile) -> None:
    """Check that the files of an HLS playlist (RFC 8216) are there: FFmpeg goes on without one."""
    lines = file.read(0, min(file.size, 1 << 24)).decode("utf-8", "replace").splitlines()
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#") and "://" not in name and not (file.path.parent / name).exists():
            raise StructureError(f"'{printable(name)}' of its playlist is missing")
