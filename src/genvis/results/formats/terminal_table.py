"""The tracks of a video as a table for the terminal."""

from rich.table import Table
from rich.text import Text

from genvis.results.types import VideoResult
from genvis.video.drawing.palette import track_color


def track_table(result: VideoResult) -> Table:
    """Return one row per track: its colour in the video, id, label, score, in how many frames and when it was seen."""
    # Names are text, not markup: files may be called "clip [1].mp4".
    title = Text(f"{result.name}: {len(result.tracks)} objects in {len(result)} frames", style="table.title")
    table = Table(title=title, title_justify="left")
    table.add_column("id", justify="right")
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("frames seen", justify="right")
    table.add_column("first–last frame")
    table.add_column("time", justify="right")
    for track in result.tracks:
        red, green, blue = track_color(track.id)
        number = Text.assemble(("■ ", f"rgb({red},{green},{blue})"), str(track.id))
        span = track.span
        if span is None:
            table.add_row(number, Text(track.label), f"{track.score:.2f}", "0", "never", "")
            continue
        first, last = (result.frames[position] for position in span)
        table.add_row(
            number,
            Text(track.label),
            f"{track.score:.2f}",
            f"{track.frames_seen} of {len(result)}",
            f"{first.index}–{last.index}",
            f"{first.time:.1f}–{last.time:.1f} s",
        )
    return table
