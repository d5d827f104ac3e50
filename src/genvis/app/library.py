"""The folder that the application serves: its videos and results, by identifiers that tell nothing of their place."""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from genvis.errors import InputError
from genvis.files import make_folder, printable, read_json_object, write_json
from genvis.fingerprint import FINGERPRINT_FILE
from genvis.image_files import is_image
from genvis.json_values import shown
from genvis.results.editing.edit_log import EDITS_FILE
from genvis.results.formats.genvis_json import FORMAT, RESULT_FILE
from genvis.results.output_names import FILE_NAMES
from genvis.video.sources.opening import VIDEO_SUFFIXES

OWN_FOLDER = ".genvis"
RESULTS_FOLDER = "results"
MOST_ENTRIES = 50_000
MOST_LEVELS = 8
FRESH_SECONDS = 2.0
_HEAD = re.compile(rb'"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"height"\s*:\s*(\d{1,6})\s*,\s*"width"\s*:\s*(\d{1,6})')
_STAMP = re.compile(r"(.+), [\d,]+ bytes of .+")


@dataclass(frozen=True, slots=True)
class LibraryVideo:
    """A video below the folder.

    Attributes:
        id: Its identifier.
        name: Its path from the folder.
        path: Where it is.
        size: Bytes; of a folder of images their number.
        is_images: Whether it is a folder of images.
    """

    id: str
    name: str
    path: Path
    size: int
    is_images: bool


@dataclass(frozen=True, slots=True)
class LibraryResult:
    """A result below the folder.

    Attributes:
        id: Its identifier.
        name: The path of its folder from the folder that is served.
        path: Its ``result.json``.
        video_name: Name of the video that it is of.
        height: Rows of its frames.
        width: Columns of its frames.
        size: Bytes.
        modified: When it was written, in seconds since 1970.
        is_corrected: Whether there is a log of edits.
    """

    id: str
    name: str
    path: Path
    video_name: str
    height: int
    width: int
    size: int
    modified: float
    is_corrected: bool


