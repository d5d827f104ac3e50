"""Report of an evaluation as one HTML page that needs no other file."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from genvis import __version__
from genvis.evaluation.evaluation_report import EvaluationReport
from genvis.evaluation.report.pictures import FramePictures
from genvis.evaluation.report.report_tables import headline, percent, tracking_entries
from genvis.files import write_text

TEMPLATE = "report_page.html.j2"

_WORST = 10


def write_html(
    report: EvaluationReport, path: str | Path, pictures: Mapping[int, Sequence[FramePictures]] | None = None
) -> None:
    """Write the page; it appears when it is complete.

    Args:
        report: Of an evaluation.
        path: The file to write.
        pictures: Pictures of some videos by their ids.

    Raises:
        OutputError: If the file cannot be written.
    """
    categories = sorted(report.categories, key=lambda category: 1.0 if category.ap is None else -category.ap)
    page = _environment().get_template(TEMPLATE)
    text = page.render(
        report=report,
        name=Path(report.results).name,
        annotations=Path(report.annotations).name,
        version=__version__,
        headline=headline(report.scores),
        highest_cost=max([1e-9, *(error.cost for error in report.errors)]),
        categories=[category for category in categories if category.objects or category.detections],
        without=[one.name for one in report.categories if not one.objects and not one.detections],
        tracking=tracking_entries(report.identity) if report.identity is not None else [],
        worst=report.worst_videos[:_WORST],
        pictures=pictures or {},
    )
    write_text(path, text)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["thousands"] = "{:,}".format
    environment.filters["base64"] = lambda content: b64encode(content).decode("ascii")
    return environment
