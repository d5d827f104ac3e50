"""Reading the XML of CVAT ("CVAT for video 1.1") safely, as it is: tasks, labels, and tracks of shapes."""

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from genvis.errors import InputError

SHAPES = frozenset({"polygon", "box", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton"})
LARGEST_XML = 4 << 30
MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class CvatShape:
    """One shape of a track in one frame, with the attributes of its element.

    Attributes:
        kind: The element's name, for example "polygon".
        frame: The frame number in the video, as CVAT counts.
        outside: Whether the object is out of sight from this frame on.
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
    shapes: list[CvatShape]


@dataclass(frozen=True)
class CvatTask:
    """One task, which is one video.

    Attributes:
        id: CVAT's id.
        name: The task's name.
        source: The name of the annotated video file; empty if the file does not say.
        start: The first annotated frame of the video.
        step: Every how many frames of the video are annotated.
        size: Number of annotated frames.
        height: Height of the frames in pixels; None if the file does not say.
        width: Width of the frames in pixels; None if the file does not say.
    """

    id: str
    name: str
    source: str
    start: int
    step: int
    size: int
    height: int | None
    width: int | None


@dataclass(frozen=True)
class CvatFile:
    """All that a conversion needs of an export."""

    labels: list[str] = field(default_factory=list)
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
    if not path.is_file():
        raise InputError(f"There is no file '{path}'.")
    result = CvatFile()
    try:
        with _opened(path) as file:
            _refuse_document_type(file, path)
        with _opened(path) as file:
            _read(file, path, result)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(f"'{path}' cannot be unpacked: {error}; export it again.") from None
    except (ElementTree.ParseError, expat.ExpatError, UnicodeError, LookupError) as error:
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
        if archive.getinfo(names[0]).file_size > LARGEST_XML:
            raise InputError(f"'annotations.xml' in '{path}' would unpack to more than {LARGEST_XML >> 30} GiB.")
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
    for event, element in events:
        if event == "start" and element.tag == "image":
            raise InputError(
                f"'{path}' is 'CVAT for images', which keeps no tracks; export the task as 'CVAT for video 1.1'."
            )
        if event == "end" and element.tag == "meta":
            result.labels.extend(_labels(element))
            result.tasks.extend(_tasks(element, path))
        if event == "end" and element.tag == "track":
            result.tracks.append(_track(element, path))
            root.clear()  # what has been read is not kept


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _labels(meta: ElementTree.Element) -> list[str]:
    # Labels with a parent are the joints of a skeleton.
    names = [_text(label, "name") for label in meta.iter("label") if not _text(label, "parent")]
    return list(dict.fromkeys(name for name in names if name))


def _tasks(meta: ElementTree.Element, path: Path) -> list[CvatTask]:
    project = meta.find("project")
    entries = project.findall("tasks/task") if project is not None else [*meta.findall("task"), *meta.findall("job")]
    source = _text(meta, "source") or (_text(project, "source") if project is not None else "")
    return [_task(entry, source, path) for entry in entries]


def _task(entry: ElementTree.Element, source: str, path: Path) -> CvatTask:
    identifier = _text(entry, "id")
    where = f"task {identifier or '?'} of '{path}'"
    step = re.search(r"step\s*=\s*(\d+)", _text(entry, "frame_filter"))
    height, width = _text(entry, "original_size/height"), _text(entry, "original_size/width")
    size = _whole(_text(entry, "size"), "size", where)
    if size > MOST_FRAMES:
        raise InputError(f"In {where}, 'size' is {size:,} frames, more than {MOST_FRAMES:,}; split the task.")
    return CvatTask(
        id=identifier,
        name=_text(entry, "name"),
        source=_text(entry, "source") or source,
        start=_whole(_text(entry, "start_frame") or "0", "start_frame", where),
        step=max(1, int(step[1])) if step else 1,
        size=size,
        height=_whole(height, "height", where) if height else None,
        width=_whole(width, "width", where) if width else None,
    )


def _whole(text: str | None, name: str, where: str) -> int:
    if text is None or not re.fullmatch(r"\s*\d{1,9}\s*", text):
        raise InputError(f"In {where}, '{name}' is {text!r:.40} instead of a whole number; export it again.")
    return int(text)


def _track(element: ElementTree.Element, path: Path) -> CvatTrack:
    identifier = element.get("id", "")
    where = f"track {identifier or '?'} of '{path}'"
    label = element.get("label")
    if not label:
        raise InputError(f"In {where}, the label is missing; export it again.")
    shapes = [_shape(child, where) for child in element if child.tag in SHAPES]
    shapes.sort(key=lambda shape: shape.frame)
    return CvatTrack(identifier, label, element.get("group_id", ""), element.get("task_id", ""), shapes)


def _shape(element: ElementTree.Element, where: str) -> CvatShape:
    return CvatShape(
        kind=element.tag,
        frame=_whole(element.get("frame"), "frame", where),
        outside=element.get("outside", "0") == "1",
        keyframe=element.get("keyframe", "1") == "1",
        fields=dict(element.attrib),
        attributes={child.get("name", ""): (child.text or "").strip() for child in element.findall("attribute")},
    )
