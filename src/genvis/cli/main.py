"""The command ``genvis``: a verb is one typed function, whose signature and docstring are its command line.

Only the module of the chosen verb is imported, so that ``genvis --help`` answers at once.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

from cyclopts import App, CycloptsError, Parameter

from genvis import __version__
from genvis.cli.common.console import Console
from genvis.cli.common.exit_status import guarded
from genvis.errors import InputError

VERBS = {
    "demo": ("genvis.cli.demo:demo", "Segment a bundled clip with the bundled model, and show where the outputs are."),
    "predict": ("genvis.cli.predict:predict", "Segment videos, image folders, cameras or streams."),
    "edit": ("genvis.cli.corrections.edit:edit", "Write a corrected result: a result with the edits of a log."),
    "status": (
        "genvis.cli.many_videos.job_verbs:status",
        "Say which videos of a job are finished, failed, missing or being done.",
    ),
    "collect": ("genvis.cli.many_videos.job_verbs:collect", "Merge the results of a job into one file each."),
    "models": ("genvis.cli.models:app", "List, fetch or show pretrained models."),
    "eval": ("genvis.cli.eval:evaluate", "Score results, or a model, against annotations."),
    "train": ("genvis.cli.train:train", "Train a model from a recipe."),
    "app": ("genvis.cli.app:app", "Watch, correct and take along results in the browser."),
    "view": ("genvis.cli.corrections.view:view", "Show a result in Rerun or FiftyOne."),
    "data": ("genvis.cli.data.data_verbs:app", "Get, check, convert, merge, split, prepare or generate data sets."),
    "cvat": ("genvis.cli.corrections.cvat_verbs:app", "Write a result into a task of a CVAT server."),
    "export": ("genvis.cli.model_files.export:export", "Write a model as graphs for ONNX Runtime or OpenVINO."),
    "convert": ("genvis.cli.model_files.convert:convert", "Turn a published checkpoint into a model folder."),
    "doctor": ("genvis.cli.doctor:doctor", "Print versions, devices, codecs and extras, and what is wrong with them."),
    "bench": ("genvis.cli.bench:bench", "Measure speed and memory, part by part."),
}


def command_line() -> App:
    """Return the command line of all verbs."""
    app = App(
        name="genvis",
        help="Video instance segmentation: find, segment and track every object of a video.",
        help_epilogue="`genvis VERB --help` explains a verb and its options.",
        version=__version__,
        console=Console(),
        # A switch is on or not given: no second name for "off".
        default_parameter=Parameter(negative=(), show_default=_shown_default),
    )
    for name, (place, summary) in VERBS.items():
        app.command(place, name=name, help=summary)
    app.register_install_completion_command(help="Install completion of words with the Tab key for this shell.")
    return app


def _shown_default(value: object) -> str | None:
    """Return a default as the help shows it; None where there is nothing to tell, as of switches."""
    if value is None or value is False:
        return None
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``genvis`` with ``arguments`` (default: the process's own) and return the exit status.

    Returns:
        0 for success, 1 for what went wrong on the way, 2 for wrong input or an output that cannot be written, 130 when
        interrupted, 141 when the reader of the output has gone; a verb may return a status of its own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # File names may hold bytes that are no text.
    program = f"genvis {words[0]}" if words and words[0] in VERBS else "genvis"
    return guarded(lambda: run(command_line(), words), program=program)


def run(app: App, words: Sequence[str]) -> int:
    """Run the function that some words ask for.

    Args:
        app: The command line.
        words: As typed.

    Returns:
        The exit status: what the function returns if it is a number, else 0.

    Raises:
        InputError: If a word is no verb, option or value.
    """
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        sentence = " ".join(str(error).split())
        raise InputError(sentence if sentence.endswith((".", "?")) else f"{sentence}.") from None
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
