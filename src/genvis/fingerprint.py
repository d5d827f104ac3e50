"""Fingerprint of a run: what an interrupted, finished or cached result belongs to.

A result may be continued or reused only with the same weights, inputs and settings. They are written as a small JSON
record beside it and compared here, in one place::

    fingerprint = Fingerprint("evaluation", annotations=content_stamp(path), settings={"clip_length": 3})
    with claim(folder):                                   # no other process works in the folder
        fingerprint.bind(folder / "fingerprint.json", remedy="name another folder with -o, or say --overwrite")
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genvis.errors import InputError, OutputError
from genvis.files import cannot_write, make_folder, remove_leftovers, remove_leftovers_of, write_text

if TYPE_CHECKING:
    from torch import Tensor

FINGERPRINT_FILE = "fingerprint.json"
LOCK_FILE = ".genvis.lock"
TURN_SECONDS = 60.0

_FORMAT, _VERSION = "genvis fingerprint", 1
# Records are small; a larger file is something else.
_LARGEST_RECORD = 1 << 24
_LONGEST_VALUE = 80
_MOST_NAMES = 5


@dataclass(frozen=True)
class Stamp:
    """Identity of a file, a set of files, or the weights of a model.

    Attributes:
        name: How messages call it; not compared.
        digest: SHA-256 of what tells it from others, in hexadecimal digits.
    """

    name: str
    digest: str


Part = Stamp | str | int | float | bool | None | list[Any]


class Fingerprint:
    """Named parts that a result depends on.

    Args:
        kind: What the result is, for messages, for example ``"evaluation"``.
        parts: Stamps, plain JSON values, or mappings of such, whose names are joined with dots
            (``settings={"stride": 2}`` becomes ``settings.stride``). Leave out what may change.
    """

    def __init__(self, kind: str, /, **parts: Any) -> None:
        self.kind = kind
        self.parts: dict[str, Part] = dict(_flat("", parts))

    def differences(self, earlier: "Fingerprint") -> list[str]:
        """Return the names of the parts that differ, in the order of this fingerprint; unknown names last."""
        names = dict.fromkeys([*self.parts, *earlier.parts])
        return [name for name in names if not _same(self.parts.get(name, _ABSENT), earlier.parts.get(name, _ABSENT))]

    def without(self, name: str) -> "Fingerprint":
        """Return the fingerprint without one of its parts."""
        result = Fingerprint(self.kind)
        result.parts = {part: value for part, value in self.parts.items() if part != name}
        return result

    def require(self, earlier: "Fingerprint", *, where: str | Path, remedy: str) -> None:
        """Make sure that an earlier result is of this fingerprint.

        Args:
            earlier: Fingerprint of the result that is there.
            where: File or folder of the result, for the message.
            remedy: What to do, for example ``"name another folder, or say --overwrite"``.

        Raises:
            InputError: If a part differs; the text names it with the old and the new value.
        """
        if earlier.kind != self.kind:
            raise InputError(f"'{where}' is of the kind '{_short(earlier.kind)}', not '{self.kind}': {remedy}.")
        names = self.differences(earlier)
        if not names:
            return
        first, others = names[0], [_short(name) for name in names[1:]]
        old, new = earlier.parts.get(first, _ABSENT), self.parts.get(first, _ABSENT)
        more = ", ".join(others[:_MOST_NAMES]) + (", ..." if len(others) > _MOST_NAMES else "")
        also = f"; {more} differ{'' if len(others) > 1 else 's'} too" if others else ""
        difference = f"{_short(first)} was {_shown(old, new)}, now {_shown(new, old)}{also}"
        raise InputError(f"'{where}' belongs to another {self.kind} ({difference}): {remedy}.")

    def bind(self, path: Path, *, remedy: str) -> bool:
        """Compare with the record at ``path``, or write it if there is none.

        Returns:
            Whether there was a record: the result may be continued or reused.

        Raises:
            InputError: If the record is of another fingerprint, or damaged.
            OutputError: If it cannot be written.
        """
        earlier = self.read(path, remedy=remedy)
        if earlier is None:
            self.write(path)
            return False
        self.require(earlier, where=path.parent, remedy=remedy)
        return True

    def write(self, path: Path) -> None:
        """Write the record; it appears whole or not at all.

        Raises:
            OutputError: If it cannot be written.
        """
        write_text(path, json.dumps(self.to_json(), indent=1, ensure_ascii=True) + "\n")

    @classmethod
    def read(cls, path: Path, *, remedy: str) -> "Fingerprint | None":
        """Read a record.

        Args:
            path: The file.
            remedy: What to do about a damaged one.

        Returns:
            The fingerprint; None if there is no such file.

        Raises:
            InputError: If the file is damaged or of another version.
        """
        try:
            if not path.exists():
                return None
            if not path.is_file() or path.stat().st_size > _LARGEST_RECORD:
                raise ValueError("no record")
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            raise InputError(f"'{path}' is damaged, so that it is not known what it belongs to: {remedy}.") from None
        return cls.from_json(document, where=path, remedy=remedy)

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object, for files that hold more than a fingerprint."""
        parts = {
            name: {"name": part.name, "digest": part.digest} if isinstance(part, Stamp) else part
            for name, part in self.parts.items()
        }
        return {"format": _FORMAT, "version": _VERSION, "kind": self.kind, "parts": parts}

    @classmethod
    def from_json(cls, document: Any, *, where: str | Path, remedy: str) -> "Fingerprint":
        """Return the fingerprint that :meth:`to_json` turned into an object.

        Raises:
            InputError: If it is something else, or of another version.
        """
        record = document if isinstance(document, dict) else {}
        kind, parts = record.get("kind"), record.get("parts")
        if record.get("format") != _FORMAT or not isinstance(kind, str) or not isinstance(parts, dict):
            raise InputError(f"'{where}' holds no fingerprint, or a damaged one: {remedy}.")
        if record.get("version") != _VERSION:
            raise InputError(f"'{where}' was made by another version of genvis: {remedy}.")
        result = cls(kind)
        for name, value in parts.items():
            if not isinstance(value, dict):
                result.parts[name] = value
            elif set(value) == {"name", "digest"} and all(isinstance(text, str) for text in value.values()):
                result.parts[name] = Stamp(**value)
            else:
                raise InputError(f"'{where}' holds no fingerprint, or a damaged one: {remedy}.")
        return result


