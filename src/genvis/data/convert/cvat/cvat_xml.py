"""XML of CVAT ("CVAT for video 1.1"), read safely and as it is: tasks, labels, and tracks of shapes."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from genvis.errors import InputError
from genvis.files import require_file
from genvis.json_values import shown

SHAPES = frozenset({"polygon", "box", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton"})
DEEPEST = 32
LARGEST_XML = 4 << 30
"""Most bytes that are unpacked from a zip file."""
MOST_PACKED = 200
"""Highest ratio of a zip file's content to its size, from 64 MiB on; coordinates pack about 10 times."""
MOST_FRAMES = 1_000_000
"""Most frames of all tasks of a file together."""


@dataclass(frozen=True)
class CvatShape:
    """One shape of a track in one frame, with the attributes of its element.

    Attributes:
        kind: The element's name, for example "polygon".
        frame: The frame number in the video, as CVAT counts.
        outside: Whether the object is not visible from this frame on.
        keyframe: Whether a person placed it; otherwise CVAT filled it in.
        fields: The XML attributes.
        attributes: The label's attributes and their values in this frame.
    """

    kind: str
    frame: int
    outside: bool
    keyframe: bool
    fields: dict[str, str]
    attributes: dict[str, str]


@dataclass(frozen=True)
class CvatTrack:
    """One track: a label and its shapes, in the order of the frames."""

    id: str
    label: str
    group: str
    task_id: str
    subset: str
    shapes: list[CvatShape]


@dataclass(frozen=True)
class CvatTask:
    """One task, which is one video.

    Attributes:
        id: CVAT's id.
        name: The task's name.
        source: The name of the annotated video file; empty if the file does not say.
        subset: The subset of the project that it belongs to; empty if the file does not say.
        start: The first annotated frame of the video.
        step: Every how many frames of the video are annotated.
        size: Number of annotated frames.
        stop: The last frame of the video that may be annotated, as the file says.
        offset: What an export of a project adds to the frame numbers of this task (see ``cvat_project``).
        height: Height of the frames in pixels; None if the file does not say.
        width: Width of the frames in pixels; None if the file does not say.
    """

    id: str
    name: str
    source: str
    subset: str
    start: int
    step: int
    size: int
    stop: int
    offset: int
    height: int | None
    width: int | None

    @property
    def numbers(self) -> range:
        """The numbers of its frames in the video."""
        return range(self.start, self.start + self.step * self.size, self.step)

    @property
    def file_numbers(self) -> range:
        """The numbers of its frames in the file."""
        return range(self.start + self.offset, self.start + self.offset + self.step * self.size, self.step)


@dataclass(frozen=True)
class CvatFile:
    """All that a conversion needs of an export.

    Attributes:
        labels: The names of the labels, in their order.
        subsets: The names of the subsets of a project.
        tasks: The tasks; one for a file of a task or job, all of a project.
        tracks: The tracks of all tasks.
    """

    labels: list[str] = field(default_factory=list)
    subsets: list[str] = field(default_factory=list)
    tasks: list[CvatTask] = field(default_factory=list)
    tracks: list[CvatTrack] = field(default_factory=list)


def read_cvat_xml(path: Path) -> CvatFile:
    """Read an export of CVAT.

    Document types and entities, which can make a small file grow without bounds or fetch others, are refused.

    Args:
        path: ``annotations.xml``, or the zip file that CVAT exports, with it inside.

    Returns:
        Labels, tasks and tracks.

    Raises:
        InputError: If it is not such a file, damaged, or unsafe.
    """
    require_file(path)
    result = CvatFile()
    try:
        with _opened(path) as file:
            _refuse_document_type(file, path)
        with _opened(path) as file:
            _read(file, path, result)
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"'{path}' cannot be unpacked: {error}; export it again.") from None
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}): copy or export it again.") from None
    except (ElementTree.ParseError, expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(f"'{path}' is not well-formed XML: {error}; export it again.") from None
    if not result.tasks:
        raise InputError(f"'{path}' describes no task; is it an export of CVAT, as 'CVAT for video 1.1'?")
    return result


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if Path(name).name == "annotations.xml"]
        if len(names) != 1:
            raise InputError(f"'{path}' holds {len(names)} files 'annotations.xml' instead of one; unpack it.")
        packed = archive.getinfo(names[0])
        if packed.file_size > LARGEST_XML:
            raise InputError(f"'annotations.xml' in '{path}' would unpack to more than {LARGEST_XML >> 30} GiB.")
        if packed.file_size > 64 << 20 and packed.file_size > MOST_PACKED * packed.compress_size:
            raise InputError(
                f"'annotations.xml' in '{path}' would unpack to {packed.file_size >> 20:,} MiB, more than "
                f"{MOST_PACKED} times its size, as only a zip bomb does; unpack it yourself if you trust it."
            )
        with archive.open(names[0]) as file:
            yield file


