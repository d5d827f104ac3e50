"""The command ``genvis``: picks the verb and runs its typed function.

Each verb is one function (or a dictionary of functions) whose signature and docstring are its command line.
Only the module of the chosen verb is imported, so that ``genvis --help`` answers at once.
"""

import sys
from importlib import import_module
from typing import NamedTuple

from genvis import __version__
from genvis.errors import GenVISError


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
        0 for success, 2 for wrong input, 130 when interrupted; a verb may return a status of its own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] == "--version":
        print(f"genvis {__version__}")
        return 0
    name, rest = words[0], words[1:]
    if name not in VERBS:
        print(f"genvis: error: there is no verb '{name}'; choose from {', '.join(VERBS)}.", file=sys.stderr)
        return 2
    try:
        return _run(name, rest)
    except GenVISError as error:
        print(f"genvis {name}: error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"genvis {name}: interrupted.", file=sys.stderr)
        return 130


def _run(name: str, words: list[str]) -> int:
    from genvis.cli.arguments import run_verb

    module = import_module(VERBS[name].module)
    if hasattr(module, "run"):  # A verb with a language of its own: recipes and what replaces their options.
        return int(module.run(words))
    return run_verb(module.COMPONENTS, words, prog=f"genvis {name}")


if __name__ == "__main__":
    sys.exit(main())