def content_stamp(path: str | Path) -> Stamp:
    """Return the identity of a file by its content (SHA-256), wherever it lies.

    A file that was read once is read again only if its size or its time of modification changed.

    Raises:
        InputError: If the file cannot be read.
    """
    file = Path(path)
    try:
        status = file.stat()
        digest = _content_digest(file.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}): check the path.") from None
    return Stamp(file.name, digest)


def files_stamp(paths: Iterable[Path], *, name: str) -> Stamp:
    """Return the identity of large files, such as videos, by path, size and time of modification; they are not read.

    Args:
        paths: In the order that matters.
        name: What they are together, for messages.

    Raises:
        InputError: If a file is missing.
    """
    entries = []
    for path in paths:
        try:
            status = path.stat()
            entries.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
        except OSError as error:
            raise InputError(f"'{path}' cannot be read ({error.strerror}): check the path.") from None
    if len(entries) == 1:
        place, size, nanoseconds = entries[0]
        return Stamp(f"{place}, {size:,} bytes of {_moment(nanoseconds)}", _digest(entries))
    return Stamp(f"{name}, {len(entries):,} files", _digest(entries))


def value_stamp(value: Any, *, name: str) -> Stamp:
    """Return the identity of a value that is too large for a record, such as loaded annotations.

    Args:
        value: JSON values, bytes, NumPy arrays, and lists, tuples, mappings and dataclasses of such. Paths do not
            count: what was read from a file is the same wherever the file lies.
        name: What it is, for messages.
    """
    digest = hashlib.sha256()
    for part in _serialised(value):
        digest.update(part)
    return Stamp(name, digest.hexdigest())


def tensors_stamp(tensors: Mapping[str, "Tensor"], *, name: str) -> Stamp:
    """Return the identity of named tensors (weights) by their names, dtypes, shapes and content.

    Args:
        tensors: A state dictionary, on any device.
        name: What they are, for messages: a model's name or folder.
    """
    import torch

    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return Stamp(name, digest.hexdigest())


