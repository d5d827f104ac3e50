"""The console that verbs print on."""

import json
from typing import Any, NoReturn

from rich import console


class Console(console.Console):
    """Console of rich that leaves it to `guarded` to end a command whose reader has gone."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise instead of ending the process with status 1."""
        raise BrokenPipeError


def print_json(content: Any, *, as_line: bool = False) -> None:
    """Print values as JSON on the standard output.

    Args:
        content: Plain values.
        as_line: On one line, for outputs that are made one after the other (JSON Lines).
    """
    print(json.dumps(content, indent=None if as_line else 1, ensure_ascii=False, allow_nan=False), flush=as_line)
