"""Layout of a downloaded data set: its files are found, checked and put where the recipes look for them."""

import json
import os
import platform
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from genvis.data.convert.burst import is_burst, read_burst
from genvis.data.convert.youtube_vis_writing import write_youtube_vis
from genvis.data.known.known_datasets import KnownDataset, KnownSplit
from genvis.errors import InputError
from genvis.files import atomic_folder, make_folder, read_json_object

_DEEPEST = 6
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_UNPACKED = "unpacked"


@dataclass(frozen=True)
class LaidOutSplit:
    """One part of a data set on this machine.

    Attributes:
        name: As its makers call it.
        annotations: The annotation file; None if it is not here.
        images: The folder that its file names start from; None if it is not here.
        videos: Number of videos or images in the annotation file.
        expected: How many its makers say there are; None where they do not.
        frames: Number of images that the annotation file names.
        missing: How many of them are not there.
        has_masks: Whether the file holds masks to learn from.
    """

    name: str
    annotations: Path | None
    images: Path | None
    videos: int = 0
    expected: int | None = None
    frames: int = 0
    missing: int = 0
    has_masks: bool = True

    @property
    def problems(self) -> list[str]:
        """What is wrong, in sentences; nothing if the split is complete."""
        if self.annotations is None:
            return [f"{self.name}: there is no annotation file."]
        found = []
        if self.expected is not None and self.videos != self.expected:
            found.append(f"{self.name}: {self.videos:,} videos or images instead of {self.expected:,}.")
        if self.images is None:
            found.append(f"{self.name}: the images are not there.")
        elif self.missing:
            found.append(f"{self.name}: {self.missing:,} of {self.frames:,} images are missing in '{self.images}'.")
        return found


def look(dataset: KnownDataset, folder: Path) -> tuple[LaidOutSplit, ...]:
    """Return what is there of a data set in the folder where the recipes look for it."""
    return tuple(
        _examined(split, folder / split.annotations, folder / split.images)
        if (folder / split.annotations).is_file()
        else LaidOutSplit(split.name, None, None, expected=split.videos)
        for split in dataset.splits
    )


def lay_out(
    dataset: KnownDataset,
    downloaded: Path,
    folder: Path,
    *,
    copy: bool = False,
    progress: Callable[[str, int, int], None] = lambda work, done, total: None,
) -> tuple[LaidOutSplit, ...]:
    """Put what was downloaded where the recipes look for it; what is there already is kept.

    Archives are unpacked into the folder. Files and folders of elsewhere are linked, or copied where links are not
    possible. A file of BURST is converted.

    Args:
        dataset: Which one.
        downloaded: Folder with archives, or with what they hold, however it is nested.
        folder: The folder of the data set, for example ``datasets/ovis``.
        copy: Copy instead of linking.
        progress: Called with what is done, how much of it is done, and the total.

    Raises:
        InputError: If nothing of the data set is found, or an archive or a file cannot be read.
        OutputError: If the folder cannot be written.
    """
    if not downloaded.is_dir():
        raise InputError(f"There is no folder '{downloaded}': name the folder with what you downloaded.")
    make_folder(folder)
    places = [downloaded, *_unpack(downloaded, folder / _UNPACKED, progress)]
    found = [(split, path) for split in dataset.splits if (path := _annotation_file(split, places)) is not None]
    if not found and not any(split.annotations is not None for split in look(dataset, folder)):
        wanted = ", ".join(split.downloaded[0] for split in dataset.splits)
        raise InputError(f"'{downloaded}' holds no annotations of {dataset.title} ({wanted}): {dataset.page} has them.")
    for split, path in found:
        target = folder / split.annotations
        if not target.exists():
            _place_annotations(path, target, copy=copy)
        images = _image_folder(target, places)
        if images is not None and not (folder / split.images).exists():
            _place(images, folder / split.images, copy=copy)
    return look(dataset, folder)


