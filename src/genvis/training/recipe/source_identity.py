"""Identity of the data sets of a recipe, wherever they lie."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genvis.errors import InputError
from genvis.fingerprint import Stamp, content_stamp, value_stamp
from genvis.training.recipe.data_options import SourceOptions


def source_identity(source: SourceOptions) -> dict[str, Any]:
    """Return what tells the samples of a data set from others: annotations by content, images by name, size and time.

    Raises:
        InputError: If the files cannot be read.
    """
    identity = asdict(source)
    if not source.category_names:
        # What came later is told only where it is used, so that older caches and runs are known again.
        del identity["category_names"]
    if source.kind != "sprites":
        identity["annotations"] = content_stamp(source.annotations)
        identity["images"] = images_stamp(source.images)
    return identity


def images_stamp(folder: str | Path) -> Stamp:
    """Return the identity of a folder of images, wherever it lies, by name, size and time of modification of each file.

    Raises:
        InputError: If the folder cannot be read.
    """
    entries: list[tuple[str, int, int]] = []
    root = Path(folder)

    def failed(error: OSError) -> None:
        raise InputError(f"The images in '{folder}' cannot be read ({error.strerror}): check the path.")

    for place, folders, files in os.walk(root, onerror=failed):
        folders.sort()
        for name in sorted(files):
            file = Path(place, name)
            try:
                status = file.stat()
            except OSError as error:
                failed(error)
            entries.append((str(file.relative_to(root)), status.st_size, status.st_mtime_ns))
    return value_stamp(entries, name=f"{folder}, {len(entries)} files")
