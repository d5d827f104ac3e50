"""Files fetched from elsewhere into a bounded folder of this machine.

A file is fetched once, whichever process asks first; while somebody uses it, it stays. When room is needed, what was
not used for longest goes first.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from genvis.errors import InputError
from genvis.files import cannot_write, make_folder
from genvis.fingerprint import Stamp
from genvis.storage.addresses import identity_of, without_credentials
from genvis.storage.owners import Owner, this_process
from genvis.storage.stores import file_system, patiently

if TYPE_CHECKING:
    from filelock import FileLock

CACHE_VARIABLE, LIMIT_VARIABLE = "GENVIS_CACHE", "GENVIS_CACHE_GB"
DEFAULT_GIGABYTES = 20.0
_WAIT_FOR_ROOM = 600.0
_POLL_SECONDS = 0.5
_LONGEST_NAME = 80
_PIN, _PART = ".pin", ".part"


@dataclass(frozen=True)
class RemoteFile:
    """A file elsewhere, as its store describes it.

    Attributes:
        address: Where it is, as it was given.
        size: Bytes; None if the store does not tell.
        version: What changes with its content: an entity tag, a checksum or a time; empty if the store tells none.
    """

    address: str
    size: int | None = None
    version: str = ""

    @property
    def stamp(self) -> Stamp:
        """Identity of the file: address without credentials, size and version."""
        size = "" if self.size is None else f", {self.size:,} bytes"
        name = f"{without_credentials(self.address)}{size}"
        content = json.dumps([identity_of(self.address), self.size, self.version])
        return Stamp(name, hashlib.sha256(content.encode()).hexdigest())


def remote_file(address: str) -> RemoteFile:
    """Ask a store about a file.

    Raises:
        InputError: If there is none, or the store cannot be read.
    """
    fs, path = file_system(address)
    label = without_credentials(address)
    fs.invalidate_cache()
    try:
        return described(address, patiently(lambda: fs.info(path), label))
    except FileNotFoundError:
        raise InputError(f"There is no file '{label}'.") from None


def described(address: str, entry: dict[str, Any]) -> RemoteFile:
    """Return a file from what fsspec's ``info`` or ``ls`` says of it."""
    size = entry.get("size")
    names = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "LastModified", "last_modified", "mtime", "created")
    found = next((entry[name] for name in names if entry.get(name)), "")
    version = str(found.timestamp() if isinstance(found, datetime) else found)
    return RemoteFile(address, size if isinstance(size, int) else None, version)


def matching_files(address: str) -> list[RemoteFile]:
    """Return the files that a pattern (``s3://bucket/day1/*.mp4``) or a folder elsewhere stands for, sorted.

    An address of one file stands for itself.

    Raises:
        InputError: If nothing is there.
    """
    fs, path = file_system(address)
    label = without_credentials(address)
    fs.invalidate_cache()
    try:
        if any(character in path for character in "*["):
            found = patiently(lambda: fs.glob(path, detail=True), label)
            entries = [entry | {"name": name} for name, entry in found.items() if entry["type"] == "file"]
        elif not path.endswith("/") and patiently(lambda: fs.isfile(path), label):
            return [described(address, patiently(lambda: fs.info(path), label))]
        else:
            entries = [entry for entry in patiently(lambda: fs.ls(path, detail=True), label) if entry["type"] == "file"]
    except FileNotFoundError:
        entries = []
    if not entries:
        raise InputError(f"No file matches '{label}'.")
    entries.sort(key=lambda entry: str(entry["name"]))
    return [described(_address_of(str(entry["name"]), fs, like=(address, str(path))), entry) for entry in entries]


def _address_of(name: str, fs: Any, *, like: tuple[str, str]) -> str:
    """Return the address of a path of a file system, with the host of another address whose path is known."""
    address, path = (text.rstrip("/") for text in like)
    if address.endswith(path):
        return address[: len(address) - len(path)] + name
    return str(fs.unstrip_protocol(name))


