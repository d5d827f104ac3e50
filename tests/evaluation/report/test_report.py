"""The report: tables, JSON, a page with pictures, and the command line."""

import base64
import io
import json
import re
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from genvis.cli.main import main
from genvis.errors import InputError
from genvis.evaluation import EvaluationReport, evaluate
from genvis.evaluation.report.html_page import write_html
from genvis.evaluation.report.pictures import draw_video
from genvis.evaluation.report.report_tables import print_report
from genvis.evaluation.results_file import load_results
from tests.evaluation.evaluation_helpers import HEIGHT, WIDTH, annotation, as_results, data_set, detection, load, moving

TOP, BOTTOM = moving(0, 0), moving(0, 14)


def poor_case() -> tuple[dict, list]:  # type: ignore[type-arg]
    document = data_set(
        [annotation(TOP, occlusion=["no_occlusion"] * 10), annotation(BOTTOM, 2), annotation(TOP, 1, 2)], videos=2
    )
    document["categories"][0]["name"] = "<b>cat & dog</b>"
    return document, [detection(TOP), detection(moving(3, 14), 2), detection(BOTTOM, 1, 0.5, 2)]


@pytest.fixture
def report(tmp_path: Path) -> EvaluationReport:
    document, results = poor_case()
    return evaluate(results, load(document, tmp_path), errors=True)


def write_images(document: dict, root: Path, value: int = 90) -> None:  # type: ignore[type-arg]
    for video in document["videos"]:
        for name in video["file_names"]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT), (value, value, value)).save(root / name)


