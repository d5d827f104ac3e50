"""Structure of raw H.264 (ITU-T H.264, annex B): the order of pictures, as the heads of their slices count them.

Nothing else tells of a picture that was taken out: the decoder predicts from another one and says nothing. Of H.265
only what it has in common is checked.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from genvis.video.sources.structure.raw_streams import check_start_codes
from genvis.video.sources.structure.sized_file import SizedFile, StructureError, no_part

START = re.compile(rb"\x00\x00\x01")
SLICE, INSTANT_REFRESH, SUPPLEMENT, SEQUENCE, PICTURE = 1, 5, 6, 7, 8
SUPPLEMENTS_OF_H265 = (39, 40)
HEAD_BYTES = 96
# Profiles that state how colours are stored, with lists of 16 and 64 weights.
HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
FOUR_FULL_PLANES = 3
LONGEST_CODE = 32


@dataclass(frozen=True)
class _Sequence:
    """What slices need of a sequence parameter set.

    Attributes:
        has_planes: Whether each colour has slices of its own.
        number_bits: Bits of a picture's number.
        may_skip: Whether numbers may be left out.
        order_bits: Bits of a picture's place in the order of display; 0 if slices do not tell it.
        has_fields: Whether pictures can be fields.
    """

    has_planes: bool
    number_bits: int
    may_skip: bool
    order_bits: int
    has_fields: bool


@dataclass(frozen=True)
class _Picture:
    """The first slice of a picture; its place in the order of display is None if that is not told."""

    position: int
    is_first: bool
    is_reference: bool
    number: int
    order: int | None
    sequence: _Sequence


def check_h264(file: SizedFile) -> None:
    """Check that pictures follow one another, as their numbers and places in the order of display say."""
    check_start_codes(file)
    steps: list[tuple[int, int]] = []
    orders: list[tuple[int, int]] = []
    reference: int | None = None
    for picture in _pictures(file):
        if picture.is_first:
            steps += _steps(orders)
            orders, reference = [], 0
        elif reference is not None and not picture.sequence.may_skip:
            following = (reference + 1) % (1 << picture.sequence.number_bits)
            if picture.number not in (reference, following):
                raise _missing(picture.position)
        if picture.is_reference or reference is None:
            reference = picture.number
        if picture.order is not None:
            orders.append((_unwrapped(picture, orders), picture.position))
    _check_steps(steps + _steps(orders))


def check_h265(file: SizedFile) -> None:
    """Check the start codes and the supplemental information of raw H.265, which is built alike."""
    check_start_codes(file)
    position = 0
    while (start := file.find(START, position)) is not None:
        position = start + 3
        if position < file.size and file.number(position, 1) >> 1 & 0x3F in SUPPLEMENTS_OF_H265:
            try:
                _check_supplement(file, position + 2)
            except IndexError:
                raise no_part(position) from None


def _unwrapped(picture: _Picture, orders: list[tuple[int, int]]) -> int:
    """Return the place nearest to the last one of which a slice tells the lowest bits."""
    assert picture.order is not None
    turn = 1 << picture.sequence.order_bits
    last = orders[-1][0] if orders else 0
    return last + (picture.order - last + turn // 2) % turn - turn // 2


def _steps(orders: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the steps from one place of display to the next, and the positions of the pictures after them."""
    return [(later - earlier, position) for (earlier, _), (later, position) in pairwise(sorted(orders))]


def _check_steps(steps: list[tuple[int, int]]) -> None:
    """Check that steps are of one length.

    A sender that leaves out pictures by itself makes steps of all lengths: such a stream is not judged.
    """
    (usual, count), *_ = Counter(step for step, _ in steps).most_common(1) or [(0, 0)]
    for step, position in steps if 2 * count > len(steps) else []:
        if step == 0 or step > usual:
            raise _missing(position)


def _missing(position: int) -> StructureError:
    return StructureError(f"pictures of it are missing before byte {position}")


