"""Output files that appear whole or not at all, and clear words when they cannot be written."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genvis.errors import OutputError

REASONS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up: free some space or choose another folder",
    errno.EACCES: "it is not writable: change its permissions or choose another folder",
    errno.EPERM: "it is not writable: change its permissions or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "a folder of its path is missing and cannot be made: choose another folder",
    errno.ENOTDIR: "a part of its path is a file: choose another folder",
    errno.EEXIST: "a file of that name is in the way: choose another folder",
    errno.EISDIR: "a folder of that name is in the way: remove it or choose another name",
    errno.ENAMETOOLONG: "its name is too long: choose a shorter one",
}


def cannot_write(path: str | Path, error: OSError) -> OutputError:
    """Return the sentence for a file that could not be written."""
    why = REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"Cannot write '{path}': {why}.")


def make_folder(path: str | Path) -> Path:
    """Make a folder, with its parents, and make sure that files can be written into it.

    Raises:
        OutputError: If that fails.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    Whoever reads ``path`` sees the old file or the whole new one, whatever happens in between.

    Raises:
        OutputError: If the file cannot be written or the disk is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem[:100]}.{os.getpid()}.part{target.suffix}")
    try:
        yield temporary
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, atomically.

    Raises:
        OutputError: If it cannot be written or the disk is full.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, document: Any) -> None:
    """Write a JSON file atomically; numbers keep their full precision.

    Raises:
        OutputError: If it cannot be written, the disk is full, or a number is not finite.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        try:
            json.dump(document, file, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError as error:
            raise OutputError(f"'{path}' cannot be written as JSON: {error}.") from error
