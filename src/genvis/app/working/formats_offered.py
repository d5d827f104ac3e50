"""Formats that the page offers for a corrected result."""

from importlib.util import find_spec
from typing import Any

from genvis.errors import InputError
from genvis.json_values import shown
from genvis.results.exporting import EXPORT_FORMATS, ExportFormat

# Names of files that say what is in them.
_STEMS = {"csv": "objects", "parquet": "objects", "video": "annotated", "youtube_vis": "annotations"}


def file_of(one: ExportFormat) -> str:
    """Return the name of what is written: a file, or a folder that is packed."""
    return _STEMS.get(one.name, one.name) + (one.suffix or ".zip")


def formats_offered(*, has_video: bool) -> list[dict[str, Any]]:
    """Return the formats as the page shows them, with what keeps one from being written.

    Args:
        has_video: Whether the video is there, to draw on.
    """
    offered = []
    for one in EXPORT_FORMATS.values():
        why = ""
        if one.draws and not has_video:
            why = "The video is not in the folder."
        if one.name == "parquet" and any(find_spec(library) is None for library in ("pandas", "pyarrow")):
            why = "It needs `pip install 'genvis[table]'`."
        title = one.title if one.title.startswith("genvis") else one.title[0].upper() + one.title[1:]
        offered.append({"name": one.name, "title": title, "file": file_of(one), "is_possible": not why, "why": why})
    return offered


def formats_named(names: Any, *, has_video: bool) -> list[str]:
    """Return names of formats that came from outside, each once.

    Raises:
        InputError: If there is none, or one that cannot be written.
    """
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError("Choose at least one format.")
    offered = {entry["name"]: entry for entry in formats_offered(has_video=has_video)}
    for name in names:
        if name not in offered:
            raise InputError(f"There is no format {shown(name)}.")
        if offered[name]["why"]:
            raise InputError(f"{offered[name]['title']} cannot be written: {offered[name]['why']}")
    return list(dict.fromkeys(names))
