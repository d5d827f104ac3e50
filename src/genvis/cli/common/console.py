"""The console that verbs print on."""

from typing import NoReturn

from rich import console


class Console(console.Console):
    """Console of rich that leaves it to `guarded` to end a command whose reader has gone."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise instead of ending the process with status 1."""
        raise BrokenPipeError
