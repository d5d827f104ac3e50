"""Results of a job, collected into one file each, one video in memory at a time."""

import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from genvis.errors import InputError, MissingExtraError
from genvis.files import atomic_file, make_folder, write_json
from genvis.results.formats.genvis_json import from_json
from genvis.results.formats.object_table import ObjectRow, object_rows
from genvis.results.formats.youtube_vis_results import youtube_vis_entries
from genvis.results.types import VideoResult
from genvis.scaling.job_list import read_list
from genvis.scaling.manifests import Manifest, keys_with_manifest, read_manifests
from genvis.storage.stores import Store

CollectedName = Literal["youtube_vis", "csv", "parquet"]
COLLECTED_FILES: dict[CollectedName, str] = {
    "youtube_vis": "youtube_vis.json",
    "csv": "objects.csv",
    "parquet": "objects.parquet",
}
VIDEOS_FILE = "videos.json"
_ROWS_AT_ONCE = 50_000


class Collected(NamedTuple):
    """What was collected.

    Attributes:
        videos: How many.
        tracks: In all of them.
        files: Where the files are, as messages call them.
    """

    videos: int
    tracks: int
    files: tuple[str, ...]


def collect(
    store: Store,
    *,
    target: Store,
    outputs: tuple[CollectedName, ...] = ("youtube_vis", "csv"),
    progress: Callable[[int, int], None] | None = None,
) -> Collected:
    """Merge the results of all videos that have one.

    Args:
        store: The output folder of a job.
        target: Where the merged files go: ``videos.json`` (id, name, source, size and length of each video, and the
            categories), and those of ``outputs``. Videos have the ids 1, 2, ... in the order of the job's list.
        outputs: ``youtube_vis`` (a results file of all videos), ``csv`` and ``parquet`` (a row per object and frame).
        progress: Called with the number of videos done, and of all.

    Raises:
        InputError: If there is no result, or one is damaged.
        OutputError: If a file cannot be written.
        MissingExtraError: If pyarrow is not installed.
    """
    names = {name: COLLECTED_FILES[name] for name in get_args(CollectedName) if name in outputs}
    order = [entry.key for entry in read_list(store)]
    known = keys_with_manifest(store)
    keys = [key for key in order if key in known] + sorted(known - set(order))
    videos: list[dict[str, Any]] = []
    categories: dict[int, str] = {}
    tracks = 0
    place = target.local("")
    with ExitStack() as stack:
        folder = place or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genvis-")))
        make_folder(folder)
        with ExitStack() as writing:
            writers = [
                _WRITERS[name](writing.enter_context(atomic_file(folder / file)), writing)
                for name, file in names.items()
            ]
            for done, (manifest, result) in enumerate(_results(store, keys), start=1):
                number = len(videos) + 1
                for writer in writers:
                    writer.add(result, number)
                videos.append(_described(result, manifest, number))
                categories |= {track.category_id: track.label for track in result.tracks}
                tracks += len(result.tracks)
                if progress is not None:
                    progress(done, len(keys))
            if not videos:
                raise InputError(f"'{store.label}' holds no finished video: `genvis status` says how far the job is.")
            for writer in writers:
                writer.end()
        entries = [{"id": number, "name": label} for number, label in sorted(categories.items())]
        write_json(folder / VIDEOS_FILE, {"videos": videos, "categories": entries})
        if place is None:
            target.put(folder, "")
    files = (VIDEOS_FILE, *names.values())
    return Collected(len(videos), tracks, tuple(f"{target.label.rstrip('/')}/{file}" for file in files))


def _results(store: Store, keys: list[str]) -> Iterator[tuple[Manifest, VideoResult]]:
    for manifest in read_manifests(store, keys):
        if not manifest.has_result:
            continue
        name = f"{manifest.folder}/result.json"
        content = store.read(name)
        where = f"{store.label}/{name}"
        if content is None:
            raise InputError(
                f"'{where}' is missing, though the video is finished: remove its manifest and do it again."
            )
        try:
            yield manifest, from_json(json.loads(content))
        except (InputError, ValueError, RecursionError) as error:
            raise InputError(f"'{where}' is damaged ({error}): remove the manifest and do the video again.") from None


def _described(result: VideoResult, manifest: Manifest, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": result.name,
        "source": manifest.source,
        "folder": manifest.folder,
        "height": result.height,
        "width": result.width,
        "length": len(result),
        "problem": result.problem,
    }


class _YouTubeVIS:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._file = stack.enter_context(path.open("w", encoding="utf-8"))
        self._separator = "["

    def add(self, result: VideoResult, number: int) -> None:
        for entry in youtube_vis_entries(result, number):
            self._file.write(self._separator)
            json.dump(entry, self._file, allow_nan=False, separators=(",", ":"))
            self._separator = ",\n"

    def end(self) -> None:
        self._file.write("]\n" if self._separator != "[" else "[]\n")
        self._file.flush()


class _CSV:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._file = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        self._writer = csv.writer(self._file)
        self._writer.writerow(("video_id", *ObjectRow._fields))

    def add(self, result: VideoResult, number: int) -> None:
        self._writer.writerows((number, *row) for row in object_rows(result))

    def end(self) -> None:
        self._file.flush()


class _Parquet:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingExtraError("pyarrow", "table") from None
        kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
        fields = [("video_id", pyarrow.int64())]
        fields += [(name, kinds[kind]) for name, kind in ObjectRow.__annotations__.items()]
        self._schema = pyarrow.schema(fields)
        self._table = pyarrow.Table
        self._writer = stack.enter_context(parquet.ParquetWriter(path, self._schema))
        self._rows: list[tuple[Any, ...]] = []

    def add(self, result: VideoResult, number: int) -> None:
        for row in object_rows(result):
            self._rows.append((number, *row))
            if len(self._rows) >= _ROWS_AT_ONCE:
                self._flush()

    def end(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        rows = [dict(zip(self._schema.names, row, strict=True)) for row in self._rows]
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))
        self._rows = []


_WRITERS: dict[CollectedName, type[_YouTubeVIS | _CSV | _Parquet]] = {
    "youtube_vis": _YouTubeVIS,
    "csv": _CSV,
    "parquet": _Parquet,
}
