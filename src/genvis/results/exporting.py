"""Results in the formats that people take along: one registry, one function."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.convert.coco_tracks import write_coco_tracks
from genvis.data.convert.cvat.to_cvat import write_cvat
from genvis.data.convert.indexed_png import write_indexed_png
from genvis.data.convert.youtube_vis_writing import write_youtube_vis
from genvis.errors import InputError
from genvis.files import atomic_folder, make_folder, write_json, write_text
from genvis.results.formats.converted import tracks_of_result
from genvis.results.formats.mask_pngs import write_label_pngs
from genvis.results.formats.object_table import write_csv, write_parquet
from genvis.results.output_folder import render_result
from genvis.results.types import VideoResult
from genvis.video.sources.opening import Source


@dataclass(frozen=True)
class ExportFormat:
    """A format that a result can be written in.

    Attributes:
        name: For programs.
        title: For people.
        suffix: Of the file; empty for a folder.
        draws: Whether it is drawn on the video, which is then needed.
        write: Writes the result to a path.
    """

    name: str
    title: str
    suffix: str
    write: "Callable[[_Export], object]"
    draws: bool = False


@dataclass(frozen=True)
class _Export:
    """One export: the result, where it goes, the video if it is there, and who waits for it."""

    result: VideoResult
    path: Path
    source: Source | None
    progress: Callable[[int], None] | None


def export(
    result: VideoResult,
    name: str,
    path: str | Path,
    *,
    source: Source | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a result in one of the `EXPORT_FORMATS`; the file or folder appears whole or not at all.

    Args:
        result: The result.
        name: Of the format.
        path: The file to write, which replaces one of that name; or, for a format of many files, the folder to make.
        source: The video, for the formats that are drawn on it: anything that ``open_source`` takes.
        progress: Called with the number of frames drawn so far.

    Returns:
        The path.

    Raises:
        InputError: If there is no such format, the video is missing or another one, or the folder is there already.
        MissingExtraError: If a library is not installed.
        OutputError: If it cannot be written.
    """
    chosen = EXPORT_FORMATS.get(name)
    if chosen is None:
        close = get_close_matches(name, EXPORT_FORMATS, n=1)
        meant = f" Did you mean '{close[0]}'?" if close else ""
        raise InputError(f"There is no format '{name}'.{meant} There are {', '.join(EXPORT_FORMATS)}.")
    if chosen.draws and source is None:
        raise InputError(f"The format '{name}' is drawn on the video: name the video.")
    target = Path(path)
    make_folder(target.parent)
    chosen.write(_Export(result, target, source, progress))
    return target


def annotations_of_result(result: VideoResult) -> VideoAnnotations:
    """Return a result as annotations of one video, as if they had been read from a YouTube-VIS file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        write_youtube_vis(tracks_of_result(result), path)
        return load_youtube_vis(path)


def _write_davis(one: _Export) -> None:
    write_indexed_png(annotations_of_result(one.result), one.path)


def _write_pngs(one: _Export) -> None:
    with atomic_folder(one.path) as folder:
        write_label_pngs(one.result, folder)


def _draw(one: _Export, *, video: bool) -> None:
    assert one.source is not None
    places = {"video" if video else "contact_sheet": one.path}
    if not render_result(one.result, one.source, progress=one.progress, **places):
        raise InputError(f"No frame of '{one.result.name}' is in the video: this is another video.")


_ALL = (
    ExportFormat("result", "genvis result", ".json", lambda one: write_json(one.path, one.result.to_json())),
    ExportFormat(
        "youtube_vis",
        "YouTube-VIS annotations, to train on",
        ".json",
        lambda one: write_youtube_vis(tracks_of_result(one.result), one.path),
    ),
    ExportFormat(
        "youtube_vis_results",
        "YouTube-VIS results, to be scored",
        ".json",
        lambda one: write_json(one.path, one.result.to_youtube_vis(1)),
    ),
    ExportFormat(
        "coco",
        "COCO with track ids",
        ".json",
        lambda one: write_coco_tracks(annotations_of_result(one.result), one.path),
    ),
    ExportFormat("cvat", "CVAT for video 1.1", ".xml", lambda one: write_cvat(tracks_of_result(one.result), one.path)),
    ExportFormat("mots", "MOTS text", ".txt", lambda one: write_text(one.path, one.result.to_mots())),
    ExportFormat("davis", "DAVIS indexed PNGs, with meta.json", "", _write_davis),
    ExportFormat("pngs", "label maps, pixel value = track id", "", _write_pngs),
    ExportFormat("csv", "table, CSV", ".csv", lambda one: write_csv(one.result, one.path)),
    ExportFormat("parquet", "table, Parquet", ".parquet", lambda one: write_parquet(one.result, one.path)),
    ExportFormat("video", "annotated video", ".mp4", lambda one: _draw(one, video=True), draws=True),
    ExportFormat("contact_sheet", "contact sheet", ".png", lambda one: _draw(one, video=False), draws=True),
)

EXPORT_FORMATS: dict[str, ExportFormat] = {one.name: one for one in _ALL}
"""All formats by name, in the order in which people are shown them."""
