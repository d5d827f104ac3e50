"""Checks of the image files: there, readable, complete, of the size that the annotations say."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from genvis.data.check.findings import Findings, Kind, Severity
from genvis.data.check.records import VideoEntry
from genvis.data.check.structure_checks import escapes_root
from genvis.errors import InputError
from genvis.image_files import opened_image, upright_size

MISSING_IMAGE = Kind(
    "missing-image", Severity.ERROR, "an image file is missing", "Does --images name the folder that names start from?"
)
UNREADABLE_IMAGE = Kind("unreadable-image", Severity.ERROR, "an image file cannot be read")
TRUNCATED_IMAGE = Kind("truncated-image", Severity.ERROR, "an image file is cut off: its end is missing")
IMAGE_SIZE = Kind("image-size", Severity.ERROR, "an image has another size than the annotations say")
MIXED_SIZES = Kind("mixed-sizes", Severity.ERROR, "the images of one video have different sizes")
LEAVES_ROOT = Kind("link-out-of-root", Severity.NOTE, "an image is a link to a file outside of the image folder")

END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}


@dataclass(frozen=True)
class _ImageFile:
    """Size of one file, (width, height), or the problem with it."""

    size: tuple[int, int] | None = None
    problem: Kind | None = None
    detail: str = ""


def check_images(
    videos: Iterable[VideoEntry],
    root: Path,
    findings: Findings,
    *,
    decode: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Check every image file that the videos name.

    Args:
        videos: The videos.
        root: The folder that the file names start from.
        findings: Takes what is wrong.
        decode: Decode every image to the last pixel, instead of reading the header and looking for the end mark.
        progress: Called after each video.
    """
    resolved_root = root.resolve()

    def inspect(name: str) -> _ImageFile:
        return _inspect(root / name.replace("\\", "/"), resolved_root, decode=decode)

    # Threads: what takes time is waiting for the disk or network, and decoding, which releases the lock.
    with ThreadPoolExecutor(8) as pool:
        for video in videos:
            names = [name for name in video.file_names or () if name is not None and not escapes_root(name)]
            sizes: dict[tuple[int, int], str] = {}
            for name, file in zip(names, pool.map(inspect, names), strict=True):
                if file.problem is not None:
                    first = file.problem is MISSING_IMAGE and findings.get(MISSING_IMAGE.name) is None
                    hint = _elsewhere(root, name) if first else ""
                    findings.add(file.problem, f"{video.where}: '{name}'{file.detail}{hint}")
                if file.size is None:
                    continue
                sizes.setdefault(file.size, name)
                said = (video.width or file.size[0], video.height or file.size[1])
                if file.size != said:
                    text = f"{video.where}: '{name}' is {_size(file.size)}, the annotations say {_size(said)}"
                    findings.add(IMAGE_SIZE, text)
            if len(sizes) > 1:
                texts = [f"'{name}' is {_size(size)}" for size, name in list(sizes.items())[:2]]
                findings.add(MIXED_SIZES, f"{video.where}: {', '.join(texts)}")
            progress()


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} wide and {size[1]} high"


def _elsewhere(root: Path, name: str) -> str:
    """Say where a missing image is instead, if a folder more or less leads to it, as it often is with data sets."""
    relative = Path(name.replace("\\", "/"))
    below = sorted(folder for folder in root.iterdir() if folder.is_dir())
    for folder in [*below, root.parent]:
        if (folder / relative).is_file():
            return f", but it is there from '{folder}': give that folder with --images"
    for start in range(1, len(relative.parts)):
        rest = Path(*relative.parts[start:])
        if (root / rest).is_file():
            return f", but there is '{rest.as_posix()}': the names start from a folder above"
    return ""


def _inspect(path: Path, root: Path, *, decode: bool) -> _ImageFile:
    if not path.is_file():
        return _ImageFile(problem=MISSING_IMAGE)
    try:
        with opened_image(path) as image:
            file_format = image.format
            height, width = upright_size(image)
            if decode:
                image.load()
    except InputError as error:
        return _ImageFile(problem=UNREADABLE_IMAGE, detail=f": {error}")
    size = width, height
    mark = END_MARKS.get(file_format or "")
    if mark is not None and not _ends_with(path, mark):
        return _ImageFile(size=size, problem=TRUNCATED_IMAGE)
    if not path.resolve().is_relative_to(root):
        return _ImageFile(size=size, problem=LEAVES_ROOT, detail=f" leads to '{path.resolve()}'")
    return _ImageFile(size=size)


def _ends_with(path: Path, mark: bytes) -> bool:
    """Return whether the mark is in the last 4 KiB of a file; cameras and editors may write a little after it."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4096))
        return mark in file.read()
