"""Structure of containers of chunks, tags, keys and pages."""

import re
import zlib

from genvis.video.sources.structure.sized_file import SizedFile, no_part

CHUNK = re.compile(rb"[0-9A-Za-z_ #]{4}")
UNKNOWN_SIZES = (0, 0xFFFFFFFF)


def check_riff(file: SizedFile) -> None:
    """Check the chunks of an AVI file, and that its RIFF chunks are whole; one that was piped or killed states none."""
    position, riff_end = 0, 0
    while position + 8 <= file.size:
        kind, size = file.read(position, 4), file.number(position + 4, 4, little=True)
        if position >= riff_end and kind != b"RIFF":
            return  # What follows the last RIFF chunk is foreign.
        if kind == b"RIFF":
            riff_end = file.size if size in UNKNOWN_SIZES else file.inside(position + 8 + size)
        if kind in (b"RIFF", b"LIST"):
            position += 12
        elif re.fullmatch(CHUNK, kind):
            position = file.inside(position + 8 + size)
            # Chunks begin at even places, but some writers leave the filling out.
            position += size % 2 if not re.match(CHUNK, file.read(position, min(4, file.size - position))) else 0
        else:
            raise no_part(position)


def check_flash_video(file: SizedFile) -> None:
    """Check the tags of an FLV file, each with its size before and behind it, and that all video is of one codec."""
    position, codecs = file.number(5, 4) + 4, set()
    while position < file.size:
        kind, size = file.number(position, 1) & 0x1F, file.number(position + 1, 3)
        if kind == 9 and size and (codec := file.number(position + 11, 1)) < 0x80:  # Above, it has a longer name.
            codecs.add(codec & 0x0F)
        if kind not in (8, 9, 18) or len(codecs) > 1:
            raise no_part(position)
        # Some writers count the size of a tag without its head, or not at all.
        if file.number(position + 11 + size, 4) not in (size + 11, size, 0):
            raise no_part(position)
        position += 15 + size


def check_material_exchange(file: SizedFile) -> None:
    """Check the keys of an MXF file (SMPTE 377), which may begin with up to 64 kB of something else."""
    position = max(0, file.read(0, min(file.size, 1 << 16)).find(b"\x06\x0e\x2b\x34"))
    while position < file.size:
        if file.read(position, 4) != b"\x06\x0e\x2b\x34":
            raise no_part(position)
        size, head = file.number(position + 16, 1), 17
        if size & 0x80:
            head += size & 0x7F
            size = file.number(position + 17, size & 0x7F)
        position = file.inside(position + head + size)


def check_interchange_video(file: SizedFile) -> None:
    """Check the frames of an IVF file, each with its size and its time, which never falls."""
    position, time = file.number(6, 2, little=True), -1
    while position < file.size:
        size, later = file.number(position, 4, little=True), file.number(position + 4, 8, little=True)
        if later < time:
            raise no_part(position)
        position, time = file.inside(position + 12 + size), later


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check_ogg(file: SizedFile) -> None:
    """Check the pages of an Ogg file (RFC 3533): their checksums, and that none of a stream is missing."""
    position = 0
    numbers: dict[int, int] = {}
    while position < file.size:
        if file.read(position, 4) != b"OggS":
            raise no_part(position)
        segments = file.number(position + 26, 1)
        length = 27 + segments + sum(file.read(position + 27, segments))
        page = file.read(position, length)
        stream, number, checksum = (int.from_bytes(page[place : place + 4], "little") for place in (14, 18, 22))
        # The polynomial is that of zlib, with the bits of every byte in the other order.
        mirrored = (page[:22] + bytes(4) + page[26:]).translate(MIRRORED)
        found = int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
        if found != checksum or number != numbers.get(stream, number):
            raise no_part(position)
        numbers[stream] = (number + 1) & 0xFFFFFFFF
        position += length
