"""Report of a check for people (tables in the terminal) and for programs (JSON)."""

from typing import TYPE_CHECKING, Any

from genvis.data.check.check_result import CheckResult
from genvis.data.check.findings import Severity

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def print_report(result: CheckResult, console: "Console") -> None:
    """Print what a file holds, everything that was found, and the verdict."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    summary = result.summary
    console.print(Text.assemble((str(result.path), "bold"), f" · {summary.layout}"))
    numbers = {"frame": summary.frames, "object": summary.tracks, "mask": summary.masks}
    counted = [f"{number:,} {word}{'s' * (number != 1)}" for word, number in numbers.items()]
    videos = f"{summary.videos:,} {summary.video_word}{'s' * (summary.videos != 1)}"
    categories = f"{summary.categories:,} categor{'y' if summary.categories == 1 else 'ies'}"
    console.print(", ".join([videos, *counted, categories]), highlight=False)
    if summary.known_categories is not None:
        console.print(f"The categories are those of {summary.known_categories}.", highlight=False)
    if summary.tracks_of_category:
        listed = ", ".join(f"{name} {count:,}" for name, count in summary.tracks_of_category)
        console.print(f"Objects by category: {escape(listed)}", highlight=False)
    findings = result.findings.sorted()
    if findings:
        table = Table(box=None, pad_edge=False, show_header=True, header_style="dim", padding=(1, 2, 0, 0))
        table.add_column("", no_wrap=True)
        table.add_column("count", justify="right", no_wrap=True)
        table.add_column("what, and where first", overflow="fold", ratio=1)
        for finding in findings:
            kind = finding.kind
            cell = Text(kind.sentence[0].upper() + kind.sentence[1:] + ".", style="bold")
            if kind.remedy:
                cell.append(f" {kind.remedy}", style="not bold")
            for example in finding.examples:
                cell.append(f"\n  {example}", style="not bold dim")
            rest = finding.count - len(finding.examples)
            if rest > 0:
                cell.append(f"\n  and {rest:,} more", style="not bold dim")
            table.add_row(Text(kind.severity.value, style=STYLES[kind.severity]), f"{finding.count:,}", cell)
        console.print(table)
        console.print()
    if not result.images_checked:
        console.print("Image files were not checked: name their folder with --images.", highlight=False)
    _print_verdict(result, console)


def _print_verdict(result: CheckResult, console: "Console") -> None:
    numbers = {severity: result.findings.count(severity) for severity in Severity}
    counted = ", ".join(
        f"[{STYLES[severity]}]{number:,} {severity.value}{'s' * (number != 1)}[/]"
        for severity, number in numbers.items()
        if number
    )
    if numbers[Severity.ERROR]:
        console.print(f"{counted}. Fix the errors before training or scoring.", highlight=False)
    else:
        console.print(f"[bold green]No errors.[/]{f' {counted}.' if counted else ''}", highlight=False)


def to_json(result: CheckResult) -> dict[str, Any]:
    """Return everything that was found as a dictionary ready for JSON."""
    from dataclasses import asdict

    return {
        "file": str(result.path),
        "summary": asdict(result.summary),
        "images_checked": result.images_checked,
        "counts": {severity.value: result.findings.count(severity) for severity in Severity},
        "findings": [
            {
                "kind": finding.kind.name,
                "severity": finding.kind.severity.value,
                "sentence": finding.kind.sentence,
                "remedy": finding.kind.remedy,
                "count": finding.count,
                "examples": finding.examples,
            }
            for finding in result.findings.sorted()
        ],
    }
