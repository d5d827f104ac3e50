"""``genvis status`` and ``genvis collect``: what became of many videos, and their results in one file each."""

from json import dumps
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from genvis.cli.common.option_types import AsJson, Place, Words
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.scaling.collecting import CollectedName

_SHOWN = 10


def status(out: Annotated[str, Parameter(name="OUT")], *, json: AsJson = False) -> int:
    """Say which videos of a job are finished, failed, missing or being done.

    Ends with 0 if every video has a result, and with 1 if not.

    Args:
        out: The output folder of `genvis predict`, here or in a store.
        json: Print all as JSON.
    """
    from genvis.cli.common.console import Console
    from genvis.scaling.job_status import job_status, shown
    from genvis.storage.stores import open_store

    found = job_status(open_store(out))
    if json:
        print(dumps(found.to_json(), indent=1))
        return 0 if found.is_done else 1
    if not found.videos:
        raise InputError(f"'{out}' holds no job: name the output folder of `genvis predict`.")
    console = Console()

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    speed = f", {found.frames / found.seconds:.1f} frames a second of each process" if found.seconds else ""
    say(
        f"{found.videos:,} videos: {found.finished + len(found.incomplete):,} finished, {len(found.failed):,} failed, "
        f"{len(found.running):,} running, {len(found.missing):,} missing"
    )
    say(f"{found.frames:,} frames in {_duration(found.seconds)} of work{speed}")
    for title, videos in (
        ("Finished, but frames are missing", found.incomplete),
        ("Failed", found.failed),
        ("Running", found.running),
        ("Missing", found.missing),
    ):
        if videos:
            say(f"{title}:")
            for line in shown(videos, _SHOWN):
                say(f"  {line}")
    if found.array and found.shards > 1:
        say(f"To do again, of {found.shards:,} shards: --array={found.array}")
    return 0 if found.is_done else 1


def collect(
    out: Annotated[str, Parameter(name="OUT")], *, to: Place | None = None, outputs: Words | None = None
) -> None:
    """Merge the results of a job into one file each, whatever its size: videos are read one after the other.

    Writes videos.json (id, name, source, size and length of each video) and what is asked for.

    Args:
        out: The output folder of `genvis predict`, here or in a store.
        to: Folder for the files. Default: the output folder.
        outputs: youtube_vis (one results file), csv, parquet (a row per object and frame). Default: youtube_vis,csv
    """
    from genvis.cli.common.console import Console
    from genvis.cli.common.progress_line import live_progress
    from genvis.scaling.collecting import COLLECTED_FILES
    from genvis.scaling.collecting import collect as collected
    from genvis.storage.stores import open_store

    known: dict[str, CollectedName] = {name: name for name in COLLECTED_FILES}
    wanted = ["youtube_vis", "csv"] if outputs is None else outputs
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"There is no output '{unknown[0]}' to collect: choose from {', '.join(known)}.")
    store = open_store(out)
    with live_progress() as show:
        done = collected(
            store,
            target=store if to is None else open_store(to),
            outputs=tuple(known[name] for name in wanted),
            progress=lambda done, total: show("collecting", done, total),
        )
    console = Console()
    console.print(f"{done.videos:,} videos with {done.tracks:,} tracks:", highlight=False)
    for file in done.files:
        console.print(f"Wrote {file}", highlight=False, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"
