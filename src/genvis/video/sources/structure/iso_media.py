"""Structure of MP4 and MOV files (ISO/IEC 14496-12): boxes within boxes."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.video.sources.structure.sized_file import CUT_OFF, SizedFile, StructureError, no_part

BOX = re.compile(rb"[\x20-\x7e\xa9]{4}")


def check_iso_media(file: SizedFile) -> None:
    """Check the boxes of an MP4 or MOV file: fragments join, and an edit list that hides frames fits them."""
    _check_fragments(file)
    _check_edits(file)


def _check_fragments(file: SizedFile) -> None:
    """Check the boxes of a fragmented file; one with an index is checked by that."""
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
        if size < 8 or not BOX.fullmatch(kind):
            if is_fragmented:
                raise no_part(position)
            return
        if size > rest and is_fragmented:
            raise StructureError(CUT_OFF)
        if kind == b"moof":
            _check_fragment(file, position + 8, position + size)
        position += size
    if is_fragmented and any(file.read(position, min(8, max(0, file.size - position)))):
        raise StructureError(CUT_OFF)


def _check_fragment(file: SizedFile, position: int, end: int) -> None:
    """Check the boxes within one that describes a fragment, down to the lists of its frames."""
    while position < end:
        size, kind = file.number(position, 4), file.read(position + 4, 4)
        if not 8 <= size <= end - position or not BOX.fullmatch(kind):
            raise no_part(position)
        if kind == b"traf":
            _check_fragment(file, position + 8, position + size)
        elif kind == b"trun":
            flags, frames = file.number(position + 9, 3), file.number(position + 12, 4)
            a_frame = 4 * (flags >> 8 & 0xF).bit_count()
            if size != 16 + 4 * (flags & 1) + (flags & 4) + frames * a_frame:
                raise no_part(position)
        position += size


# Runs of equal values, and entries of an edit list, with short and long times.
RUNS = np.dtype([("count", ">u4"), ("value", ">i4")])
EDITS = (
    np.dtype([("lasts", ">u4"), ("begins", ">i4"), ("rate", ">u4")]),
    np.dtype([("lasts", ">u8"), ("begins", ">i8"), ("rate", ">u4")]),
)
MOST_TIMES_LONGER = 10
Box = tuple[int, int]
"""Where the content of a box begins, and where it ends."""


def _check_edits(file: SizedFile) -> None:
    """Check the list of the frames of the video, and its edit list, if frames of them were not read.

    Players show what the list says, so a damaged one loses frames, and so do damaged times. A sound list begins where
    there is a frame, and the frames do not last many times longer than the head of the track says.
    """
    for movie in _inside(file, (0, file.size), b"moov"):
        for track in _inside(file, movie, b"trak"):
            head, media = _inside(file, track, b"tkhd"), _inside(file, track, b"mdia")
            sizes = _inside(file, track, b"mdia", b"minf", b"stbl", b"stsz")
            if not (head and media and sizes) or _field(file, head[0], 12, 20) != file.video:
                continue
            of_all, number = file.number(sizes[0][0] + 4, 4), file.number(sizes[0][0] + 8, 4)
            table = _table(file, sizes[0], 12, np.dtype(">u4"), 0 if of_all else number)
            held = number if of_all else int(np.count_nonzero(table))
            if held > file.shown and of_all * number + int(table.sum(dtype=np.int64)) > file.size:
                raise StructureError("it lists frames that are larger than itself")
            if held > file.shown and not _edits_fit(file, movie, track):
                raise StructureError(f"its edit list leaves out {held - file.shown} frames, and does not fit them")


def _edits_fit(file: SizedFile, movie: Box, track: Box) -> bool:
    lists = _inside(file, track, b"edts", b"elst")
    if not lists:
        return True
    edits = lists[0]
    heads, media_heads = _inside(file, movie, b"mvhd"), _inside(file, track, b"mdia", b"mdhd")
    film_unit, unit = (_field(file, boxes[0], 12, 20) if boxes else 0 for boxes in (heads, media_heads))
    if not film_unit or not unit:
        return False
    runs = [
        _table(file, box, 8, RUNS, file.number(box[0] + 4, 4))
        for name in (b"stts", b"ctts")
        for box in _inside(file, track, b"mdia", b"minf", b"stbl", name)
    ]
    entries = _table(file, edits, 8, EDITS[file.number(edits[0], 1) == 1], file.number(edits[0] + 4, 4))
    media = sum(int(run["count"]) * int(run["value"]) for run in runs[0]) / unit if runs else 0.0
    has_long_times = file.number(media_heads[0][0], 1) == 1
    media_announced = _field(file, media_heads[0], 16, 24, size=8 if has_long_times else 4) / unit
    begins = entries["begins"][entries["begins"] >= 0]
    # Where frames have times of their own, the first one is not shown at 0.
    earliest = int(runs[1]["value"][0]) if len(runs) > 1 and len(runs[1]) else 0
    # What a writer states there may leave out what the list hides, but no more.
    is_absurd = 0 < MOST_TIMES_LONGER * (1 + media_announced) < media
    return not is_absurd and not (len(begins) and int(begins.min()) < earliest)


def _inside(file: SizedFile, box: Box, kind: bytes, *kinds: bytes) -> list[Box]:
    """Return the boxes of a kind in a box; of further kinds, in those of the kind before. What is no box ends it."""
    found, (position, end) = [], box
    while position + 8 <= end:
        size, head = file.number(position, 4), 8
        if size == 1 and position + 16 <= end:
            size, head = file.number(position + 8, 8), 16
        box_end = position + size if size else end
        if box_end > end or box_end < position + head:
            break
        if file.read(position + 4, 4) == kind:
            found.append((position + head, box_end))
        position = box_end
    return [inner for outer in found for inner in _inside(file, outer, *kinds)] if kinds else found


def _field(file: SizedFile, box: Box, short: int, long: int, *, size: int = 4) -> int:
    """Return a number of a box whose version 1 has long times, which moves it."""
    return file.number(box[0] + (long if file.number(box[0], 1) == 1 else short), size)


def _table(file: SizedFile, box: Box, start: int, kind: "np.dtype[Any]", count: int) -> "NDArray[Any]":
    if box[0] + start + count * kind.itemsize > box[1]:
        raise no_part(box[0] - 8)
    return np.frombuffer(file.read(box[0] + start, count * kind.itemsize), kind)
