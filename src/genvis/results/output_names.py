"""Names of the outputs of a video, and of their files."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, get_args

from genvis.errors import InputError

OutputName = Literal["result", "youtube_vis", "mots", "pngs", "video", "contact_sheet"]
"""``result`` (everything, for `VideoResult.load`), ``youtube_vis`` (results file of YouTube-VIS and OVIS), ``mots``
(MOTS text), ``pngs`` (a label map per frame), ``video`` (annotated mp4), ``contact_sheet`` (a picture)."""

OUTPUT_NAMES: tuple[OutputName, ...] = get_args(OutputName)
DEFAULT_OUTPUTS: tuple[OutputName, ...] = ("youtube_vis", "video", "contact_sheet")
PICTURES: tuple[OutputName, ...] = ("video", "contact_sheet")
FILE_NAMES: dict[OutputName, str] = {
    "result": "result.json",
    "youtube_vis": "youtube_vis.json",
    "mots": "mots.txt",
    "pngs": "masks",
    "video": "annotated.mp4",
    "contact_sheet": "contact_sheet.png",
}


def output_names(words: Sequence[str] | None) -> tuple[OutputName, ...]:
    """Return the outputs that were asked for; None asks for the default ones.

    Raises:
        InputError: If there is no such output.
    """
    if words is None:
        return DEFAULT_OUTPUTS
    known: dict[str, OutputName] = {name: name for name in OUTPUT_NAMES}
    for word in words:
        if word not in known:
            close = get_close_matches(word, known, n=1)
            meant = f" Did you mean '{close[0]}'?" if close else ""
            raise InputError(f"There is no output '{word}'.{meant} There are {', '.join(known)}.")
    return tuple(known[word] for word in words)
