"""Folders that appear when they are complete, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genvis.errors import InputError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` that becomes it at the end; on an exception nothing is left.

    Args:
        path: The folder to make. It must not exist, or be empty.

    Yields:
        The temporary folder to fill.

    Raises:
        InputError: If ``path`` is a file, or a folder with something in it.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"'{path}' exists already; remove it or name another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        yield partial
        partial.chmod(0o777 & ~_umask())
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
