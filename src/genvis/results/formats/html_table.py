"""The tracks of a video as an HTML table, for notebooks."""

from html import escape

from genvis.results.types import VideoResult
from genvis.video.drawing.palette import track_color


def html_table(result: VideoResult) -> str:
    """Return one row per track: its colour in the video, id, label, score, and when it was visible."""
    rows = []
    for track in result.tracks:
        red, green, blue = track_color(track.id)
        span = track.span
        when = "" if span is None else f"{result.frames[span[0]].time:.1f}&ndash;{result.frames[span[1]].time:.1f} s"
        cells = (
            f'<span style="color:rgb({red},{green},{blue})">&#9632;</span> {track.id}',
            escape(track.label),
            f"{track.score:.2f}",
            f"{track.frames_seen} of {len(result)}",
            when,
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("id", "label", "score", "visible frames", "time"))
    caption = f"{escape(result.name)}: {len(result.tracks)} objects in {len(result)} frames"
    return f"<table><caption>{caption}</caption><tr>{head}</tr>{''.join(rows)}</table>"
