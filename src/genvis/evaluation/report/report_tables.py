"""Report of an evaluation as tables for the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genvis.evaluation.evaluation_report import AveragePrecision, ErrorCost, EvaluationReport, IdentityScores

_BAR = 12
_WORST = 5
_LOST = "dark_orange"
# Terminals of at least so many columns have room for what the errors mean.
_WIDE = 130


def percent(value: float | None) -> str:
    """Return a score from 0 to 1 as the field writes it, in hundredths."""
    return "–" if value is None else f"{100 * value:.1f}"


def print_report(report: EvaluationReport, console: Console) -> None:
    """Print the scores, the categories, the costs of errors and the worst videos."""
    console.print(
        f"detections {report.detection_count:,} · objects {report.object_count:,} · videos {report.video_count:,}",
        highlight=False,
    )
    console.print(_scores(report.scores))
    console.print(_categories(report))
    made = [error for error in report.errors if error.count or error.cost > 0]
    if made:
        console.print(_errors(made, meanings=console.width >= _WIDE))
    elif report.errors:
        console.print("No errors at any IoU threshold", style="bold")
    if report.identity is not None:
        console.print(_tracking(report.identity))
    if len(report.videos) > 1:
        console.print(_worst_videos(report))


def headline(scores: AveragePrecision) -> list[tuple[str, float | None]]:
    """Return the scores of the whole data set with their names, in the order in which papers print them."""
    entries = [("AP", scores.ap), ("AP50", scores.ap50), ("AP75", scores.ap75)]
    entries += [("AR1", scores.ar1), ("AR10", scores.ar10)]
    entries += [("small", scores.ap_small), ("medium", scores.ap_medium), ("large", scores.ap_large)]
    if scores.has_occlusion:
        entries += [
            ("slight", scores.ap_slightly_occluded),
            ("moderate", scores.ap_moderately_occluded),
            ("heavy", scores.ap_heavily_occluded),
        ]
    return entries


def _scores(scores: AveragePrecision) -> Table:
    table = _table("Average precision; recall; AP by size" + ("; AP by occlusion" if scores.has_occlusion else ""))
    entries = headline(scores)
    for name, _ in entries:
        table.add_column(name, justify="right")
    table.add_row(*(Text(percent(value), style="bold" if name == "AP" else "") for name, value in entries))
    return table


def _categories(report: EvaluationReport) -> Table:
    table = _table("Categories")
    table.add_column("category", overflow="fold")
    for name in ("objects", "detections", "AP", "AP50", "AP75", "AR10"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for category in report.categories:
        if category.objects or category.detections:
            table.add_row(
                Text(category.name),
                str(category.objects),
                str(category.detections),
                *map(percent, (category.ap, category.ap50, category.ap75, category.ar10)),
                _bar(category.ap),
            )
    return table


def _errors(errors: Sequence[ErrorCost], *, meanings: bool) -> Table:
    table = _table("What costs most")
    table.add_column("error")
    table.add_column("AP lost", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("count at IoU 0.5", justify="right")
    if meanings:
        table.add_column("meaning", style="dim")
    most = max(error.cost for error in errors)
    for error in errors:
        bar = _bar(error.cost / most if most > 0 else 0.0, _LOST)
        meaning = [error.meaning] if meanings else []
        table.add_row(error.kind, percent(error.cost), bar, str(error.count), *meaning)
    return table


def _tracking(identity: IdentityScores) -> Table:
    table = _table(f"Tracking, of detections scored {identity.score_threshold:g} or more")
    entries = tracking_entries(identity)
    for name, _ in entries:
        table.add_column(name, justify="right")
    table.add_row(*(value for _, value in entries))
    return table


def tracking_entries(identity: IdentityScores) -> list[tuple[str, str]]:
    """Return the tracking metrics with their names."""
    return [
        ("HOTA", percent(identity.hota)),
        ("DetA", percent(identity.deta)),
        ("AssA", percent(identity.assa)),
        ("IDF1", percent(identity.idf1)),
        ("id switches", f"{identity.id_switches:,}"),
        ("fragmentations", f"{identity.fragmentations:,}"),
        ("HOTA, mean of categories", percent(identity.hota_per_class)),
    ]


def _worst_videos(report: EvaluationReport) -> Table:
    table = _table("Worst videos")
    table.add_column("video", overflow="fold")
    table.add_column("id", justify="right")
    for name in ("AP", "objects", "found at IoU 0.5", "detections"):
        table.add_column(name, justify="right")
    for video in report.worst_videos[:_WORST]:
        numbers = (video.objects, video.found, video.detections)
        table.add_row(Text(video.name), str(video.video_id), percent(video.ap), *map(str, numbers))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))


def _bar(share: float | None, style: str = "green") -> Text:
    return Text("━" * round(_BAR * (share or 0.0)), style=style)
