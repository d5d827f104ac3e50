"""Folders that many processes write into, on this machine or behind an address; every file appears whole or not at all.

What goes wrong is one sentence without credentials. Servers that do not answer are asked again for a minute.
"""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil

from genvis.errors import GenVISError, InputError, MissingExtraError, OutputError
from genvis.files import atomic_file, cannot_write, make_folder
from genvis.storage.addresses import is_remote, scheme_of, without_credentials

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
_AT_ONCE = 200
_EXTRAS = {"s3": ("s3fs", "remote"), "s3a": ("s3fs", "remote"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}
_EXTRAS |= {"http": ("aiohttp", "remote"), "https": ("aiohttp", "remote")}
# Where a file that is being written can be seen before it is whole.
_NOT_ATOMIC = frozenset({"sftp", "ssh", "smb", "ftp", "hdfs", "webhdfs", "arrow_hdfs", "webdav", "dbfs"})
# What asking again does not change.
_FINAL: tuple[type[BaseException], ...] = (
    FileNotFoundError,
    PermissionError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    GenVISError,
)
_FINAL += (ImportError, ValueError, TypeError, NotImplementedError)
_FINAL_NAMES = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}
)


class Store(ABC):
    """A folder of files by their names, ``a/b.json``.

    Attributes:
        label: How messages call it, without credentials.
    """

    def __init__(self, label: str) -> None:
        self.label = label

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of an earlier one.

        Raises:
            OutputError: If it cannot be written.
        """

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless it is there already; return whether it was written. Of several processes one succeeds.

        Raises:
            OutputError: If it cannot be written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder, ``folder/...``, sorted; none if there is no folder."""

    @abstractmethod
    def put(self, local: Path, name: str) -> None:
        """Copy the files of a local folder, with those in its folders, into a folder of the store.

        Raises:
            OutputError: If one cannot be written.
        """

    @abstractmethod
    def local(self, name: str) -> Path | None:
        """Return where a file or folder lies on this machine; None if it lies elsewhere."""

    def remove_leftovers(self, name: str) -> None:  # noqa: B027 - stores of servers have none
        """Remove what processes of this machine that were killed left of a file."""

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files; those that are not there are left out."""
        found = ((name, self.read(name)) for name in names)
        return {name: content for name, content in found if content is not None}


class LocalStore(Store):
    """A folder of this machine, or one that it shares with others.

    Args:
        folder: Made when something is written.
    """

    def __init__(self, folder: str | Path) -> None:
        text = str(folder)
        self.folder = Path(text[len("file://") :] if text.lower().startswith("file://") else text)
        super().__init__(str(self.folder))

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        path = self.folder / name
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"'{path}' cannot be read ({error.strerror}): check the path.") from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of an earlier one."""
        path = self.folder / name
        make_folder(path.parent)
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless it is there already; return whether it was written."""
        path = self.folder / name
        make_folder(path.parent)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        try:
            temporary.write_bytes(content)
            try:
                os.link(temporary, path)  # Appears whole, and fails where a file is.
            except FileExistsError:
                return False
            except OSError:  # A file system without hard links.
                with path.open("xb") as file:
                    file.write(content)
        except FileExistsError:
            return False
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(OSError):
            (self.folder / name).unlink()

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder."""
        place = self.folder / folder
        if not place.is_dir():
            return []
        with os.scandir(place) as entries:
            return sorted(
                f"{folder}/{entry.name}" for entry in entries if not entry.name.startswith(".") and entry.is_file()
            )

    def remove_leftovers(self, name: str) -> None:
        """Remove what processes of this machine that were killed left of a file."""
        path = self.folder / name
        for left in path.parent.glob(f".{path.stem}.*.part*"):
            number = left.name.split(".")[-3 if path.suffix else -2]
            with suppress(OSError):
                if number.isdecimal() and not psutil.pid_exists(int(number)):
                    left.unlink()

    def put(self, local: Path, name: str) -> None:
        """Copy the files of a local folder into a folder of the store."""
        for path in sorted(local.rglob("*")):
            if path.is_file():
                target = self.folder / name / path.relative_to(local)
                make_folder(target.parent)
                with atomic_file(target) as temporary:
                    shutil.copyfile(path, temporary)

    def local(self, name: str) -> Path:
        """Return where a file or folder lies."""
        return self.folder / name