@contextmanager
def claim(folder: str | Path) -> Iterator[Path]:
    """Claim an output folder for this process; a claim ends with its block, or with the process, be it killed.

    What killed runs left unfinished in the folder, and in the folders in it, is removed.

    Args:
        folder: Made if it does not exist.

    Yields:
        The folder.

    Raises:
        InputError: If another process, or another block of this one, holds the claim.
        OutputError: If the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    place = make_folder(folder)
    lock = FileLock(place / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"Another run is writing into '{folder}': wait for it, or name another folder.") from None
    except (OSError, NotImplementedError) as error:
        failure = error if isinstance(error, OSError) else OSError(0, "its file system has no locks")
        raise cannot_write(place / LOCK_FILE, failure) from error
    try:
        for root, _, _ in os.walk(place):
            remove_leftovers(Path(root))
        yield place
    finally:
        # Removed while it is held: a process that opened the file before sees that it is gone.
        with suppress(OSError):
            (place / LOCK_FILE).unlink()
        lock.release()


def release_ended(folder: Path) -> None:
    """Remove the claim of a process that was killed just before it ended one, from a folder that nobody claims again.

    Args:
        folder: The folder; nothing happens while somebody holds its claim.
    """
    if (folder / LOCK_FILE).exists():
        with suppress(InputError, OutputError), claim(folder):
            pass


@contextmanager
def turn(path: str | Path) -> Iterator[Path]:
    """Wait for the turn to write a file that several processes write, each in its own time, in a folder of nobody.

    What killed ones left of it is removed. A file system without locks gives everybody the turn at once.

    Args:
        path: The file; its folder must exist.

    Yields:
        The file.
    """
    from filelock import FileLock, Timeout

    target = Path(path)
    lock = FileLock(target.with_name(f".{target.stem[:100]}.lock"), timeout=TURN_SECONDS)
    try:
        lock.acquire()
    except (OSError, NotImplementedError, Timeout):
        yield target  # The disk is full or refuses: writing says so.
        return
    try:
        remove_leftovers_of(target)
        yield target
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


# Stands for a part that one side does not have.
_ABSENT = Stamp("not given", "")


def _flat(prefix: str, parts: Mapping[str, Any]) -> Iterator[tuple[str, Part]]:
    for name, value in parts.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        elif isinstance(value, Stamp):
            yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}", json.loads(json.dumps(value))  # As it will be read: tuples become lists.


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Stamp) or isinstance(other, Stamp):
        return isinstance(one, Stamp) and isinstance(other, Stamp) and one.digest == other.digest
    return bool(one == other) or json.dumps(one) == json.dumps(other)  # NaN is not equal to itself.


def _shown(part: Any, beside: Any) -> str:
    """Return a part for people; what tells two stamps of one name apart is their digest."""
    if part is _ABSENT:
        return part.name
    if isinstance(part, Stamp):
        alike = isinstance(beside, Stamp) and beside.name == part.name
        return f"'{_short(part.name)}'" + (f" with content {part.digest[:12]}" if alike else "")
    return _short(json.dumps(part))


def _short(text: str) -> str:
    """Return a text that fits into a sentence, whatever a damaged record has in it."""
    cut = text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)


@lru_cache(maxsize=64)
def _content_digest(path: Path, size: int, modified: int) -> str:
    """Return the digest of a file; size and time of modification are part of the cache's key."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _moment(nanoseconds: int) -> str:
    try:
        return datetime.fromtimestamp(nanoseconds // 10**9).isoformat(" ")
    except (ValueError, OverflowError, OSError):  # Broken clocks date files beyond what a calendar holds.
        return f"second {nanoseconds // 10**9}"


def _serialised(value: Any) -> Iterator[bytes | memoryview]:
    if isinstance(value, Path):
        return
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        value = [item for pair in value.items() for item in pair]
    if isinstance(value, list | tuple):
        yield f"{len(value)} items\n".encode()
        for item in value:
            yield from _serialised(item)
    elif hasattr(value, "dtype"):  # An array, or one of its numbers.
        yield f"{value.dtype} {value.shape}\n".encode()
        yield value.tobytes()
    else:
        yield value if isinstance(value, bytes) else f"{json.dumps(value)}\n".encode()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
