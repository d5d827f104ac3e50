"""Compute the paper's tables and figures on generated videos: `python -m experiments table4 table5 report`."""

import argparse
import signal
import sys
from pathlib import Path

from experiments import ASSOCIATION_DETECTOR, FIRST_BUNDLED_MODEL
from genvis.errors import GenVISError

TABLES = (
    *("table4", "table5", "table6", "figure3", "limits", "memory"),
    *(
        "online",
        "online-table5",
        "online-table6",
        "online-figure3",
        "online-options",
        "association",
        "association-table5",
        "association-claims",
        "all",
    ),
)
COMMANDS = (*TABLES, "intervals", "identity", "timing", "figure4", "report")


def options_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description=__doc__,
        epilog="Finished runs are skipped, interrupted ones go on where they were: repeat the command.",
    )
    parser.add_argument(
        "what",
        nargs="+",
        choices=COMMANDS,
        help="tables and figures, or all of them; intervals compares rows of the tables online over the videos; "
        "identity measures how well frame queries tell objects apart; timing "
        "measures frames per second and wants a quiet machine; report "
        "writes the page from all results there are",
    )
    parser.add_argument(
        "--detector",
        help="model whose detector is used, frozen; if not given, the first bundled model, or for the attempt "
        "'association' and those like it a detector of their sets",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of each row")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these configurations, such as uvla")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="validation sets of the tables")
    parser.add_argument("--steps", type=int, help="optimizer steps of a run, instead of the usual number")
    parser.add_argument("--learning-rate", type=float, help="instead of the usual one")
    parser.add_argument("--pretraining-steps", type=int, help="instead of the usual number; 0: start from new weights")
    parser.add_argument("--views", type=int, help="training videos, instead of the usual number")
    parser.add_argument("--mixture", help="validation sets whose difficulties the training videos have, joined by +")
    parser.add_argument("--heads", choices=["init", "detector"], help="first weights of the trackers' heads")
    parser.add_argument("--memory", choices=["init", "silent"], help="first weights of the prototype memories")
    parser.add_argument("--attention", choices=["init", "looks"], help="first weights of the trackers' attention")
    parser.add_argument("--disappearance", type=float, help="probability of an object to be taken out of some clips")
    parser.add_argument("--stretch", type=int, help="frames of a training video, instead of the usual number")
    parser.add_argument("--gap", type=float, help="mean distance of a sample's frames; 0: as far as a stretch is long")
    parser.add_argument(
        "--attempt",
        default="",
        metavar="NAME",
        help="of runs with other settings: they share caches and pretraining, their results go to RESULTS-NAME; "
        "'online', 'association', 'association-claims', 'association-long', 'association-looks' and "
        "'association-looks-long' have settings of their own",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="caches, checkpoints and models of one detector; if not given, runs/experiments, or for the attempts with "
        "a detector of their own runs/association",
    )
    parser.add_argument("--results", type=Path, default=Path("experiments/results"), help="one small file per run")
    parser.add_argument("--page", type=Path, default=Path("docs/reproduction.md"), help="the page of the report")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a run")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    return parser


def main(words: list[str] | None = None) -> int:
    """Run the commands in the order in which they are given; return the exit status."""
    options = options_parser().parse_args(words)
    try:
        _run(options)
    except GenVISError as error:
        print(f"experiments: error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("experiments: interrupted; the same command goes on.", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from experiments import comparisons, tables
    from experiments.runner import Workspace, run_jobs
    from experiments.training import ATTEMPTS, Settings

    names = (
        "steps",
        "learning_rate",
        "pretraining_steps",
        "views",
        "mixture",
        "gap",
        "heads",
        "memory",
        "disappearance",
        "attention",
        "stretch",
    )
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = replace(ATTEMPTS.get(options.attempt, Settings()), **changes)
    # An output folder is of one detector.
    is_association = options.attempt.startswith(tables.ASSOCIATION_ATTEMPT)
    detector = options.detector or (ASSOCIATION_DETECTOR if is_association else FIRST_BUNDLED_MODEL)
    output = options.output or Path("runs/association" if is_association else "runs/experiments")
    workspace = Workspace(detector, output, options.results, settings, options.threads, options.attempt)
    for command in options.what:
        if command in TABLES:
            jobs = tables.jobs_of(command, options.sets or tables.sets_of(command), options.rows)
            run_jobs(workspace, jobs, seeds=options.seeds, workers=options.workers)
        elif command == "intervals":
            from experiments.intervals import measure_intervals

            pairs, sets = comparisons.attempt_pairs(options.attempt)
            print(measure_intervals(workspace, pairs, options.sets or sets, seeds=options.seeds))
        elif command == "identity":
            from experiments.identity import measure_identity

            print(measure_identity(workspace, options.sets or tables.ONLINE_SETS))
        elif command == "timing":
            from experiments.timing import time_clip_lengths

            time_clip_lengths(workspace, seed=options.seeds[0])
        elif command == "figure4":
            from experiments.picture import draw_comparison

            print(draw_comparison(workspace, seed=options.seeds[0], folder=options.page.parent / "images"))
        else:
            from experiments.report import write_report

            print(write_report(options.results, options.page))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # As Ctrl-C: workers end, too.
    sys.exit(main())
