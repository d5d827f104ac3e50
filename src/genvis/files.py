"""Files and folders that appear whole or not at all, and JSON objects read with one sentence for whatever is wrong."""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genvis.errors import InputError, OutputError

REASONS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "it is larger than the file system, or a limit of your account, allows: choose another folder",
    errno.EACCES: "it is not writable: change its permissions or choose another folder",
    errno.EPERM: "it is not writable: change its permissions or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "a folder of its path is missing and cannot be made: choose another folder",
    errno.ENOTDIR: "a part of its path is a file: choose another folder",
    errno.EEXIST: "a file of that name is in the way: choose another folder",
    errno.EISDIR: "a folder of that name is in the way: remove it or choose another name",
    errno.ENOTEMPTY: "a folder of that name is in the way: remove it or choose another name",
    errno.ENAMETOOLONG: "its name is too long: choose a shorter one",
}


def printable(name: object) -> str:
    """Return a name, or a message, on one line that every terminal and file takes.

    Line breaks and other control characters become blanks, and bytes that are no UTF-8 question marks.
    """
    text = str(name).encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text)


def cannot_write(path: str | Path, error: OSError) -> OutputError:
    """Return the error, one sentence, for a file that could not be written."""
    why = REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"Cannot write '{printable(path)}': {why}.")


def make_folder(path: str | Path) -> Path:
    """Make a folder, with its parents, and make sure that files can be written into it.

    Raises:
        OutputError: If that fails.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # A file without a name, where the system has them: kills leave none.
            pass
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


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` that becomes it when the block ends well; else nothing is left.

    Args:
        path: The folder to make. It must not exist, or be empty.
        overwrite: Replace a folder of that name instead, in one step at the end.

    Yields:
        The temporary folder to fill.

    Raises:
        InputError: If ``path`` is a file, or a folder with something in it.
        OutputError: If a file in the folder cannot be written or the disk is full.
    """
    target = Path(path).resolve()
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not overwrite)):
        raise InputError(f"'{path}' exists already; remove it or name another folder.")
    work = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent))
        filled, old = work / "new", work / "old"
        filled.mkdir()
        yield filled
        if target.exists():
            target.rename(old)
        try:
            filled.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        # A file of elsewhere that cannot be read, say: that is not about the folder.
        if work is not None and error.filename is not None and not _lies_in(error.filename, work, target):
            raise
        raise cannot_write(target, error) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _lies_in(name: str | bytes, *folders: Path) -> bool:
    path = Path(os.fsdecode(name)).absolute()
    return any(path.is_relative_to(folder) for folder in folders)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder; call it only where no other process writes (see `claim`)."""
    for path in folder.glob(".*.part*"):
        if re.fullmatch(r"\..+\.[a-z0-9_]{8}\.partial", path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif re.fullmatch(r"\..*\.\d+\.part(\.[^.]*)?", path.name):
            with suppress(OSError):
                path.unlink()


def remove_leftovers_of(target: Path) -> None:
    """Remove what killed writers of one file left of it; call it only where no other process writes it (see `turn`)."""
    of_target = re.compile(rf"\.{re.escape(target.stem[:100])}\.\d+\.part{re.escape(target.suffix)}")
    for path in target.parent.glob(".*.part*"):
        if of_target.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, atomically; what UTF-8 cannot hold (lone surrogates) becomes a question mark.

    Raises:
        OutputError: If it cannot be written or the disk is full.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


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


def require_file(path: str | Path) -> Path:
    """Return the path if it is a file; a pipe or a device could be waited for without end.

    Raises:
        InputError: If there is nothing, or something else.
    """
    path = Path(path)
    try:
        if path.is_file():
            return path
        there = path.exists()
    except ValueError:  # a path with a null character
        there = False
    if there:
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise InputError(f"'{path}' is {kind}, and not a file: give a file.")
    raise InputError(f"There is no file '{path}'.")


def read_json_object(path: Path, *, expected: str) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Args:
        path: The file.
        expected: What it should hold, for messages, for example "an object with 'videos'".

    Raises:
        InputError: If there is no such file, it is not JSON, or it holds something else.
    """
    require_file(path)
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}): check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"'{path}' is not a text in UTF-8: give the JSON file, unpacked.") from None
    except RecursionError:
        raise InputError(f"'{path}' is nested too deeply: is it the right file?") from None
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}; is it complete, and the right file?") from None
    if not isinstance(content, dict):
        held = "a list, as files of results do" if isinstance(content, list) else f"a {type(content).__name__}"
        raise InputError(f"'{path}' holds {held}, instead of {expected}.")
    return content