class RemoteStore(Store):
    """A folder behind an address that fsspec can open.

    Args:
        address: For example ``s3://bucket/out``. Credentials are found by the libraries' own means: environment
            variables, configuration files, the machine's role.

    Raises:
        InputError: If there is no such kind of store, or its library is not installed.
    """

    def __init__(self, address: str) -> None:
        super().__init__(without_credentials(address))
        self._fs, root = file_system(address)
        self._root = str(root).rstrip("/")
        self._is_atomic = scheme_of(address) not in _NOT_ATOMIC

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        try:
            content: bytes = patiently(lambda: self._fs.cat_file(self._path(name)), self._at(name))
        except FileNotFoundError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of an earlier one."""
        path = self._path(name)

        def written() -> None:
            if self._is_atomic:
                self._fs.pipe_file(path, content)
            else:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(f"{path}.part", content)
                self._fs.mv(f"{path}.part", path)

        patiently(written, self._at(name), writes=True)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless it is there already; return whether it was written."""
        path = self._path(name)

        def created() -> bool:
            try:
                self._fs.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                # The servers' words for a condition that does not hold.
                if any(word in str(error) for word in ("PreconditionFailed", "ConditionalRequestConflict", "412")):
                    return False
                raise
            return True

        self._fs.invalidate_cache()
        return patiently(created, self._at(name), writes=True)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            patiently(lambda: self._fs.rm_file(self._path(name)), self._at(name))

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder."""
        self._fs.invalidate_cache()
        try:
            found = patiently(lambda: self._fs.ls(self._path(folder), detail=True), self._at(folder))
        except FileNotFoundError:
            return []
        files = (entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "file")
        return sorted(f"{folder}/{name}" for name in files if name and not name.startswith("."))

    def put(self, local: Path, name: str) -> None:
        """Copy the files of a local folder into a folder of the store."""
        for path in sorted(local.rglob("*")):
            if path.is_file():
                target = self._path(f"{name}/{path.relative_to(local).as_posix()}".lstrip("/"))
                patiently(partial(self._put_file, path, target), self._at(name), writes=True)

    def _put_file(self, path: Path, target: str) -> None:
        if self._is_atomic:
            self._fs.put_file(str(path), target)
        else:
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(path), f"{target}.part")
            self._fs.mv(f"{target}.part", target)

    def local(self, name: str) -> None:
        """Return None: it lies elsewhere."""
        return

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files, many at once; those that are not there are left out."""
        wanted = list(names)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            paths = {self._path(name): name for name in wanted[start : start + _AT_ONCE]}
            contents: Mapping[str, Any] = patiently(
                partial(self._fs.cat, list(paths), recursive=False, on_error="return"), self.label
            )
            by_name = contents if isinstance(contents, Mapping) else dict(zip(paths, [contents], strict=True))
            for path, content in by_name.items():
                name = paths[path] if path in paths else paths[f"/{path.lstrip('/')}"]
                if isinstance(content, bytes):
                    found[name] = content
                elif not isinstance(content, FileNotFoundError):  # Once more, alone, which says what is wrong.
                    alone = self.read(name)
                    found |= {} if alone is None else {name: alone}
        return found

    def _at(self, name: str) -> str:
        return f"{self.label.rstrip('/')}/{name}" if name else self.label


def open_store(place: str | Path) -> Store:
    """Return the folder of a path or an address.

    Raises:
        InputError: If there is no such kind of store, or its library is not installed.
    """
    return RemoteStore(str(place)) if is_remote(place) else LocalStore(place)


def file_system(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and the path in it.

    Raises:
        InputError: If there is no such kind of store, or its library is not installed.
    """
    import fsspec

    label, scheme = without_credentials(address), scheme_of(address) or ""
    try:
        fs, path = fsspec.url_to_fs(address)
    except ImportError:
        library, extra = _EXTRAS.get(scheme, ("", ""))
        if extra:
            raise MissingExtraError(library, extra) from None
        raise InputError(f"'{label}' needs the fsspec library for {scheme}://: install it with pip.") from None
    except ValueError:
        raise InputError(f"'{label}' cannot be opened: {scheme}:// is no kind of store that fsspec knows.") from None
    except Exception as error:  # Libraries connect when they are made, and fail in many ways.
        raise failure(label, error, writes=False) from None
    return fs, str(path)


def patiently(operation: Callable[[], T], label: str, *, writes: bool = False) -> T:
    """Do something with a store, again and again for a minute while its server fails or does not answer.

    Args:
        operation: May be repeated.
        label: Of the file, for messages, without credentials.
        writes: Whether it writes, for messages.

    Raises:
        FileNotFoundError: If there is no such file to read.
        FileExistsError: If it is there.
        InputError: If it may not be read, or the server does not answer.
        OutputError: The same, where it writes.
    """
    began, tries = time.monotonic(), 0
    while True:
        try:
            return operation()
        except Exception as error:  # Each library has its own.
            if isinstance(error, FileExistsError) or (isinstance(error, FileNotFoundError) and not writes):
                raise
            if is_final(error) or time.monotonic() - began > PATIENCE_SECONDS:
                raise failure(label, error, writes=writes) from None
        time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


def is_final(error: BaseException) -> bool:
    """Whether asking again would not change a failure."""
    return isinstance(error, _FINAL) or type(error).__name__ in _FINAL_NAMES


def failure(label: str, error: BaseException, *, writes: bool) -> GenVISError:
    """Return the sentence for the failure of a library; its own words may hold keys, and are left out."""
    if isinstance(error, GenVISError):
        return error
    kind = type(error).__name__
    if isinstance(error, PermissionError):
        why = "access is denied: check the credentials and the rights of this account"
    elif kind in _FINAL_NAMES:
        why = "there are no credentials: give them as the store's own tools take them, by environment or configuration"
    elif isinstance(error, FileNotFoundError):
        why = "there is no such bucket or folder: check the address"
    elif isinstance(error, IsADirectoryError | NotADirectoryError):
        why = "a part of its path is of another kind, a folder or a file"
    elif is_final(error):
        why = f"the store refuses it ({kind})"
    else:
        why = f"its server does not answer ({kind}): check the address and the network, and repeat the command"
    kind_of_error = OutputError if writes else InputError
    return kind_of_error(f"'{label}' cannot be {'written' if writes else 'read'}: {why}.")
