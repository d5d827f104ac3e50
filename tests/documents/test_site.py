"""The documentation site builds without a warning, takes nothing from a network, and describes every picture."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documents.markdown_commands import ROOT

DRAWINGS = ROOT / "docs" / "drawings"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as the README's command builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


class Parts(HTMLParser):
    """What a page loads, and its pictures."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.without_text: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        source = values.get("src") or (values.get("href") if tag == "link" else None)
        if source:
            self.loaded.append(source)
        if tag == "img" and not (values.get("alt") or "").strip():
            self.without_text.append(str(source))


def test_nothing_comes_from_a_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert [source for source in Parts(page).loaded if "//" in source] == [], page.name
    for sheet in site.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?https?:", sheet.read_text(encoding="utf-8")) == [], sheet.name


def test_every_picture_is_described_in_words(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert Parts(page).without_text == [], page.name


def test_the_search_finds_pages_and_functions_without_a_server(site: Path) -> None:
    text = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"start.html", "faq.html", "reference/command_line.html", "reference/python.html"} <= places
    assert any("genvis.load" in entry["title"] for entry in index["docs"])


def test_every_verb_is_in_the_reference(site: Path) -> None:
    from genvis.cli.main import VERBS

    page = (site / "reference" / "command_line.html").read_text(encoding="utf-8")
    for name in VERBS:
        assert f'id="genvis-{name}"' in page, name


@pytest.mark.slow
def test_the_figures_are_those_that_the_code_draws(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(DRAWINGS)!r}); import figures; from pathlib import Path; "
        "figures.draw(Path())"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    drawn = sorted(tmp_path.glob("*.svg"))
    assert len(drawn) >= 5
    for path in drawn:
        committed = ROOT / "docs" / "images" / path.name
        assert path.read_text(encoding="utf-8") == committed.read_text(encoding="utf-8"), path.name
