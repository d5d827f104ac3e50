"""The command ``genvis``: picks the verb and runs its typed function.

Each verb is one function (or a dictionary of functions) whose signature and docstring are its command line.
Only the module of the chosen verb is imported, so that ``genvis --help`` answers at once.
"""

import sys
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from typing import NamedTuple

from genvis import __version__
from genvis.cli.exit_status import guarded
from genvis.errors import InputError


class Verb(NamedTuple):
    """Where a verb lives and what it does."""

    module: str
    summary: str


VERBS = {
    "demo": Verb("genvis.cli.demo", "segment a bundled clip with the bundled model and show where the outputs are"),
    "predict": Verb("genvis.cli.predict", "segment videos, image folders, cameras or streams"),
    "eval": Verb("genvis.cli.eval", "score results, or a model, against annotations"),
    "train": Verb("genvis.cli.train", "train a model from a recipe"),
    "data": Verb("genvis.cli.data", "check, convert, split or generate data sets"),
    "models": Verb("genvis.cli.models", "list, fetch or show pretrained models"),
    "convert": Verb("genvis.cli.convert", "turn a published checkpoint into a model folder"),
    "bench": Verb("genvis.cli.bench", "measure speed and memory, part by part"),
}


def usage() -> str:
    """Return the text of ``genvis --help``."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: genvis VERB [options]",
            "",
            "Video instance segmentation: find, segment and track every object of a video.",
            "",
            *lines,
            "",
            "`genvis VERB --help` explains a verb and its options; `genvis --version` prints the version.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run ``genvis`` with ``arguments`` (default: the process's own) and return the exit status.

    Returns:
        0 for success, 1 for what went wrong on the way, 2 for wrong input or an output that cannot be written, 130 when
        interrupted, 141 when the reader of the output has gone; a verb may return a status of its own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # File names may hold bytes that are no text.
    program = f"genvis {words[0]}" if words and words[0] in VERBS else "genvis"
    return guarded(partial(_run, words), program=program)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    name, rest = words[0], words[1:]
    if name == "--version":
        print(f"genvis {__version__}")
        return 0
    if name not in VERBS:
        raise InputError(f"there is no verb '{name}'; choose from {', '.join(VERBS)}.")
    from genvis.cli.arguments import run_verb

    module = import_module(VERBS[name].module)
    if hasattr(module, "run"):  # A verb with a language of its own: recipes and what replaces their options.
        return int(module.run(rest))
    return run_verb(module.COMPONENTS, rest, prog=f"genvis {name}")


if __name__ == "__main__":
    sys.exit(main())
