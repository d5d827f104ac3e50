"""Records of large JSON files, one by one: an annotation file never stands in memory as a whole.

ijson gives one list a pass, so that the three of an annotation file take 2.3 times as long (its C backend; the file of
``benchmarks/annotation_loading.py``), and refuses texts that Python's own parser takes.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from genvis.errors import InputError
from genvis.files import require_file

_CHUNK = 1 << 22
_SPACE = re.compile(r"[ \t\n\r]*")
# A text that was cut off shows it near its end, or at the start of a string that does not end.
_MARGIN = 64


class _Reader:
    """The values of a JSON text, one after the other, through a buffer that holds little more than one of them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self._buffer = ""
        self._position = 0
        self._dropped = 0

    def _more(self) -> bool:
        # Doubling keeps the cost of a record that spans many chunks linear.
        chunk = self._file.read(max(_CHUNK, len(self._buffer) - self._position))
        if not chunk:
            return False
        self._dropped += self._position
        self._buffer, self._position = self._buffer[self._position :] + chunk, 0
        return True

    def peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._buffer):
                return self._buffer[self._position]
            if not self._more():
                return ""

    def take(self, character: str) -> bool:
        """Step over the next character if it is this one."""
        found = self.peek() == character
        self._position += found
        return found

    def expect(self, character: str) -> None:
        """Step over the next character, which must be this one."""
        if not self.take(character):
            self.fail(f"Expecting '{character}'")

    def fail(self, message: str) -> NoReturn:
        """Say what is wrong at this place."""
        raise json.JSONDecodeError(message, "", self._position)

    def value(self) -> Any:
        """Return the next whole value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                cut_off = error.pos > len(self._buffer) - _MARGIN or error.msg.startswith("Unterminated string")
                if cut_off and self._more():
                    continue
                raise
            # A number that was cut off can look like a shorter one.
            if end < len(self._buffer) - _MARGIN or not self._more():
                self._position = end
                return value

    def place(self, error: json.JSONDecodeError) -> str:
        """Return where and why reading failed."""
        return f"{error.msg} at character {self._dropped + error.pos}"


def iterate_records(path: str | Path, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Go through the lists of the given names in the object that a JSON file holds.

    Args:
        path: The file.
        names: Keys of the outermost object. Other keys are skipped, and a list that is null counts as empty.

    Yields:
        The name of the list and one of its elements, in the order of the file.

    Raises:
        InputError: If the file cannot be read, is not JSON, or holds something else than lists of those names.
    """
    try:
        with require_file(path).open(encoding="utf-8-sig") as file:
            reader = _Reader(file)
            try:
                yield from _records(reader, Path(path), names)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"'{path}' is not valid JSON ({reader.place(error)}): make it, or download it, again."
                ) from None
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}): check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"'{path}' is not a text in UTF-8: give the annotation file, unpacked.") from None
    except InputError:
        raise
    except ValueError as error:  # whole numbers of more than 4,300 digits
        raise InputError(f"'{path}' is not an annotation file: {error}.") from None
    except RecursionError:
        raise InputError(f"'{path}' is nested too deeply to be an annotation file: check the path.") from None


def _records(reader: _Reader, path: Path, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    if not reader.take("{"):
        kind = {"": "nothing", "[": "a list, as results are"}.get(reader.peek(), "a single value")
        raise InputError(f"'{path}' holds {kind}: an annotation file is an object with {', '.join(names)}.")
    seen: set[str] = set()
    while not reader.take("}"):
        name = reader.value()
        if not isinstance(name, str):
            reader.fail("Expecting a key")
        if name in names and name in seen:
            raise InputError(f"'{path}' has '{name}' twice: put both lists together.")
        seen.add(name)
        reader.expect(":")
        if name in names and reader.take("["):
            while not reader.take("]"):
                yield name, reader.value()
                if reader.peek() != "]":
                    reader.expect(",")
        else:
            value = reader.value()
            if name in names and value is not None:
                raise InputError(f"'{name}' of '{path}' is not a list: check that this is an annotation file.")
        if reader.peek() != "}":
            reader.expect(",")