def _refuse_document_type(file: IO[bytes], path: Path) -> None:
    """Read up to the first element with a bare parser that stops at a document type, before anything is expanded."""
    parser = expat.ParserCreate()
    started = False

    def refuse(*_: object) -> None:
        raise InputError(f"'{path}' has a document type or entities, which CVAT never writes; it is not read.")

    def start(*_: object) -> None:
        nonlocal started
        started = True

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    while not started:
        chunk = file.read(1 << 16)
        parser.Parse(chunk, not chunk)
        if not chunk:
            break


def _read(file: IO[bytes], path: Path, result: CvatFile) -> None:
    events = ElementTree.iterparse(file, events=("start", "end"))
    _, root = next(events)
    if root.tag != "annotations":
        raise InputError(f"'{path}' starts with <{root.tag}> instead of <annotations>; is it an export of CVAT?")
    depth = 1
    for event, element in events:
        if event == "start":
            depth += 1
            if depth > DEEPEST:
                raise InputError(f"'{path}' is nested too deeply to be an export of CVAT.")
            if element.tag == "image":
                raise InputError(
                    f"'{path}' is 'CVAT for images', which keeps no tracks; export the task as 'CVAT for video 1.1'."
                )
            continue
        depth -= 1
        if element.tag == "meta":
            result.labels.extend(_labels(element))
            result.tasks.extend(_tasks(element, path))
            result.subsets.extend(name for entry in element.iter("subsets") if (name := _joined(entry.text)))
        elif element.tag == "track":
            result.tracks.append(_track(element, path))
        if depth == 1:
            root.clear()  # what has been read is not kept


def _text(element: ElementTree.Element, path: str) -> str:
    return _joined(element.findtext(path))


def _joined(text: str | None) -> str:
    """Return a text without blanks at its ends and with single ones within, as the same name has in every place."""
    return " ".join((text or "").split())


def _labels(meta: ElementTree.Element) -> list[str]:
    # Labels with a parent are the joints of a skeleton.
    names = [_text(label, "name") for label in meta.iter("label") if not _text(label, "parent")]
    return list(dict.fromkeys(name for name in names if name))


def _tasks(meta: ElementTree.Element, path: Path) -> list[CvatTask]:
    project = meta.find("project")
    entries = project.findall("tasks/task") if project is not None else [*meta.findall("task"), *meta.findall("job")]
    above = [meta] if project is None else [project, meta]
    tasks = [_task([entry, *above], path) for entry in entries]
    frames = sum(task.size for task in tasks)
    if frames > MOST_FRAMES:
        raise InputError(f"'{path}' has {frames:,} frames, more than {MOST_FRAMES:,}; export its tasks one by one.")
    return tasks


def _task(holders: list[ElementTree.Element], path: Path) -> CvatTask:
    """Return a task; what it does not say itself stands in one of the elements around it."""
    entry = holders[0]
    identifier = _text(entry, "id")
    where = f"task {identifier or '?'} of '{path}'"

    def found(name: str) -> str:
        return next((text for holder in holders if (text := _text(holder, name))), "")

    step = re.search(r"step\s*=\s*(\d+)", _text(entry, "frame_filter"))
    height, width = found("original_size/height"), found("original_size/width")
    size = _whole(_text(entry, "size"), "size", where)
    start = _whole(_text(entry, "start_frame") or "0", "start_frame", where)
    step_size = max(1, _whole(step[1], "step", where)) if step else 1
    stop = _text(entry, "stop_frame")
    return CvatTask(
        id=identifier,
        name=_text(entry, "name"),
        source=found("source"),
        subset=_text(entry, "subset"),
        start=start,
        step=step_size,
        size=size,
        stop=_whole(stop, "stop_frame", where) if stop else start + step_size * (size - 1),
        offset=0,
        height=_whole(height, "height", where) if height else None,
        width=_whole(width, "width", where) if width else None,
    )


def _whole(text: str | None, name: str, where: str) -> int:
    found = re.fullmatch(r"\s*(\d{1,9})(\.0*)?\s*", text or "")
    if found is None:
        raise InputError(f"In {where}, '{name}' is {shown(text or '')} instead of a whole number; export it again.")
    return int(found[1])


def _track(element: ElementTree.Element, path: Path) -> CvatTrack:
    identifier = element.get("id", "")
    where = f"track {identifier or '?'} of '{path}'"
    label = _joined(element.get("label"))
    if not label:
        raise InputError(f"In {where}, the label is missing; export it again.")
    shapes = [_shape(child, where) for child in element if child.tag in SHAPES]
    shapes.sort(key=lambda shape: shape.frame)
    group, task = element.get("group_id", "").strip(), element.get("task_id", "").strip()
    return CvatTrack(identifier, label, group, task, _joined(element.get("subset")), shapes)


def _shape(element: ElementTree.Element, where: str) -> CvatShape:
    return CvatShape(
        kind=element.tag,
        frame=_whole(element.get("frame"), "frame", where),
        outside=element.get("outside", "0") == "1",
        keyframe=element.get("keyframe", "1") == "1",
        fields=dict(element.attrib),
        attributes={_joined(child.get("name")): _joined(child.text) for child in element.findall("attribute")},
    )
