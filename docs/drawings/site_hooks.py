"""Hooks of the site: pages from elsewhere in the repository, the command line, and Markdown as GitHub reads it."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

# Pages of the site that are files outside of docs/.
ELSEWHERE = {
    "benchmarks.md": "benchmarks/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "code_of_conduct.md": "CODE_OF_CONDUCT.md",
}
# Links to files that are no page.
INSTEAD = {"docker": "gpu.md", "LICENSE": "https://www.apache.org/licenses/LICENSE-2.0"}
SOURCES = "source"
SHIM = "https://unpkg.com/iframe-worker/shim"
NOTEBOOKS = {f"notebooks/{path.stem}.md": path for path in sorted((ROOT / "notebooks").glob("*.py"))}
COMMAND_LINE = "reference/command_line.md"
COMMAND_LINE_PLACE = re.compile("<!-- .* -->")
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^```.*?^```\s*?$", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the navigation does not name, because they are new, at the end of the guides."""
    named = str(config.nav)
    guides = next(entry["Guides"] for entry in config.nav or [] if isinstance(entry, dict) and "Guides" in entry)
    for path in sorted(Path(config.docs_dir).glob("*.md")):
        if f"'{path.name}'" not in named:
            guides.append(path.name)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and the notebooks."""
    for name, place in ELSEWHERE.items():
        files.append(File.generated(config, name, content=(ROOT / place).read_text(encoding="utf-8")))
    for place in linked_sources(Path(config.docs_dir)):
        files.append(File.generated(config, f"{SOURCES}/{place}", content=(ROOT / place).read_bytes()))
    for name, path in NOTEBOOKS.items():
        files.append(File.generated(config, name, content=notebook_page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to pages of the site, and read lists as GitHub does."""
    name = page.file.src_uri
    if name in NOTEBOOKS:
        return markdown
    if name == COMMAND_LINE:
        markdown = COMMAND_LINE_PLACE.sub(lambda _: command_line_help(), markdown)
    source = PurePosixPath(ELSEWHERE.get(name, f"docs/{name}"))
    return outside_of_fences(markdown, lambda text: lists_apart(with_links(text, source, PurePosixPath(name))))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Take the script that makes the search work without a server from the site itself, instead of from a network."""
    up = "../" * (len(PurePosixPath(page.file.dest_uri).parts) - 1)
    return output.replace(SHIM, f"{up}javascripts/iframe-worker-shim.js")


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """Do the same for pages that are no document, such as that of missing pages."""
    return output.replace(SHIM, "/javascripts/iframe-worker-shim.js")


def outside_of_fences(markdown: str, change: Any) -> str:
    """Change the text between fenced blocks."""
    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [change(markdown[end : fence.start()]), fence[0], "\n"]  # A list may follow at once.
        end = fence.end()
    return "".join([*parts, change(markdown[end:])])


def with_links(text: str, source: PurePosixPath, page: PurePosixPath) -> str:
    """Change links between files of the repository into links between pages of the site.

    Args:
        text: Markdown.
        source: The file in the repository that it is of.
        page: Its page.
    """
    pages = {place: name for name, place in ELSEWHERE.items()}

    def changed(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        place = _normal(source.parent / target)
        name = f"{SOURCES}/{place}" if is_source(place) else pages.get(place, place.removeprefix("docs/"))
        if place in INSTEAD:
            return match[0].replace(target, INSTEAD[place])
        up = "../" * (len(page.parts) - 1)
        return f"{match[1]}{up}{name}{match[3]}"

    return _LINK.sub(changed, text)


def lists_apart(text: str) -> str:
    """Put a blank line between a paragraph and the list behind it, where Python's Markdown needs one."""
    lines = text.split("\n")
    result: list[str] = []
    for line in lines:
        before = result[-1] if result else ""
        is_item = re.match(r"(-|\d+\.) ", line) is not None
        continues = before.startswith((" ", "- ", "|")) or re.match(r"\d+\. ", before) is not None
        if is_item and before.strip() and not continues:
            result.append("")
        result.append(line)
    return "\n".join(result)


def linked_sources(docs: Path) -> set[str]:
    """Return the files of the repository, outside of docs/, that pages lead to: examples, for instance."""
    pages = [*docs.glob("**/*.md"), *(ROOT / place for place in ELSEWHERE.values())]
    places = {
        _normal(PurePosixPath(page.parent.relative_to(ROOT).as_posix()) / match[2])
        for page in pages
        for match in _LINK.finditer(page.read_text(encoding="utf-8"))
        if "://" not in match[2] and not match[2].startswith("mailto:")
    }
    return {place for place in places if is_source(place)}


def is_source(place: str) -> bool:
    """Whether a place in the repository is a file that is neither a page nor below docs/."""
    return (
        not place.startswith("docs/")
        and place not in ELSEWHERE.values()
        and place not in INSTEAD
        and (ROOT / place).is_file()
    )


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown: its texts, and its code in fences."""
    parts = []
    for cell in re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        kind, _, body = cell.partition("\n")
        text = body.strip()
        # What is a comment in Python: the texts, and commands of the shell.
        bare = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        if "[markdown]" in kind:
            parts.append(bare)
        else:
            parts.append(f"```\n{bare}\n```" if text.startswith("# !") else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def command_line_help() -> str:
    """Return the reference of all verbs, from their own help."""
    from cyclopts.docs.markdown import generate_markdown_docs

    from genvis.cli.main import command_line

    text = generate_markdown_docs(command_line(), recursive=True, heading_level=1, generate_toc=False)
    # An option that is a command has no heading of its own.
    text = re.sub(r"\[(`--[\w-]+`)\]\(#[\w-]+\)", r"\1", text)
    return text.removeprefix("# genvis\n")


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
