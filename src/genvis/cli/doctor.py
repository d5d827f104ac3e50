"""``genvis doctor``: this installation and this machine, and what is wrong with them."""

from typing import TYPE_CHECKING

from genvis.cli.common.option_types import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from genvis.cli.common.diagnosis import Section


def doctor(*, json: AsJson = False) -> int:
    """Print versions, devices, codecs, extras and the cache, and say what is wrong; for yourself and for bug reports.

    Nothing is fetched or written. The exit status is 1 if something keeps genvis from working.

    Args:
        json: Print JSON.
    """
    from rich.text import Text

    from genvis.cli.common.console import Console, print_json
    from genvis.cli.common.diagnosis import diagnose

    diagnosis = diagnose()
    status = 1 if any(problem.is_error for problem in diagnosis.problems) else 0
    if json:
        print_json(diagnosis.to_json())
        return status
    console = Console(highlight=False)
    for section in diagnosis.sections:
        console.print(Text(section.title, style="bold"))
        console.print(_facts(section))
    if not diagnosis.problems:
        console.print("[bold green]Nothing is wrong.[/]")
    for problem in diagnosis.problems:
        word, style = ("error", "bold red") if problem.is_error else ("warning", "yellow")
        console.print(Text.assemble((f"{word:<8} ", style), problem.sentence), soft_wrap=True)
    return status


def _facts(section: "Section") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in section.facts.items():
        table.add_row(f"  {name}", Text(value))
    return table