class Library:
    """Everything that the page may see: regular files below a folder, and nothing that a link leads out of it.

    May be used from several threads.

    Args:
        root: The folder; made if it does not exist.

    Raises:
        InputError: If it is a file.
        OutputError: If it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise InputError(f"'{root}' is a file: name a folder.")
        self.root = make_folder(root).resolve()
        self.own = make_folder(self.root / OWN_FOLDER)
        if self.own.is_symlink():
            raise InputError(f"'{self.own}' is a link: remove it.")
        self._lock = Lock()
        self._videos: dict[str, LibraryVideo] = {}
        self._results: dict[str, LibraryResult] = {}
        self._models: set[str] = set()
        self._annotations: set[str] = set()
        self._scanned = -FRESH_SECONDS
        self.is_cut = False

    def videos(self) -> list[LibraryVideo]:
        """Return the videos, in the order of their names."""
        self._scan()
        return sorted(self._videos.values(), key=lambda video: video.name.casefold())

    def results(self) -> list[LibraryResult]:
        """Return the results, newest first."""
        self._scan()
        return sorted(self._results.values(), key=lambda result: (-result.modified, result.name))

    def video(self, identifier: str) -> LibraryVideo | None:
        """Return a video that is there now; None if there is none of that identifier."""
        found = self._videos.get(identifier)
        if found is None:
            self._scan(at_once=True)
            found = self._videos.get(identifier)
        return found if found is not None and self.holds(found.path) else None

    def result(self, identifier: str) -> LibraryResult | None:
        """Return a result that is there now; None if there is none of that identifier."""
        found = self._results.get(identifier)
        if found is None:
            self._scan(at_once=True)
            found = self._results.get(identifier)
        return found if found is not None and self.holds(found.path) else None

    def models(self) -> list[str]:
        """Return the model folders, by their path from the folder."""
        self._scan()
        return sorted(self._models)

    def model_folder(self, name: str) -> str | None:
        """Return the path of a model folder from the folder; None if there is none of that name."""
        return name if name in self.models() and self.holds(self.root / name) else None

    def annotation_files(self) -> list[str]:
        """Return the files that look like annotations of videos, by their path from the folder."""
        self._scan()
        return sorted(self._annotations)

    def new_file(self, name: object, *, suffix: str) -> str:
        """Return the path, from the folder, of a file that is to be written, or written anew.

        Raises:
            InputError: If it is outside of the folder, in a hidden one, or of another kind.
        """
        parts = name.replace("\\", "/").split("/") if isinstance(name, str) else []
        is_plain = all(part.strip() and not part.startswith(".") and part == printable(part) for part in parts)
        if not parts or len(parts) > MOST_LEVELS or not is_plain or any(len(part) > 120 for part in parts):
            raise InputError(f"{shown(name)} is no name of a file in the folder.")
        if not parts[-1].endswith(suffix):
            raise InputError(f"'{parts[-1]}' does not end in {suffix}.")
        path = self.below("/".join(parts))
        if path.is_dir():
            raise InputError(f"'{parts[-1]}' is a folder.")
        return "/".join(parts)

    def identifier(self, path: Path) -> str:
        """Return the identifier of something below the folder."""
        return _identifier(path, self.root)

    def holds(self, path: Path) -> bool:
        """Return whether something exists and lies below the folder, wherever links lead."""
        try:
            return path.resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError):
            return False

    def relative(self, path: Path) -> str:
        """Return the name of a path as the page shows it: from the folder."""
        return printable(path.relative_to(self.root).as_posix())

    def below(self, name: str) -> Path:
        """Return the path of a name that a record holds.

        Raises:
            InputError: If it leaves the folder.
        """
        path = self.root / name
        if not path.resolve().is_relative_to(self.root):
            raise InputError(f"'{printable(name)}' is outside of the folder.")
        return path

    def free_folder(self, name: str) -> Path:
        """Return a new folder for results: of that name, or with a number if there is one."""
        base = self.root / RESULTS_FOLDER
        if not base.resolve().is_relative_to(self.root):
            raise InputError(f"'{RESULTS_FOLDER}' is a link that leaves the folder: remove it.")
        make_folder(base)
        safe = safe_name(name)
        for number in range(1, 100_000):
            folder = base / (safe if number == 1 else f"{safe}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise InputError(f"There are too many results of the name '{safe}': remove some.")

    def index_folder(self, result: LibraryResult) -> Path:
        """Return where the index of a result lies."""
        return self.own / "index" / result.id

    def video_of(self, result: LibraryResult) -> LibraryVideo | None:
        """Return the video of a result: the one that was chosen, or that it was made of, or that has its name."""
        videos = {video.path: video for video in self.videos()}
        chosen = self._chosen().get(result.id)
        if isinstance(chosen, str) and chosen in self._videos:
            return self._videos[chosen]
        made_of = _made_of(result.path.with_name(FINGERPRINT_FILE))
        if made_of in videos:
            return videos[made_of]
        alike = [video for video in videos.values() if video.path.stem == result.video_name]
        alike = alike or [video for video in videos.values() if video.path.name == result.video_name]
        return alike[0] if len(alike) == 1 else None

    def folders_elsewhere(self) -> list[Path]:
        """Return the folders outside of this one that hold videos of its results; for the user's own terminal."""
        made_of = (_made_of(result.path.with_name(FINGERPRINT_FILE)) for result in self.results())
        outside = {path.parent for path in made_of if path is not None and path.is_file() and not self.holds(path)}
        return sorted(outside)

    def choose_video(self, result: LibraryResult, video: LibraryVideo) -> None:
        """Remember which video a result is of."""
        with self._lock:
            write_json(self.own / "videos.json", {**self._chosen(), result.id: video.id})

    def forget(self) -> None:
        """Look anew at the next question."""
        self._scanned = -FRESH_SECONDS

    def remove_own(self, path: Path) -> None:
        """Remove a folder that the application made itself."""
        if path.resolve().is_relative_to(self.root) and path.resolve() != self.root and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        self.forget()

    def _chosen(self) -> dict[str, object]:
        path = self.own / "videos.json"
        try:
            return read_json_object(path, expected="chosen videos") if path.exists() else {}
        except InputError:
            return {}

    def _scan(self, *, at_once: bool = False) -> None:
        with self._lock:
            if not at_once and time.monotonic() - self._scanned < FRESH_SECONDS:
                return
            videos: dict[str, LibraryVideo] = {}
            results: dict[str, LibraryResult] = {}
            models: set[str] = set()
            annotations: set[str] = set()
            self.is_cut = False
            count = 0
            for folder, names, is_result in self._folders():
                count += len(names) + 1
                if count > MOST_ENTRIES:
                    self.is_cut = True
                    break
                if "config.json" in names and any(name.endswith(".safetensors") for name in names):
                    models.add(self.relative(folder))
                if not is_result:
                    annotations.update(self._annotations_in(folder, names))
                if is_result and (result := self._result_in(folder)):
                    results[result.id] = result
                for video in self._videos_in(folder, names, is_result=is_result):
                    videos[video.id] = video
            self._videos, self._results, self._models = videos, results, models
            self._annotations = annotations
            self._scanned = time.monotonic()

    def _folders(self) -> Iterator[tuple[Path, list[str], bool]]:
        """Deliver the folders with the names of their files; no links are followed."""
        for place, folders, files in os.walk(self.root):
            folder = Path(place)
            depth = len(folder.relative_to(self.root).parts)
            is_result = RESULT_FILE in files
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and depth < MOST_LEVELS and not (is_result and name == FILE_NAMES["pngs"])
            )
            yield folder, sorted(files), is_result

    def _videos_in(self, folder: Path, names: list[str], *, is_result: bool) -> Iterator[LibraryVideo]:
        images = 0
        for name in names:
            path = folder / name
            if name.startswith(".") or (is_result and name in FILE_NAMES.values()):
                continue
            if path.suffix.lower() in VIDEO_SUFFIXES and self.holds(path) and path.is_file():
                relative = self.relative(path)
                yield LibraryVideo(_identifier(path, self.root), relative, path, path.stat().st_size, is_images=False)
            images += is_image(path)
        if images > 1 and folder != self.root and not is_result:
            yield LibraryVideo(_identifier(folder, self.root), self.relative(folder), folder, images, is_images=True)

    def _annotations_in(self, folder: Path, names: list[str]) -> Iterator[str]:
        for name in names:
            path = folder / name
            if name.startswith(".") or not name.endswith(".json") or not self.holds(path) or not path.is_file():
                continue
            with suppress(OSError), path.open("rb") as file:
                if b'"videos"' in file.read(512):
                    yield self.relative(path)

    def _result_in(self, folder: Path) -> LibraryResult | None:
        path = folder / RESULT_FILE
        try:
            if not self.holds(path) or not path.is_file():
                return None
            status = path.stat()
            with path.open("rb") as file:
                head = file.read(4096)
            found = _HEAD.search(head)
            if f'"{FORMAT}"'.encode() not in head or found is None:
                return None
            name = str(json.loads(found[1]))
        except (OSError, ValueError):
            return None
        return LibraryResult(
            id=_identifier(path, self.root),
            name=self.relative(folder) if folder != self.root else self.root.name,
            path=path,
            video_name=printable(name),
            height=int(found[2]),
            width=int(found[3]),
            size=status.st_size,
            modified=status.st_mtime,
            is_corrected=(folder / EDITS_FILE).exists(),
        )


def safe_name(name: str) -> str:
    """Return a name that is one on every system: no path, no control characters, no leading dot, at most 100 long."""
    base = printable(name).replace("\\", "/").rpartition("/")[2]
    safe = "".join("_" if character in ':*?"<>|' else character for character in base).strip(". ")
    stem, dot, suffix = safe.rpartition(".")
    return (f"{stem[:90]}.{suffix[:9]}" if dot else safe[:100]) or "video"


def _identifier(path: Path, root: Path) -> str:
    return hashlib.blake2b(os.fsencode(path.relative_to(root)), digest_size=9).hexdigest()


def _made_of(record: Path) -> Path | None:
    """Return the video that a fingerprint names."""
    try:
        video = read_json_object(record, expected="a fingerprint")["parts"]["source.video"]
        found = _STAMP.fullmatch(str(video["name"]))
    except (InputError, KeyError, TypeError):
        return None
    return None if found is None else Path(found[1])