def _examined(split: KnownSplit, annotations: Path, images: Path) -> LaidOutSplit:
    records = _video_records(annotations)
    names = [name for record in records for name in _file_names(record)]
    is_there = images.is_dir()
    return LaidOutSplit(
        split.name,
        annotations,
        images if is_there else None,
        videos=len(records),
        expected=split.videos,
        frames=len(names),
        missing=sum(not (images / name).is_file() for name in names) if is_there else len(names),
        has_masks=split.has_masks,
    )


def _video_records(annotations: Path) -> list[dict[str, Any]]:
    content = read_json_object(annotations, expected="an object with 'videos' or 'images'")
    records = content.get("videos", content.get("images"))
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"'{annotations}' has no list 'videos' or 'images': is the download complete?")
    return records


def _file_names(record: dict[str, Any]) -> list[str]:
    """Return the image files of a video, those that lead out of the folder left out: they count as missing."""
    names = record.get("file_names", [record.get("file_name")])
    return [str(name) for name in names] if isinstance(names, list) else []


def _annotation_file(split: KnownSplit, places: list[Path]) -> Path | None:
    """Return the annotation file of a split, by the last parts of its path."""
    for wanted in split.downloaded:
        parts = PurePosixPath(wanted).parts
        for place in places:
            for path in _files(place):
                if path.suffix == ".json" and path.parts[-len(parts) :] == parts:
                    return path
    return None


def _image_folder(annotations: Path, places: list[Path]) -> Path | None:
    """Return the folder that the file names of an annotation file start from: the one that has the first of them."""
    first = next((name for record in _video_records(annotations) for name in _file_names(record)), None)
    if first is None or PurePosixPath(first).is_absolute() or ".." in PurePosixPath(first).parts:
        return None
    return next((folder for place in places for folder in _folders(place) if (folder / first).is_file()), None)


def _files(place: Path) -> Iterator[Path]:
    for folder in _folders(place):
        yield from sorted(path for path in folder.iterdir() if path.is_file())


def _folders(place: Path) -> Iterator[Path]:
    """Deliver a folder and those in it, near ones first; folders of single videos are as deep as it goes."""
    level = [place]
    for _ in range(_DEEPEST):
        yield from level
        # A folder of a thousand videos is no place to look for more.
        level = [
            entry
            for folder in level
            for entries in [sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")]
            if len(entries) <= _MOST_FOLDERS
            for entry in entries
        ]


_MOST_FOLDERS = 100


def _unpack(downloaded: Path, target: Path, progress: Callable[[str, int, int], None]) -> list[Path]:
    archives = sorted(path for path in downloaded.iterdir() if path.name.lower().endswith(_ARCHIVES))
    folders = []
    for number, archive in enumerate(archives):
        progress("Unpacking", number, len(archives))
        folder = target / archive.name.partition(".")[0]
        folders.append(folder)
        if folder.exists():
            continue
        if not (zipfile.is_zipfile(archive) or hasattr(tarfile, "data_filter")):
            raise InputError(
                f"'{archive}' cannot be unpacked safely by Python {platform.python_version()}: take Python 3.11.4 or "
                "newer, or put what is in it in its place."
            )
        try:
            with atomic_folder(folder) as partial:
                if zipfile.is_zipfile(archive):
                    with zipfile.ZipFile(archive) as packed:
                        packed.extractall(partial)  # Keeps names below the folder.
                else:
                    with tarfile.open(archive) as bundled:
                        bundled.extractall(partial, filter="data")
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"'{archive}' cannot be unpacked ({error}): is the download complete?") from None
    return folders


def _place_annotations(path: Path, target: Path, *, copy: bool) -> None:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if b'"sequences"' in head and is_burst(json.loads(path.read_bytes())):
        write_youtube_vis(read_burst(path), target)
    else:
        _place(path, target, copy=copy)


def _place(source: Path, target: Path, *, copy: bool) -> None:
    """Put a file or folder to a place, as a link where that is possible."""
    make_folder(target.parent)
    if not copy:
        try:
            os.symlink(source.resolve(), target, target_is_directory=source.is_dir())
            return
        except (OSError, NotImplementedError):  # Windows asks for a privilege.
            pass
    if source.is_dir():
        with atomic_folder(target) as partial:
            shutil.copytree(source, partial, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
