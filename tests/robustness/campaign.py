"""Run campaigns: ``python -m tests.robustness.campaign NAME ... --trials N --seed S``.

``NAME:N`` gives a campaign a number of trials of its own. The exit status is 1 if a trial failed. One that failed is
repeated alone with ``--only INDEX --keep FOLDER``, which leaves its files in FOLDER. Campaigns give way to whatever
else runs (``nice``), and what makes them slow is not taken for a hang (`trials.HangWatch`).
"""

import argparse
import gc
import json
import os
import pkgutil
import signal
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.robustness.verdicts import Campaign, Summary

CAMPAIGNS = {
    "videos": "tests.robustness.campaigns.damaged_videos:DamagedVideos",
    "images": "tests.robustness.campaigns.damaged_videos:DamagedImages",
    "files": "tests.robustness.campaigns.damaged_files:DamagedFiles",
    "paths": "tests.robustness.campaigns.damaged_files:HostilePaths",
    "models": "tests.robustness.campaigns.damaged_models:DamagedModels",
    "kills": "tests.robustness.campaigns.kills:Kills",
    "states": "tests.robustness.campaigns.damaged_states:DamagedStates",
    "disks": "tests.robustness.campaigns.full_disks:FullDisks",
    "pairs": "tests.robustness.campaigns.two_processes:TwoProcesses",
}
"""Modules and classes by the name on the command line."""

INTERRUPTING = ("kills", "states", "disks", "pairs")
"""Campaigns that interrupt long commands."""

NICENESS = 10


def main(words: list[str]) -> int:
    """Run the campaigns that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME[:N]", help=f"all, or any of {', '.join(CAMPAIGNS)}")
    parser.add_argument("--trials", type=int, default=100, help="of each campaign")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=lambda text: text.split(","), help="of campaigns that interrupt: only these")
    parser.add_argument("--only", type=int, help="repeat this trial alone")
    parser.add_argument("--keep", type=Path, help="work here and leave the files of failing trials")
    parser.add_argument("--out", type=Path, help="write the summary here (JSON)")
    options = parser.parse_args(words)
    trials: dict[str, int] = {}
    for word in CAMPAIGNS if "all" in options.names else options.names:
        name, _, number = word.partition(":")
        if name not in CAMPAIGNS:
            parser.error(f"there is no campaign '{name}'; choose from {', '.join(CAMPAIGNS)}")
        trials[name] = int(number or options.trials)
    for number in (signal.SIGINT, signal.SIGTERM):  # Either ends a campaign, which reports what was tried.
        signal.signal(number, signal.default_int_handler)
    os.nice(max(0, NICENESS - os.nice(0)))
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    preload()
    from tests.robustness.verdicts import run_campaign

    summaries = []
    with tempfile.TemporaryDirectory(prefix="robustness-", ignore_cleanup_errors=True) as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        for name, number in trials.items():
            alone = options.only is not None
            indices = range(options.only, options.only + 1) if alone else range(options.first, options.first + number)
            summary = run_campaign(
                name,
                _campaign(name, options.jobs),
                indices=indices,
                seed=options.seed,
                folder=folder,
                keep=options.keep is not None,
            )
            print(one_line(summary), flush=True)
            summaries.append(asdict(summary))
            if summary.was_stopped:
                break
    if options.out:
        options.out.write_text(json.dumps(summaries, indent=1), encoding="utf-8")
    if options.only is not None:
        print(json.dumps(summaries[0]["failures"], indent=1))
    return int(any(summary["failures"] for summary in summaries))


def preload() -> None:
    """Import what trials need, once, without a thread; then freeze it, so that forks share the memory."""
    import lightning  # noqa: F401
    import supervision  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    import genvis

    for module in pkgutil.walk_packages(genvis.__path__, "genvis."):
        if not module.name.endswith("__main__"):
            import_module(module.name)

    gc.collect()
    gc.freeze()


def _campaign(name: str, jobs: list[str] | None) -> "Campaign":
    module, cls = CAMPAIGNS[name].split(":")
    options = {}
    if jobs is not None and name in INTERRUPTING:
        from tests.robustness.jobs import JOBS

        options["jobs"] = [job for job in JOBS if job.name in jobs]
    campaign: Campaign = getattr(import_module(module), cls)(**options)
    return campaign


def one_line(summary: "Summary") -> str:
    """Return the line that a campaign ends with."""
    remarks = "".join(f"; {count} {remark}" for remark, count in summary.remarks.items())
    return (
        f"{summary.campaign}: {summary.survived} of {summary.tried} {summary.unit} survived "
        f"in {summary.trials} trials, {summary.seconds:.0f} s{remarks}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
