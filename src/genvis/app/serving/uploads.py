"""Uploads: one file a request, its bytes as they are, written as they come and kept only when whole and a video."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

from genvis.app.library import Library, safe_name
from genvis.errors import InputError, OutputError
from genvis.files import cannot_write
from genvis.video.sources.opening import VIDEO_SUFFIXES, open_source

# Left free on the disk, so that results can still be written.
SPARE_BYTES = 500 << 20


class UploadTooLargeError(InputError):
    """An upload that is larger than the limit, or than the disk."""


async def receive_video(
    library: Library, name: str, chunks: AsyncIterator[bytes], *, length: int | None, most: int
) -> Path:
    """Write a video into the folder.

    Args:
        library: The folder.
        name: Name of the file as the browser has it; made safe, and numbered if there is one of that name.
        chunks: The bytes.
        length: How many there will be, as the request says; None if it does not.
        most: How many there may be.

    Returns:
        The file.

    Raises:
        UploadTooLargeError: If there are more bytes than allowed, or than the disk takes.
        InputError: If the name is none of a video, the connection ended early, or it is no video.
        OutputError: If it cannot be written.
    """
    safe = safe_name(name)
    if Path(safe).suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"'{safe}' has no ending of a video, such as .mp4, .mov or .mkv.")
    room = shutil.disk_usage(library.root).free - SPARE_BYTES
    if length is not None and length > min(most, room):
        raise _too_large(safe, most, room)
    temporary = library.own / f"upload-{secrets.token_hex(8)}{Path(safe).suffix}"
    written = 0
    try:
        with temporary.open("xb") as file:
            async for chunk in chunks:
                written += len(chunk)
                if written > min(most, room):
                    raise _too_large(safe, most, room)
                await run_in_threadpool(file.write, chunk)
            await run_in_threadpool(_flush, file)
        if length is not None and written != length:
            raise InputError(f"The upload of '{safe}' ended after {written:,} of {length:,} bytes.")
        await run_in_threadpool(_check, temporary, safe)
        return await run_in_threadpool(_put, temporary, library.root, safe)
    except OSError as error:
        raise cannot_write(safe, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _too_large(name: str, most: int, room: int) -> UploadTooLargeError:
    if room < most:
        return UploadTooLargeError(f"The disk has no room for '{name}': free some space.")
    return UploadTooLargeError(f"'{name}' is larger than {most:,} bytes, the limit of `genvis app --max-upload`.")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check(path: Path, name: str) -> None:
    try:
        with open_source(path) as source:
            if source.size is None:
                raise InputError("no frame of it can be decoded.")
    except InputError as error:
        raise InputError(f"'{name}' is no video that can be read: {str(error).replace(path.name, name)}") from None


def _put(temporary: Path, folder: Path, name: str) -> Path:
    """Give the file its name, without replacing another."""
    stem, suffix = Path(name).stem, Path(name).suffix
    for number in range(1, 100_000):
        target = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
        try:
            os.link(temporary, target)
        except FileExistsError:
            continue
        except OSError:  # A file system without hard links.
            if target.exists():
                continue
            temporary.rename(target)
        return target
    raise OutputError(f"There are too many files of the name '{name}': remove some.")
