"""Every relative link and image of the documents leads to a file of the project, and every anchor to a heading."""

import re
from pathlib import Path

import pytest

from tests.documents.markdown_commands import FENCE, ROOT

DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"))
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    """Return the links of a page that lead nowhere; addresses of the web are not looked at."""
    broken = []
    for link in LINK.findall(FENCE.sub("", document.read_text("utf-8"))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = document.parent / place if place else document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_pictures_exist(document: str) -> None:
    assert broken_links(ROOT / document) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading: with 2 signs\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#a-heading-with-2-signs) [b](gone.md) ![c](gone.png) [d](other.md#gone) [e](#none)\n")
    assert broken_links(page) == ["gone.md", "gone.png", "other.md#gone", "#none"]
