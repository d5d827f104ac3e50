"""Folders of indexed PNG files, as DAVIS and YouTube-VOS have them: the palette index is the track id. From and to."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.convert.frame_files import images_by_stem
from genvis.data.convert.label_maps import (
    CROWD_REMARK,
    frame_stems,
    masks_of,
    paint,
    sequence_folders,
    video_names,
)
from genvis.data.convert.tracks import (
    DEFAULT_CATEGORY,
    Category,
    ConvertedDataset,
    ConvertedTrack,
    ConvertedVideo,
    Remarks,
    numbered_categories,
    unique_names,
)
from genvis.errors import InputError
from genvis.files import atomic_folder, read_json_object, write_json
from genvis.json_values import is_text, shown, whole_number
from genvis.masks import RLEMask
from genvis.video.writing.label_png import read_label_png, write_label_png

VOID = 255
"""The index of pixels that belong to no object and not to the background either."""

FOLDER = "Annotations"
META = "meta.json"


def read_indexed_png(
    root: Path,
    *,
    images: Path | None = None,
    meta: Path | None = None,
    void: int = VOID,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ConvertedDataset:
    """Read a folder of DAVIS or YouTube-VOS.

    Args:
        root: The folder with ``Annotations``, or that folder, or the folder of one video.
        images: The image folder (``JPEGImages``), to find the real names of the images.
        meta: The file with the categories: ``meta.json`` of YouTube-VOS, or ``davis_semantics.json``; None looks for
            ``meta.json`` beside or above the masks. Without one, all objects are of the category "object".
        void: The index that stands for no object; -1 for none.
        progress: Called with the number of videos read and their total.

    Returns:
        The videos. Frames are those that have a PNG file.

    Raises:
        InputError: If files are missing, damaged or contradict one another.
    """
    sequences = sequence_folders(root)
    table = _MetaTable.find(root, meta)
    remarks = Remarks()
    names = unique_names(name for name, _ in sequences)
    videos = []
    for position, ((folder, found), name) in enumerate(zip(sequences, names, strict=True), start=1):
        known = table.videos.get(folder, {})
        files = _in_order(found, known)
        size: tuple[int, int] | None = None
        masks: dict[int, dict[int, RLEMask]] = {}
        for frame, path in enumerate(files):
            label_map = read_label_png(path)
            if size is not None and label_map.shape != size:
                raise InputError(f"'{path}' is {label_map.shape} but the frames before are {size} (height, width).")
            size = label_map.shape[0], label_map.shape[1]
            voids = int((label_map == void).sum())
            remarks.add(
                f"Pixels of index {void} (void) that became background (--void -1 makes them an object): {{n}}.", voids
            )
            for index, mask in masks_of(label_map, frozenset({void})).items():
                masks.setdefault(index, {})[frame] = mask
        height, width = size or (1, 1)
        tracks = tuple(
            ConvertedTrack(table.track_id(folder, index), table.category_of(folder, index, remarks), of_object)
            for index, of_object in sorted(masks.items())
        )
        file_names = _file_names(files, folder, images, known, only_video=len(sequences) == 1, remarks=remarks)
        videos.append(ConvertedVideo(name, height, width, file_names, tracks, whole_number(known.get("id"))))
        progress(position, len(sequences))
    return ConvertedDataset(table.categories(), tuple(videos), remarks.sentences())


def _in_order(files: list[Path], known: Mapping[str, Any]) -> list[Path]:
    by_stem = {path.stem: path for path in files}
    stems = known.get("frames")
    if isinstance(stems, list) and all(map(is_text, stems)) and sorted(stems) == sorted(by_stem):
        return [by_stem[stem] for stem in stems]
    return files


def _file_names(
    files: list[Path],
    folder: str,
    images: Path | None,
    known: Mapping[str, Any],
    *,
    only_video: bool,
    remarks: Remarks,
) -> tuple[str, ...]:
    if images is not None:
        return tuple(
            images_by_stem(images, folder, [path.stem for path in files], only_video=only_video, masks=files[0].parent)
        )
    names = known.get("file_names")
    if isinstance(names, list) and len(names) == len(files) and all(map(is_text, names)):
        return tuple(names)
    remarks.add("Images are taken to be named as the masks, with the ending .jpg; give --images to look for them.")
    return tuple(f"{folder}/{path.stem}.jpg" for path in files)


class _MetaTable:
    """Videos, objects and categories of a meta file; everything in it is optional."""

    def __init__(self, path: Path | None, content: Mapping[str, Any]) -> None:
        self.path = path
        videos = content.get("videos", content)
        if not isinstance(videos, dict) or not all(isinstance(video, dict) for video in videos.values()):
            raise InputError(f"'{path}' holds no object 'videos' with an object for each video.")
        self.videos: dict[str, dict[str, Any]] = videos
        listed = content.get("categories")
        if isinstance(listed, list):
            self._categories = [_category(entry, path) for entry in listed]
        else:
            names = {self._name(video, index) for video in videos for index in self._objects(video)}
            self._categories = list(numbered_categories(sorted(name for name in names if name)))

    @classmethod
    def find(cls, root: Path, path: Path | None) -> "_MetaTable":
        if path is None:
            path = next(
                (folder / META for folder in (root, root.parent, root.parent.parent) if (folder / META).is_file()), None
            )
            if path is None:
                return cls(None, {})
        return cls(path, read_json_object(path, expected="an object with 'videos'"))

    def _objects(self, video: str) -> Mapping[str, Any]:
        entry = self.videos.get(video, {})
        objects = entry.get("objects", entry)
        return objects if isinstance(objects, dict) else {}

    def _name(self, video: str, index: int | str) -> str | None:
        entry = self._objects(video).get(str(index))
        # YouTube-VOS has an object with a category, DAVIS' semantics the name alone.
        name = entry.get("category") if isinstance(entry, dict) else entry
        return name if is_text(name) and name.strip() else None

    def category_of(self, video: str, index: int, remarks: Remarks) -> int:
        name = self._name(video, index)
        if name is None:
            if self.path is None:
                remarks.add(f"Objects of the category '{DEFAULT_CATEGORY}', as there is no {META}: {{n}}.")
            else:
                remarks.add(f"Objects of the category '{DEFAULT_CATEGORY}', as they are not in '{self.path}': {{n}}.")
            name = DEFAULT_CATEGORY
        for category in self._categories:
            if category.name == name:
                return category.id
        number = max((category.id for category in self._categories), default=0) + 1
        self._categories.append(Category(number, name))
        return number

    def track_id(self, video: str, index: int) -> int:
        entry = self._objects(video).get(str(index))
        known = whole_number(entry.get("id")) if isinstance(entry, dict) else None
        return index if known is None else known

    def categories(self) -> tuple[Category, ...]:
        return tuple(self._categories)


def _category(entry: Any, path: Path | None) -> Category:
    fields = entry if isinstance(entry, dict) else {}
    identifier, name = whole_number(fields.get("id")), fields.get("name")
    if identifier is None or not (is_text(name) and name.strip()):
        raise InputError(f"The categories of '{path}' are not objects with 'id' and 'name', but {shown(entry)}.")
    return Category(identifier, name)


def write_indexed_png(
    annotations: VideoAnnotations, root: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[str, ...]:
    """Write videos as DAVIS and YouTube-VOS have them: ``Annotations/<video>/<frame>.png`` and ``meta.json``.

    Objects are numbered from 1 in each video; ``meta.json`` has their categories and ids, and the names of the images,
    so that reading it gives the same videos again. Crowds become void. Where objects overlap, the smallest is in front.

    Args:
        annotations: The videos.
        root: The folder to make; it appears when it is complete.
        progress: Called with the number of videos written and their total.

    Returns:
        Sentences about what could not be kept.

    Raises:
        InputError: If the folder exists, or a video has more objects than there are indices.
    """
    remarks = Remarks()
    names = video_names(annotations)
    categories = annotations.categories
    meta: dict[str, Any] = {
        "categories": [
            {"id": identifier, "name": label}
            for identifier, label in zip(categories.ids, categories.names, strict=True)
        ],
        "videos": {},
    }
    with atomic_folder(root) as partial:
        for index, name in enumerate(names):
            meta["videos"][name] = _write_video(annotations, index, partial / FOLDER / name, remarks)
            progress(index + 1, len(names))
        write_json(partial / META, meta)
    return remarks.sentences()


def _write_video(annotations: VideoAnnotations, index: int, folder: Path, remarks: Remarks) -> dict[str, Any]:
    video = annotations.video(index)
    tracks = annotations.tracks(index)
    stems = frame_stems(video)
    numbers: list[int] = []
    objects: dict[str, Any] = {}
    for track, present in zip(tracks, annotations.present(index), strict=True):
        numbers.append(VOID if track.crowd else len(objects) + 1)
        if track.crowd:
            remarks.add(CROWD_REMARK)
            continue
        objects[str(len(objects) + 1)] = {
            "category": annotations.categories.names[track.label],
            "frames": [stems[frame] for frame in present.nonzero()[0]],
            "id": track.id,
        }
    if len(objects) >= VOID:
        raise InputError(
            f"Video {video.id} of '{annotations.path}' has {len(objects)} objects; an indexed PNG holds {VOID - 1}. "
            "Use `genvis data convert to-mots`."
        )
    folder.mkdir(parents=True)
    for frame, stem in enumerate(stems):
        label_map = paint(annotations, index, frame, numbers, ignore=VOID, remarks=remarks)
        write_label_png(folder / f"{stem}.png", label_map)
    return {"id": video.id, "frames": stems, "file_names": list(video.file_names), "objects": objects}
