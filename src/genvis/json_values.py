"""Values of JSON files that anybody may have written: whole and finite numbers, texts, and how messages show them."""

import math
from numbers import Integral, Real
from typing import TypeGuard


def whole_number(value: object) -> int | None:
    """Return a value as a whole number of 64 bits, or None if it is none.

    Whole numbers may be written as floats (64.0), as pandas does. True and false are no numbers.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        return number if -(1 << 63) <= number < 1 << 63 else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= 1 << 53:
        return int(value)
    return None


def finite_number(value: object) -> float | None:
    """Return a value as a finite number, or None if it is none. True and false are no numbers."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON allows whole numbers of thousands of digits
        return None
    return number if math.isfinite(number) else None


def is_text(value: object) -> TypeGuard[str]:
    r"""Return whether a value is a text that can be written as UTF-8; "\ud800" in a JSON file cannot."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object, most: int = 60) -> str:
    """Return a value as messages show it: in ASCII where it is no plain text, and cut where it is long."""
    try:
        text = repr(value) if not isinstance(value, str) or is_text(value) else ascii(value)
    except ValueError:  # Python writes no whole numbers of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= most else f"{text[: most - 3]}..."
