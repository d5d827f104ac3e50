"""Names of the outputs of a video, and of their files."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Literal, get_args

from genvis.errors import InputError, MissingExtraError

OutputName = Literal["result", "youtube_vis", "mots", "pngs", "csv", "parquet", "video", "contact_sheet"]
"""``result`` (everything, for `VideoResult.load`), ``youtube_vis`` (results file of YouTube-VIS and OVIS), ``mots``
(MOTS text), ``pngs`` (a label map per frame), ``csv`` and ``parquet`` (a row per object and frame), ``video``
(annotated mp4), ``contact_sheet`` (a picture)."""

OUTPUT_NAMES: tuple[OutputName, ...] = get_args(OutputName)
DEFAULT_OUTPUTS: tuple[OutputName, ...] = ("youtube_vis", "video", "contact_sheet")
PICTURES: tuple[OutputName, ...] = ("video", "contact_sheet")
FILE_NAMES: dict[OutputName, str] = {
    "result": "result.json",
    "youtube_vis": "youtube_vis.json",
    "mots": "mots.txt",
    "pngs": "masks",
    "csv": "objects.csv",
    "parquet": "objects.parquet",
    "video": "annotated.mp4",
    "contact_sheet": "contact_sheet.png",
}


def output_names(words: Sequence[str] | None) -> tuple[OutputName, ...]:
    """Return the outputs that were asked for; None asks for the default ones.

    Raises:
        InputError: If there is no such output, or a library that it needs is not installed.
    """
    if words is None:
        return DEFAULT_OUTPUTS
    known: dict[str, OutputName] = {name: name for name in OUTPUT_NAMES}
    for word in words:
        if word not in known:
            close = get_close_matches(word, known, n=1)
            meant = f" Did you mean '{close[0]}'?" if close else ""
            raise InputError(f"There is no output '{word}'.{meant} There are {', '.join(known)}.")
        if word == "parquet":
            for library in ("pandas", "pyarrow"):
                if find_spec(library) is None:
                    raise MissingExtraError(library, "table")
    return tuple(known[word] for word in words)
