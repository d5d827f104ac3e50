"""The report of an evaluation as one HTML page that needs no other file."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from genvis import __version__
from genvis.evaluation.evaluation_report import ErrorCost, EvaluationReport, IdentityScores, VideoScore
from genvis.evaluation.report.pictures import FramePictures
from genvis.evaluation.report.report_tables import headline, identity_entries, percent
from genvis.files import write_text

_WORST = 10

_MEANINGS = {
    "AP": "average precision over the classes and over IoU thresholds 0.50, 0.55, ... 0.95; the IoU of two tracks is "
    "the sum of the intersections over the sum of the unions of all frames",
    "AP50, AP75": "at the IoU thresholds 0.5 and 0.75 alone",
    "AR1, AR10": "share of objects found by the best, or the ten best, detections of a class in a video",
    "small, medium, large": "objects of up to 128×128, up to 256×256, and more pixels, averaged over their frames",
    "slight, moderate, heavy": "objects by how occluded they are: a frame counts 0, 0.25 or 0.75 at OVIS' three "
    "levels, and the mean over the frames is up to 0.25, up to 0.5, or more",
}


def write_html(
    report: EvaluationReport, path: str | Path, pictures: Mapping[int, Sequence[FramePictures]] | None = None
) -> None:
    """Write the page; it appears when it is complete.

    Args:
        report: What an evaluation found.
        path: The file to write.
        pictures: Pictures of some videos by their ids.

    Raises:
        InputError: If the file cannot be written.
    """
    style = files("genvis.evaluation.report").joinpath("report_page.css").read_text(encoding="utf-8")
    parts = [
        _header(report),
        _tiles(report),
        _errors(report.errors) if report.errors else "",
        _categories(report),
        _identity(report.identity) if report.identity is not None else "",
        _videos(report, pictures or {}),
        _meanings(),
    ]
    title = f"Evaluation of {escape(Path(report.results).name)}"
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{style}</style>\n</head>\n'
        f"<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n",
    )


def _header(report: EvaluationReport) -> str:
    return (
        f"<h1>Evaluation of {escape(Path(report.results).name)}</h1>\n"
        f'<p class="faint">against {escape(Path(report.annotations).name)} · detections {report.detection_count:,} · '
        f"objects {report.object_count:,} · videos {report.video_count:,} · genvis {__version__}</p>\n"
    )


def _tiles(report: EvaluationReport) -> str:
    tiles = [
        f'<div class="tile{" main" if name == "AP" else ""}">'
        f"<span>{name if name.startswith('A') else f'AP {name}'}</span><b>{percent(value)}</b></div>"
        for name, value in headline(report.scores)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>\n'


def _errors(errors: Sequence[ErrorCost]) -> str:
    most = max(1e-9, *(error.cost for error in errors))
    rows = [
        _row(
            _cell(f'{escape(error.kind)}<div class="faint small">{escape(error.meaning)}</div>'),
            _number(f"−{percent(error.cost)}" if error.cost > 0.0005 else "0.0"),
            _cell(_bar(error.cost / most, "lost"), "wide"),
            _number(f"{error.count:,}"),
        )
        for error in errors
    ]
    heads = (("error", ""), ("AP lost", "number"), ("", "wide"), ("count at IoU 0.5", "number"))
    return _section(
        "What costs most",
        "AP that would be gained if this kind of error were not made, one kind at a time; the numbers do not add up.",
        _table(heads, rows),
    )


def _categories(report: EvaluationReport) -> str:
    rows = [
        _row(
            _cell(escape(category.name), "name"),
            _number(f"{category.objects:,}"),
            _number(f"{category.detections:,}"),
            _number(f"<b>{percent(category.ap)}</b>"),
            _cell(_bar(category.ap), "wide"),
            *(_number(percent(value)) for value in (category.ap50, category.ap75, category.ar10)),
        )
        for category in sorted(report.categories, key=lambda category: 1.0 if category.ap is None else -category.ap)
        if category.objects or category.detections
    ]
    numbers = [(name, "number") for name in ("AP50", "AP75", "AR10")]
    heads = [("class", ""), ("objects", "number"), ("detections", "number"), ("AP", "number"), ("", "wide"), *numbers]
    without = [category.name for category in report.categories if not category.objects and not category.detections]
    note = f"Neither objects nor detections: {escape(', '.join(without))}." if without else ""
    return _section("Classes", note, _table(heads, rows))


def _identity(identity: IdentityScores) -> str:
    entries = identity_entries(identity)
    row = _row(*(_number(value) for _, value in entries))
    note = f"Tracking metrics of the detections that score {identity.score_threshold:g} or more."
    return _section("Identities", note, _table([(name, "number") for name, _ in entries], [row]))


def _videos(report: EvaluationReport, pictures: Mapping[int, Sequence[FramePictures]]) -> str:
    worst = report.worst_videos[:_WORST]
    if not worst:
        return ""
    rows = [
        _row(
            _cell(escape(video.name), "name"),
            _number(str(video.video_id)),
            _number(f"<b>{percent(video.ap)}</b>"),
            _cell(_bar(video.ap), "wide"),
            *(_number(f"{value:,}") for value in (video.objects, video.found, video.detections)),
        )
        for video in worst
    ]
    names = ("objects", "found at IoU 0.5", "detections")
    heads = [("video", ""), ("id", "number"), ("AP", "number"), ("", "wide"), *((name, "number") for name in names)]
    drawn = "".join(_pictures(video, pictures[video.video_id]) for video in worst if video.video_id in pictures)
    note = "AP over each video alone."
    if drawn:
        note += " In the pictures, a detection that finds an object at an IoU of 0.5 has the object's colour."
    return _section("Worst videos", note, _table(heads, rows) + drawn)


def _pictures(video: VideoScore, pictures: Sequence[FramePictures]) -> str:
    pairs = [
        f'<div class="pair">{_figure(one.truth, f"frame {one.frame}: annotated")}'
        f"{_figure(one.detections, f'frame {one.frame}: detected')}</div>\n"
        for one in pictures
    ]
    title = f"{escape(video.name)} · AP {percent(video.ap)} · {video.found} of {video.objects} objects found"
    return f'<div class="video"><h3>{title}</h3>\n{"".join(pairs)}</div>\n'


def _figure(jpeg: bytes, caption: str) -> str:
    source = f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"
    return f'<figure><img src="{source}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _meanings() -> str:
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in _MEANINGS.items())
    return _section("What the numbers mean", "All scores are in hundredths.", f"<dl>{entries}</dl>")


def _section(title: str, note: str, content: str) -> str:
    words = f'<p class="faint small">{note}</p>\n' if note else ""
    return f"<section>\n<h2>{title}</h2>\n{words}{content}\n</section>\n"


def _table(heads: Iterable[tuple[str, str]], rows: Sequence[str]) -> str:
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in heads)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{"".join(rows)}</table></div>\n'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(cells)}</tr>\n"


def _cell(content: str, kind: str = "") -> str:
    return f'<td class="{kind}">{content}</td>'


def _number(content: str) -> str:
    return _cell(content, "number")


def _bar(share: float | None, kind: str = "") -> str:
    return f'<div class="bar {kind}"><i style="width:{100 * max(share or 0.0, 0.0):.1f}%"></i></div>'