class FetchCache:
    """Folder of fetched files.

    Args:
        folder: None takes ``GENVIS_CACHE``, or ``genvis`` in the user's cache folder.
        limit: Bytes at most; None takes ``GENVIS_CACHE_GB`` gigabytes, or 20.

    Raises:
        InputError: If the limit is none.
    """

    def __init__(self, folder: Path | None = None, *, limit: int | None = None) -> None:
        self.folder = cache_folder() if folder is None else folder
        self.limit = _limit() if limit is None else limit

    @contextmanager
    def fetched(self, file: RemoteFile) -> Iterator[Path]:
        """Give a local copy of a file, fetched unless it is there; it stays while the block lasts.

        Raises:
            InputError: If it cannot be fetched, or is larger than the cache may be.
            OutputError: If the cache cannot be written.
        """
        make_folder(self.folder)
        entry = self.folder / file.stamp.digest[:20]
        target = entry / _file_name(file.address)
        pin = entry / f"{os.getpid()}-{time.monotonic_ns()}{_PIN}"
        try:
            with self._lock():
                entry.mkdir(exist_ok=True)
                _write_pin(pin, reserved=0)
            if not target.exists():
                self._fetch(file, target, pin)
            os.utime(entry)  # The time of its last use.
        except OSError as error:
            pin.unlink(missing_ok=True)
            raise cannot_write(target, error) from error
        except BaseException:
            pin.unlink(missing_ok=True)
            raise
        try:
            yield target
        finally:
            pin.unlink(missing_ok=True)

    def _lock(self) -> "FileLock":
        """Return the lock under which files are pinned and removed, so that none is removed that is being taken."""
        from filelock import FileLock

        return FileLock(self.folder / ".lock")

    def _fetch(self, file: RemoteFile, target: Path, pin: Path) -> None:
        from filelock import FileLock

        label = without_credentials(file.address)
        with FileLock(target.parent / ".fetching"):  # Of several processes one fetches, the others wait.
            if target.exists():
                return
            self._make_room(file.size or 0, label, pin)
            fs, path = file_system(file.address)
            partial = target.with_name(f".{os.getpid()}{_PART}")

            def fetch() -> None:
                fs.invalidate_cache()
                fs.get_file(path, str(partial))
                if file.size is not None and partial.stat().st_size != file.size:
                    raise ConnectionError("the file came incomplete")

            try:
                patiently(fetch, label)
                partial.replace(target)
            except FileNotFoundError:
                raise InputError(f"There is no file '{label}'.") from None
            finally:
                partial.unlink(missing_ok=True)

    def _make_room(self, size: int, label: str, pin: Path) -> None:
        """Remove what nobody uses until a file fits, and reserve the room; wait while all is in use."""
        if size > self.limit:
            raise InputError(
                f"'{label}' has {size / 1e9:.1f} GB, and the cache '{self.folder}' may have {self.limit / 1e9:.1f} GB: "
                f"set {LIMIT_VARIABLE} higher."
            )
        began = time.monotonic()
        while True:
            with self._lock():
                if self._evict(size):
                    _write_pin(pin, reserved=size)
                    return
            if time.monotonic() - began > _WAIT_FOR_ROOM:
                raise InputError(
                    f"The cache '{self.folder}' is full of files in use, so that '{label}' finds no room: set "
                    f"{LIMIT_VARIABLE} higher."
                )
            time.sleep(_POLL_SECONDS)

    def _evict(self, size: int) -> bool:
        """Remove files until one of some size fits; return whether it does."""
        entries = {path: _Entry.read(path) for path in self.folder.iterdir() if path.is_dir()}
        excess = sum(entry.size for entry in entries.values()) + size - self.limit
        for path, entry in sorted(entries.items(), key=lambda item: item[1].last_use):
            if excess > 0 and entry.size and not entry.is_used:
                shutil.rmtree(path, ignore_errors=True)
                excess -= entry.size
        return excess <= 0


class _Entry(NamedTuple):
    """State of a file in the cache: its bytes, or those reserved for it; whether it is in use; its last use."""

    size: int
    is_used: bool
    last_use: float

    @classmethod
    def read(cls, folder: Path) -> "_Entry":
        size = reserved = 0
        is_used = False
        for path in folder.iterdir():
            with suppress(OSError, ValueError, TypeError, KeyError):
                if not path.name.endswith(_PIN):
                    size += path.stat().st_size
                    continue
                document = json.loads(path.read_text("utf-8"))
                if Owner.from_json(document["owner"]).is_alive() is False:
                    path.unlink(missing_ok=True)
                else:
                    is_used, reserved = True, max(reserved, int(document["reserved"]))
        return cls(max(size, reserved), is_used, folder.stat().st_mtime)


def _write_pin(pin: Path, *, reserved: int) -> None:
    pin.write_text(json.dumps({"owner": this_process().to_json(), "reserved": reserved}), "utf-8")


@contextmanager
def fetched_folder(address: str, choose: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Iterator[Path]:
    """Give a local folder with the files of a folder elsewhere, as long as the block lasts.

    Args:
        address: Of the folder.
        choose: Takes the names of its files, and returns those to fetch.

    Raises:
        InputError: If there is no such folder, or no such file in it.
    """
    files = {PurePosixPath(file.address).name: file for file in matching_files(address.rstrip("/") + "/")}
    names = choose(tuple(files))
    if not names:
        raise InputError(f"'{without_credentials(address)}' holds no file of the kind that is looked for.")
    cache = FetchCache()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genvis-")))
        for name in names:
            (work / name).symlink_to(stack.enter_context(cache.fetched(files[name])).absolute())
        yield work


def cache_folder() -> Path:
    """Return the folder of fetched files and of work for outputs elsewhere."""
    given = os.environ.get(CACHE_VARIABLE)
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genvis"
    return base / "fetched"


def _limit() -> int:
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        gigabytes = float(text) if text else DEFAULT_GIGABYTES
        if not 0 < gigabytes < 1e9:
            raise ValueError
    except ValueError:
        raise InputError(f"{LIMIT_VARIABLE} is '{text}': give a number of gigabytes above 0.") from None
    return int(gigabytes * 1e9)


def _file_name(address: str) -> str:
    name = PurePosixPath(without_credentials(address)).name
    safe = "".join(character if character.isalnum() or character in "._-" else "_" for character in name)
    return safe.lstrip(".")[-_LONGEST_NAME:] or "file"