def test_json_there_and_back(report: EvaluationReport, tmp_path: Path) -> None:
    report.write_json(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    assert EvaluationReport.from_json(document) == report
    assert document["scores"]["ap"] == pytest.approx(report.scores.ap)
    with_identity = evaluate(poor_case()[1], load(poor_case()[0], tmp_path), identity=True)
    assert EvaluationReport.from_json(with_identity.to_json()) == with_identity


def test_worst_videos_come_first(report: EvaluationReport) -> None:
    assert [video.video_id for video in report.worst_videos] == [2, 1]
    assert [(video.objects, video.found, video.detections) for video in report.videos] == [(2, 1, 2), (1, 0, 1)]
    assert report.videos[0].ap == pytest.approx(0.5)


@pytest.mark.parametrize("width", [80, 140])
def test_terminal(report: EvaluationReport, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "detections 3 · objects 3 · videos 2" in text
    for word in ("AP50", "AR10", "slight", "localization", "missed", "<b>cat & dog</b>", "v2"):
        assert word in text
    assert ("overlaps an object" in text) == (width > 100)
    assert "–" in text  # no medium objects
    assert max(map(len, text.splitlines())) <= width


def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    document, results = poor_case()
    document["categories"][0]["name"] = "[red]cat[/]"
    document["videos"][0]["file_names"] = [f"[/x]/{frame}.jpg" for frame in range(10)]
    console = Console(file=io.StringIO(), width=140)
    print_report(evaluate(results, load(document, tmp_path), errors=True), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]cat[/]" in text
    assert "[/x]" in text


class _Tags(HTMLParser):
    """Collects what a page refers to, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_without_pictures(report: EvaluationReport, tmp_path: Path) -> None:
    write_html(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert (tags.open, tags.links) == ([], [])
    assert "&lt;b&gt;cat &amp; dog&lt;/b&gt;" in page
    assert "<b>cat" not in page
    assert "fragmentation" in page
    assert not re.search(r"https?://|@import|url\(", page)


def test_pictures_show_what_was_annotated_and_found(tmp_path: Path) -> None:
    document, entries = poor_case()
    annotations = load(document, tmp_path)
    write_images(document, tmp_path)
    results = load_results(entries, annotations)
    pictures = draw_video(annotations, results, 0, tmp_path, frames=2)
    assert [one.frame for one in pictures] == [2, 7]
    truth, found = (
        np.asarray(Image.open(io.BytesIO(one)), np.int64) for one in (pictures[0].truth, pictures[0].detections)
    )
    scale = truth.shape[1] / WIDTH
    assert truth.shape[:2] == (round(HEIGHT * scale), round(WIDTH * scale))
    inside = tuple(int(scale * place) for place in (4, 2 + 4))
    # The object that is found has its colour in both pictures, the poor mask has one of its own.
    assert np.abs(truth[inside] - found[inside]).max() < 40
    assert np.abs(truth[inside] - 90).max() > 40
    poor = tuple(int(scale * place) for place in (18, 2 + 6))
    assert np.abs(truth[poor] - found[poor]).max() > 40


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, entries = poor_case()
    load(document, tmp_path)
    write_images(document, tmp_path / "images")
    (tmp_path / "results.json").write_text(json.dumps(entries))
    words = [str(tmp_path / "results.json"), "--annotations", str(tmp_path / "annotations.json")]
    more = ["--images", str(tmp_path / "images"), "-o", str(tmp_path / "report"), "--identity"]
    assert main(["eval", *words, *more, "--submission", str(tmp_path / "submission.zip")]) == 0
    assert "HOTA" in capsys.readouterr().out
    page = (tmp_path / "report" / "report.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert len(tags.links) == 2 * 2 * 3  # both videos, three frames, annotated and detected
    for link in tags.links:
        assert link.startswith("data:image/jpeg;base64,")
        Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))).verify()
    assert json.loads((tmp_path / "report" / "report.json").read_text())["detection_count"] == 3
    assert zipfile.is_zipfile(tmp_path / "submission.zip")


def test_perfect_results_have_no_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = data_set([annotation(TOP)])
    load(document, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(as_results(document)))
    words = [str(tmp_path / "results.json"), "--annotations", str(tmp_path / "annotations.json")]
    assert main(["eval", *words]) == 0
    output = capsys.readouterr().out
    assert "100.0" in output
    assert "No errors" in output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "--annotations"),
        (["--annotations", "annotations.json", "--images", "images"], "-o"),
        (["--annotations", "annotations.json", "--images", "nowhere", "-o", "report"], "does not exist"),
        (["--annotations", "annotations.json", "--worst", "-1"], "--worst"),
        (["--annotations", "results.json"], "results.json"),
        (["--annotations", "none.json"], "none.json"),
    ],
)
def test_wrong_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    document, entries = poor_case()
    load(document, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(entries))
    assert main(["eval", "results.json", *more]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def scored(tmp_path: Path, *more: str) -> int:
    document, entries = poor_case()
    load(document, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(entries))
    return main(["eval", str(tmp_path / "results.json"), "--annotations", str(tmp_path / "annotations.json"), *more])


@pytest.mark.parametrize("option", ["-o", "--submission"])
def test_an_output_that_cannot_be_written_is_said_before_the_work(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert scored(tmp_path, option, str(tmp_path / "file" / "below")) == 2
    said = capsys.readouterr()
    assert "Cannot write" in said.err
    assert said.out == ""


def test_hostile_report_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in the place of a file is one sentence; links are replaced, and what they point to stays."""
    report = tmp_path / "report"
    (report / "report.html").mkdir(parents=True)
    assert scored(tmp_path, "-o", str(report)) == 2
    assert "report.html': a folder of that name is in the way" in capsys.readouterr().err
    (report / "report.html").rmdir()
    (tmp_path / "precious").write_text("mine")
    (report / "report.html").symlink_to(tmp_path / "precious")
    assert scored(tmp_path, "-o", str(report)) == 0
    assert (tmp_path / "precious").read_text() == "mine"
    assert "<html" in (report / "report.html").read_text()


def test_a_missing_library_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    assert scored(tmp_path, "--identity") == 2
    said = capsys.readouterr()
    assert "pip install 'genvis[eval]'" in said.err
    assert said.out == ""


def test_missing_image_is_named(tmp_path: Path) -> None:
    document, entries = poor_case()
    annotations = load(document, tmp_path)
    write_images(document, tmp_path)
    (tmp_path / "v1" / "005.jpg").unlink()
    with pytest.raises(InputError, match=r"005\.jpg"):
        draw_video(annotations, load_results(entries, annotations), 0, tmp_path, frames=10)
