"""MOTS: text files of RLE, or 16-bit PNG files, with object id = class x 1000 + instance. From and to."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.convert.frame_files import image_numbers, image_size, images_by_number, images_by_stem
from genvis.data.convert.label_maps import CROWD_REMARK, masks_of, paint, video_names
from genvis.data.convert.mots_sources import LABELS, SEQUENCE_MAP, MotsSource, find_labels, mots_sources
from genvis.data.convert.tracks import (
    Category,
    ConvertedDataset,
    ConvertedTrack,
    ConvertedVideo,
    Remarks,
    unique_names,
)
from genvis.errors import InputError
from genvis.files import atomic_folder, require_file
from genvis.masks import MaskError, RLEMask, read_mask
from genvis.video.sources.opening import images_in
from genvis.video.writing.label_png import read_label_png

INSTANCES = 1000
IGNORE_ID = 10_000
IGNORE_CLASS = 10
IGNORE_LABEL = "ignore"
MOTS_LABELS = {1: "car", 2: "pedestrian"}
"""The classes of KITTI MOTS and MOTSChallenge."""

LINE = re.compile(r"(\d{1,6}) (\d{1,9}) (\d{1,6}) (\d{1,6}) (\d{1,6}) (\S+)")


@dataclass
class _Sequence:
    """One video while it is read; frame numbers are those of the file."""

    name: str
    size: tuple[int, int] | None = None
    masks: dict[int, dict[int, RLEMask]] = field(default_factory=dict)
    numbers: Sequence[int] = ()
    numbers_known: bool = False
    source: MotsSource | None = None


def read_mots(
    root: Path,
    *,
    images: Path | None = None,
    labels: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ConvertedDataset:
    """Read MOTS annotations, of text or PNG files.

    Args:
        root: A folder of text files, one for each video; one text file; or a folder of PNG files, one folder for each
            video.
        images: The image folder, for the real names, number and size of the images.
        labels: A text file with the name of class k in line k; None looks for ``labels.txt`` beside or above. Without
            one, class 1 is "car" and 2 "pedestrian", as in MOTS.
        progress: Called with the number of videos read and their total.

    Returns:
        The videos. Regions to ignore (id 10000) are left out, as YouTube-VIS has none.

    Raises:
        InputError: If files are missing or damaged.
    """
    remarks = Remarks()
    sequences = []
    sources = mots_sources(root)
    for position, source in enumerate(sources, start=1):
        sequences.append(_read_png(source, remarks) if source.text is None else _read_text(source.text, remarks))
        progress(position, len(sources))
    _read_sequence_map(root if root.is_dir() else root.parent, sequences)
    classes = {identifier // INSTANCES for sequence in sequences for identifier in sequence.masks}
    categories = _categories(root, labels or find_labels(root, sources), classes)
    only_video = len(sequences) == 1
    names = unique_names(sequence.name for sequence in sequences)
    videos = [
        _video(sequence, name, images, only_video=only_video, remarks=remarks)
        for sequence, name in zip(sequences, names, strict=True)
    ]
    return ConvertedDataset(categories, tuple(videos), remarks.sentences())


def _read_text(path: Path, remarks: Remarks) -> _Sequence:
    sequence = _Sequence(path.stem)
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not a text file of MOTS: {error}.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(f"Line {number} of '{path}' is not 'frame id class height width rle' but '{line:.60}'.")
        frame, identifier, class_number, height, width = (int(match[group]) for group in range(1, 6))
        if sequence.size not in (None, (height, width)):
            raise InputError(
                f"Line {number} of '{path}' has a mask of {height}x{width}, those before are {sequence.size}."
            )
        sequence.size = height, width
        if identifier == IGNORE_ID:
            remarks.add("Regions to ignore, left out: {n}.")
            continue
        if identifier // INSTANCES != class_number:
            raise InputError(f"Line {number} of '{path}' gives object {identifier} the class {class_number}.")
        try:
            mask = read_mask({"size": [height, width], "counts": match[6]}, height=height, width=width)
        except MaskError as error:
            raise InputError(f"The mask in line {number} of '{path}' is wrong: {error}.") from None
        masks = sequence.masks.setdefault(identifier, {})
        if frame in masks:
            raise InputError(f"Line {number} of '{path}' is the second for object {identifier} in frame {frame}.")
        if mask is not None:
            masks[frame] = mask
    frames = [frame for masks in sequence.masks.values() for frame in masks]
    # KITTI counts frames from 0, MOTSChallenge from 1.
    sequence.numbers = range(min([1, *frames]), max(frames) + 1) if frames else ()
    return sequence


def _read_png(source: MotsSource, remarks: Remarks) -> _Sequence:
    sequence = _Sequence(source.name, numbers=range(len(source.frames)), source=source)
    remarks.add("Frames without a mask file between the others, taken to show no object: {n}.", source.filled)
    for frame, stem in enumerate(source.frames):
        path = (source.masks or {}).get(stem)
        if path is None:
            continue
        label_map = read_label_png(path)
        if sequence.size not in (None, label_map.shape):
            raise InputError(
                f"'{path}' is {label_map.shape} but the frames before are {sequence.size} (height, width)."
            )
        sequence.size = label_map.shape[0], label_map.shape[1]
        ignored = (label_map == IGNORE_ID) | ((label_map > 0) & (label_map < INSTANCES))
        remarks.add("Pixels to ignore, or of class 0, that became background: {n}.", int(ignored.sum()))
        for identifier, mask in masks_of(label_map, frozenset({IGNORE_ID})).items():
            if identifier >= INSTANCES:
                sequence.masks.setdefault(identifier, {})[frame] = mask
    return sequence


def _read_sequence_map(folder: Path, sequences: list[_Sequence]) -> None:
    """Take the first and last frame of each video from the list that the tools of MOTS use, if there is one."""
    path = folder / SEQUENCE_MAP
    if not path.is_file():
        return
    ranges = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"(\S+)\s+\S+\s+(\d{1,6})\s+(\d{1,6})", line.strip())
        if found is not None:
            ranges[found[1]] = range(int(found[2]), int(found[3]) + 1)
    for sequence in sequences:
        numbers = ranges.get(sequence.name)
        if numbers is not None and sequence.source is None and all(number in numbers for number in sequence.numbers):
            sequence.numbers, sequence.numbers_known = numbers, True


def _categories(root: Path, labels: Path | None, classes: set[int]) -> tuple[Category, ...]:
    names = dict(MOTS_LABELS)
    if labels is not None:
        try:
            lines = require_file(labels).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"'{labels}' is no text file in UTF-8 with names of classes: {error}.") from None
        names = {number: line.strip() for number, line in enumerate(lines, start=1) if line.strip()}
    unnamed = sorted(classes - set(names))
    if unnamed:
        raise InputError(
            f"'{root}' has objects of class {unnamed[0]}, which has no name: write a text file with the name of "
            "class k in line k, and give it with --labels."
        )
    return tuple(
        Category(number, name)
        for number, name in names.items()
        if number != IGNORE_CLASS or name != IGNORE_LABEL or number in classes
    )


def _video(
    sequence: _Sequence, name: str, images: Path | None, *, only_video: bool, remarks: Remarks
) -> ConvertedVideo:
    numbers, source = list(sequence.numbers), sequence.source
    if images is not None:
        if source is not None:
            file_names = _images_of(source, images, only_video=only_video)
        else:
            if not sequence.numbers_known:
                numbers = _numbers_of_images(images, sequence, only_video=only_video) or numbers
            file_names = images_by_number(images, sequence.name, numbers, only_video=only_video)
    else:
        stems = [f"{number:06d}" for number in numbers] if source is None else source.frames
        file_names = [f"{name}/{stem}.jpg" for stem in stems]
        remarks.add("Images are named '<video>/<frame>.jpg'; give --images to use their real names and number.")
    size = sequence.size
    if images is not None and file_names:
        found = image_size(images / file_names[0])
        if size not in (None, found):
            raise InputError(f"The masks of '{name}' are {size}, its images {found} (height, width).")
        size = found
    if size is None or not file_names:
        raise InputError(f"The video '{name}' has no masks, so that its size and length are unknown; take it out.")
    index_of = {number: index for index, number in enumerate(numbers)}
    tracks = tuple(
        ConvertedTrack(
            identifier, identifier // INSTANCES, {index_of[frame]: mask for frame, mask in sorted(masks.items())}
        )
        for identifier, masks in sorted(sequence.masks.items())
        if masks
    )
    return ConvertedVideo(name, size[0], size[1], tuple(file_names), tracks)


def _images_of(source: MotsSource, images: Path, *, only_video: bool) -> list[str]:
    """Return the images of a video whose masks are PNG files: those that lie beside them, or by their names."""
    if source.images is not None and source.images.resolve().is_relative_to(images.resolve()):
        folder = images / source.images.resolve().relative_to(images.resolve())
        files = {path.stem: path for path in images_in(folder)}
        return [files[stem].relative_to(images).as_posix() for stem in source.frames]
    return images_by_stem(images, source.name, source.frames, only_video=only_video, masks=source.folder)


def _numbers_of_images(images: Path, sequence: _Sequence, *, only_video: bool) -> list[int]:
    """Return the frame numbers that the images have, if all frames with masks are among them; else none."""
    found = image_numbers(images, sequence.name, only_video=only_video)
    return found if all(frame in found for masks in sequence.masks.values() for frame in masks) else []


def write_mots(
    annotations: VideoAnnotations, root: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[str, ...]:
    """Write videos as text files of MOTS, with ``labels.txt`` and ``seqmap.txt``.

    Classes are numbered from 1 in the order of the categories, without 10, which means regions to ignore; crowds become
    such regions. Instances are numbered within their class and video. Frames are counted from 0. MOTS allows no
    overlap: where objects overlap, the smallest is in front.

    Args:
        annotations: The videos.
        root: The folder to make; it appears when it is complete.
        progress: Called with the number of videos written and their total.

    Returns:
        Sentences about what could not be kept.

    Raises:
        InputError: If the folder exists, or a video has a thousand objects of one class.
    """
    remarks = Remarks()
    labels = list(annotations.categories.names)
    if len(labels) >= IGNORE_CLASS:
        labels.insert(IGNORE_CLASS - 1, IGNORE_LABEL)
    names = video_names(annotations)
    with atomic_folder(root) as partial:
        for index, name in enumerate(names):
            lines = _lines(annotations, index, remarks)
            (partial / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
            progress(index + 1, len(names))
        (partial / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        lasts = [annotations.length(index) - 1 for index in range(len(names))]
        ranges = "".join(f"{name} empty 000000 {last:06d}\n" for name, last in zip(names, lasts, strict=True))
        (partial / SEQUENCE_MAP).write_text(ranges, encoding="utf-8")
    return remarks.sentences()


def _lines(annotations: VideoAnnotations, index: int, remarks: Remarks) -> list[str]:
    video = annotations.video(index)
    identifiers: list[int] = []
    instances: dict[int, int] = {}
    for track in annotations.tracks(index):
        if track.crowd:
            remarks.add(CROWD_REMARK)
            identifiers.append(IGNORE_ID)
            continue
        class_number = track.label + 1 if track.label + 1 < IGNORE_CLASS else track.label + 2
        instances[class_number] = instances.get(class_number, 0) + 1
        if instances[class_number] >= INSTANCES:
            raise InputError(
                f"Video {video.id} has {INSTANCES} objects of one class; MOTS has room for {INSTANCES - 1}."
            )
        identifiers.append(class_number * INSTANCES + instances[class_number])
    lines = []
    for frame in range(len(video.file_names)):
        label_map = paint(annotations, index, frame, identifiers, ignore=IGNORE_ID, remarks=remarks)
        for identifier, mask in masks_of(label_map, frozenset()).items():
            size = f"{video.height} {video.width}"
            lines.append(f"{frame} {identifier} {identifier // INSTANCES} {size} {mask.counts.decode('ascii')}")
    return lines
