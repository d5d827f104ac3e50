"""Formats that the page offers for a corrected result, in words."""

from importlib.util import find_spec
from typing import Any

from genvis.results.output_names import FILE_NAMES, PICTURES, OutputName

_WORDS: dict[OutputName, tuple[str, str]] = {
    "result": ("genvis", "Everything, for `VideoResult.load` and this page."),
    "youtube_vis": ("YouTube-VIS", "Results file of YouTube-VIS and OVIS, with scores."),
    "mots": ("MOTS", "Text of the MOTS challenge: frame, id, class, mask."),
    "pngs": ("DAVIS", "A PNG for each frame, with the id at every pixel."),
    "csv": ("CSV", "A row per object and frame: time, id, class, score, box, area, centroid."),
    "parquet": ("Parquet", "The same table for pandas, DuckDB and others."),
    "video": ("Annotated video", "MP4 with masks and names drawn on it."),
    "contact_sheet": ("Contact sheet", "A picture of frames through the video."),
}


def formats_offered(*, has_video: bool) -> list[dict[str, Any]]:
    """Return the formats, with what keeps one from being written.

    Args:
        has_video: Whether the video is there, to draw on.
    """
    offered = []
    for name, (title, words) in _WORDS.items():
        why = ""
        if name in PICTURES and not has_video:
            why = "The video is not in the folder."
        if name == "parquet" and any(find_spec(library) is None for library in ("pandas", "pyarrow")):
            why = "It needs `pip install 'genvis[table]'`."
        file = FILE_NAMES[name] + (".zip" if name == "pngs" else "")
        offered.append({"name": name, "title": title, "file": file, "words": words, "is_possible": not why, "why": why})
    return offered
