"""A corrected result in the formats that people take along, each as one file to download; or in a training set."""

import shlex
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from genvis.app.reviewing.mask_index import build_index, open_index
from genvis.app.working.formats_offered import file_of
from genvis.data.convert.tracks import safe_name
from genvis.files import atomic_file, make_folder
from genvis.results.editing.edit_log import EditLog
from genvis.results.editing.training_set import append_to_annotations
from genvis.results.exporting import EXPORT_FORMATS, export

Paths = Callable[[str], Path]
Tell = Callable[[str, int, int | None], None]
IMAGES = "images"


def corrected(result_file: Path, index_folder: Path) -> EditLog:
    """Return a result with its edits, by way of its index, which is made if there is none."""
    index = open_index(result_file, index_folder)
    if index is None:
        build_index(result_file, index_folder)
        index = open_index(result_file, index_folder)
    return EditLog(result_file, original=None if index is None else index.result())


def write_formats(folder: Path, work: dict[str, Any], path: Paths, progress: Tell) -> dict[str, Any]:
    """Write a result in the formats that were asked for.

    Args:
        folder: Where they go; made if it does not exist.
        work: ``formats``, ``result``, ``index``, and ``video`` where something is drawn on it.
        path: Returns the path that one of these names.
        progress: Called with what is being done, frames done, and their total.

    Returns:
        ``outputs``: the files, folders packed as ZIP.
    """
    progress("reading the result", 0, None)
    result = corrected(path("result"), path("index")).result
    make_folder(folder)
    outputs = []
    for name in work["formats"]:
        one = EXPORT_FORMATS[name]
        progress(f"writing {one.title}", 0, None)
        place = folder / (file_of(one) if one.suffix else name)
        drawn = partial(_tell_frames, progress, one.title, len(result))
        export(result, name, place, source=path("video") if one.draws else None, progress=drawn)
        if not one.suffix:
            _pack(place, folder / file_of(one))
        outputs.append(file_of(one))
    return {"outputs": outputs}


def add_to_training_set(work: dict[str, Any], path: Paths, progress: Tell) -> dict[str, Any]:
    """Add a result to an annotation file, with its frames as images beside it; one that is in it is replaced.

    Args:
        work: ``file``, ``result``, ``index``, ``video``, and ``video_id``, which tells videos of one name apart.
        path: Returns the path that one of these names.
        progress: Called with what is being done, frames done, and their total.

    Returns:
        ``answer``: what was added, and the commands that train on it in the folder that is served.
    """
    progress("reading the result", 0, None)
    result = corrected(path("result"), path("index")).result
    file = PurePosixPath(work["file"])
    added = append_to_annotations(
        result,
        path("file"),
        images=path("file").parent / IMAGES,
        video=path("video"),
        name=f"{safe_name(result.name)}-{work['video_id'][:6]}",
        replace=True,
        progress=partial(progress, "writing the frames"),
    )
    commands = [
        ["genvis", "data", "prepare", str(file), "--images", str(file.parent / IMAGES)],
        *(["genvis", "train", str(file.parent / f"{file.stem}_{stage}.yaml")] for stage in ("detector", "genvis")),
    ]
    facts = {
        "frames": added.frames,
        "objects": added.objects,
        "masks": added.masks,
        "new_categories": list(added.new_categories),
        "replaced": added.replaced,
        "commands": [shlex.join(command) for command in commands],
    }
    return {"answer": facts}


def _tell_frames(progress: Tell, title: str, total: int, frames: int) -> None:
    progress(f"drawing {title}", frames, total)


def _pack(folder: Path, target: Path) -> None:
    """Pack a folder as a ZIP, and remove it."""
    with atomic_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    shutil.rmtree(folder, ignore_errors=True)