def _pictures(file: SizedFile) -> Iterator[_Picture]:
    """Read the first slice of every picture that is no field."""
    sequences: dict[int, _Sequence] = {}
    of_picture: dict[int, int] = {}
    position = 0
    while (start := file.find(START, position)) is not None:
        position = start + 3
        data = file.read(position, min(HEAD_BYTES, file.size - position))
        kind = data[0] & 0x1F if data else 0
        # Up to the next start; a zero, zero, three stands for a zero, zero.
        bits = _Bits(START.split(data[1:])[0].replace(b"\0\0\3", b"\0\0"))
        try:
            if kind == SUPPLEMENT:
                _check_supplement(file, position + 1)
            elif kind == SEQUENCE:
                number, sequence = _sequence(bits)
                sequences[number] = sequence
            elif kind == PICTURE:
                number = bits.code()
                of_picture[number] = bits.code()
            elif kind in (SLICE, INSTANT_REFRESH):
                picture = _slice(bits, data[0], position, sequences, of_picture)
                if picture is not None:
                    yield picture
        except (KeyError, IndexError):
            raise no_part(position) from None


def _check_supplement(file: SizedFile, position: int) -> None:
    """Check that messages of supplemental information fit into their unit; each states its kind and size."""
    end = file.find(START, position)
    data = file.read(position, (file.size if end is None else end) - position).replace(b"\0\0\3", b"\0\0")
    place, numbers = 0, [0, 0]
    while place < len(data.rstrip(b"\0")) - 1:  # The last byte is a mark of the end.
        for field in (0, 1):
            numbers[field] = 0
            while data[place] == 0xFF:
                numbers[field], place = numbers[field] + 255, place + 1
            numbers[field], place = numbers[field] + data[place], place + 1
        place += numbers[1]
    if place > len(data):
        raise no_part(position)


class _Bits:
    """Bits, the highest of each byte first; IndexError after the last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def bit(self) -> int:
        value = self._data[self._place >> 3] >> (7 - (self._place & 7)) & 1
        self._place += 1
        return value

    def number(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self.bit()
        return value

    def code(self) -> int:
        """Read a number in Exp-Golomb code."""
        zeros = 0
        while not self.bit():
            zeros += 1
            if zeros > LONGEST_CODE:
                raise IndexError
        return (1 << zeros) - 1 + self.number(zeros)

    def signed_code(self) -> int:
        value = self.code()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _sequence(bits: _Bits) -> tuple[int, _Sequence]:
    profile = bits.number(8)
    bits.number(16)  # Constraints and the level.
    number, has_planes = bits.code(), False
    if profile in HIGH_PROFILES:
        colors = bits.code()
        has_planes = colors == FOUR_FULL_PLANES and bool(bits.bit())
        bits.code(), bits.code(), bits.bit()  # Bits of a sample, and a way to code without loss.
        if bits.bit():
            for place in range(12 if colors == FOUR_FULL_PLANES else 8):
                if bits.bit():
                    _skip_weights(bits, 16 if place < 6 else 64)
    number_bits, order_bits = bits.code() + 4, 0
    order_kind = bits.code()
    if order_kind == 0:
        order_bits = bits.code() + 4
    elif order_kind == 1:
        bits.bit(), bits.code(), bits.code()
        for _ in range(min(bits.code(), 256)):
            bits.code()
    bits.code()  # References.
    may_skip = bool(bits.bit())
    bits.code(), bits.code()  # The size.
    if max(number_bits, order_bits) > 16:
        raise IndexError
    return number, _Sequence(has_planes, number_bits, may_skip, order_bits, has_fields=not bits.bit())


def _skip_weights(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.signed_code()) % 256
        last = following or last


def _slice(
    bits: _Bits, head: int, position: int, sequences: dict[int, _Sequence], of_picture: dict[int, int]
) -> _Picture | None:
    """Read the head of a slice; None if it is not the first of a picture, or that is a field."""
    if bits.code():
        return None
    bits.code()  # Its kind.
    sequence = sequences[of_picture[bits.code()]]
    if sequence.has_planes and bits.number(2):
        return None
    number = bits.number(sequence.number_bits)
    is_field = sequence.has_fields and bool(bits.bit())
    is_second = is_field and bool(bits.bit())
    is_first = head & 0x1F == INSTANT_REFRESH
    if is_first:
        bits.code()  # Which refresh it is.
    order = bits.number(sequence.order_bits) if sequence.order_bits and not is_field else None
    if is_second:
        return None
    return _Picture(position, is_first, bool(head & 0x60), number, order, sequence)
