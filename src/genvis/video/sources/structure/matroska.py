"""Structure of Matroska and WebM (RFC 9559, RFC 8794): elements within elements, each with its size."""

from genvis.video.sources.structure.sized_file import CUT_OFF, SizedFile, StructureError, no_part

SEGMENT, CLUSTER, TRACKS, TRACK_ENTRY, TRACK_NUMBER = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xD7
SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xA3, 0xA0, 0xA1
XIPH_SIZES, FIXED_SIZES = 1, 2
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


def check_matroska(file: SizedFile) -> None:
    """Check the first segment; what may follow it is nobody's."""
    position = 0
    while position < file.size:
        element, body, end = _element(file, position)
        if element == SEGMENT:
            _segment(file, body, file.size if end is None else file.inside(end))
            return
        position = file.inside(body if end is None else end)
    raise StructureError("it holds no segment")


def _segment(file: SizedFile, position: int, segment_end: int) -> None:
    """Walk the elements of a segment; a cluster of unknown size ends where the next element of the segment begins."""
    tracks: set[int] = set()
    open_cluster = False
    while position < segment_end:
        element, body, end = _element(file, position)
        if element == CLUSTER and end is None:
            open_cluster, position = True, body
            continue
        if end is None or end > segment_end:
            raise StructureError(CUT_OFF) if end is not None and end > file.size else no_part(position)
        if element in IN_SEGMENT:
            open_cluster = open_cluster and element in VOID_OR_CHECKSUM
            if element == TRACKS:
                tracks |= _track_numbers(file, body, end)
            elif element == CLUSTER:
                _cluster(file, body, end, tracks)
        elif open_cluster and element in IN_CLUSTER:
            _in_cluster(file, element, body, end, tracks)
        else:
            raise no_part(position)
        position = end


def _cluster(file: SizedFile, position: int, cluster_end: int, tracks: set[int]) -> None:
    while position < cluster_end:
        element, body, end = _element(file, position)
        if element not in IN_CLUSTER or end is None or end > cluster_end:
            raise no_part(position)
        _in_cluster(file, element, body, end, tracks)
        position = end


def _in_cluster(file: SizedFile, element: int, body: int, end: int, tracks: set[int]) -> None:
    """Check that a block belongs to a track that exists: FFmpeg leaves out any other."""
    if element == BLOCK_GROUP:
        position = body
        while position < end:
            element, inner, inner_end = _element(file, position)
            if inner_end is None or inner_end > end:
                raise no_part(position)
            if element == BLOCK:
                break
            position = inner_end
        else:
            raise no_part(body)
        body = inner
    if element in (SIMPLE_BLOCK, BLOCK):
        track, position = _vint(file, body)
        if tracks and track not in tracks:
            raise no_part(body)
        if lacing := file.number(position + 2, 1) >> 1 & 3:
            _laces(file, position + 3, end, lacing)


def _laces(file: SizedFile, position: int, end: int, lacing: int) -> None:
    """Check the sizes of the frames that share a block, which all but the last one state."""
    start, stated = position, file.number(position, 1)
    position += 1
    rest = 0
    if lacing == FIXED_SIZES:
        if (end - position) % (stated + 1):
            raise no_part(start)
        return
    size = 0
    for number in range(stated):
        if lacing == XIPH_SIZES:
            size = 0
            while (byte := file.number(position, 1)) == 255:
                size, position = size + 255, position + 1
            size, position = size + byte, position + 1
        else:  # The first size, and then the steps from each to the next.
            value, after = _vint(file, position)
            step = 0 if number == 0 else (1 << 7 * (after - position) - 1) - 1
            size, position = size + (value if value is not None else 2 * step + 1) - step, after
        if size < 0:
            raise no_part(start)
        rest += size
    if position + rest > end:
        raise no_part(start)


def _track_numbers(file: SizedFile, position: int, tracks_end: int) -> set[int]:
    numbers = set()
    while position < tracks_end:
        element, body, end = _element(file, position)
        if end is None or end > tracks_end:
            raise no_part(position)
        while element == TRACK_ENTRY and body < end:
            inner, inner_body, inner_end = _element(file, body)
            if inner_end is None or inner_end > end:
                raise no_part(body)
            if inner == TRACK_NUMBER and inner_end - inner_body <= 8:
                numbers.add(file.number(inner_body, inner_end - inner_body))
            body = inner_end
        position = end
    return numbers


def _element(file: SizedFile, position: int) -> tuple[int, int, int | None]:
    """Read the head of an EBML element: its identifier, where its body begins and ends; None for an unknown size."""
    first = file.number(position, 1)
    length = 9 - first.bit_length()
    if length > 4:
        raise no_part(position)
    element = file.number(position, length)
    size, after = _vint(file, position + length)
    return element, after, None if size is None else after + size


def _vint(file: SizedFile, position: int) -> tuple[int | None, int]:
    """Read a number of variable size, None for the one of all ones, and the position after it."""
    first = file.number(position, 1)
    length = 9 - first.bit_length()
    if length > 8:
        raise no_part(position)
    largest = (1 << 7 * length) - 1
    value = file.number(position, length) & largest
    return None if value == largest else value, position + length
