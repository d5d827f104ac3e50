"""A corrected result in the formats that people take along, each as one file to download."""

import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from genvis.app.reviewing.mask_index import build_index, open_index
from genvis.files import atomic_file, make_folder
from genvis.results.editing.edit_log import EditLog
from genvis.results.output_folder import save_result
from genvis.results.output_names import PICTURES, output_names


def corrected(result_file: Path, index_folder: Path) -> EditLog:
    """Return a result with its edits, by way of its index, which is made if there is none."""
    index = open_index(result_file, index_folder)
    if index is None:
        build_index(result_file, index_folder)
        index = open_index(result_file, index_folder)
    return EditLog(result_file, original=None if index is None else index.result())


def write_formats(
    folder: Path,
    work: dict[str, Any],
    path: Callable[[str], Path],
    progress: Callable[..., None],
) -> dict[str, Any]:
    """Write what was asked for.

    Args:
        folder: Where it goes; made if it does not exist.
        work: ``formats``, ``result``, ``index``, and ``video`` where something is drawn on it.
        path: Returns the path that one of these names.
        progress: Called with what is being done, how much of it is done, and the total.

    Returns:
        ``outputs``: the files, folders packed as ZIP.
    """
    formats = output_names(work["formats"])
    progress("reading the result")
    result = corrected(path("result"), path("index")).result
    make_folder(folder)
    outputs = []
    for name in formats:
        progress(f"writing {name.replace('_', ' ')}")
        saved = save_result(
            result,
            folder,
            source=path("video") if name in PICTURES else None,
            outputs=(name,),
            progress=partial(_tell_frames, progress, len(result)),
        )
        place = getattr(saved, name)
        if place is None:
            continue
        outputs.append(_packed(place).name if place.is_dir() else place.name)
    return {"outputs": outputs}


def _tell_frames(progress: Callable[..., None], total: int, frames: int) -> None:
    progress("drawing", frames, total)


def _packed(folder: Path) -> Path:
    """Pack a folder as a ZIP beside it, and remove it."""
    target = folder.with_suffix(".zip")
    with atomic_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    shutil.rmtree(folder, ignore_errors=True)
    return target
