"""The loop of ``genvis predict --on ray``: a line for each video, and an exit status."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape

from genvis.cli.common.console import Console, print_json
from genvis.errors import InputError
from genvis.scaling.listed_videos import list_videos
from genvis.scaling.ray_pool import RayPool
from genvis.scaling.ray_prediction import PredictionJob, predict_on_ray
from genvis.video import NamedSource
from genvis.video.sources.opening import is_camera

_STATUS = {"finished": 0, "live": 0, "incomplete": 1, "busy": 1, "interrupted": 1, "failed": InputError.exit_status}


def run_on_ray(
    job: PredictionJob, videos: Sequence[NamedSource], *, pool: RayPool, console: Console, as_json: bool
) -> int:
    """Do videos on a Ray cluster.

    Returns:
        0 if all is well, 1 if a source lacks frames or another process still does a video, 2 if one failed.

    Raises:
        InputError: If a source is a camera or stream, or there is no such cluster.
    """
    cameras = [str(video) for video in videos if is_camera(video)]
    if cameras:
        raise InputError(f"'{cameras[0]}' is a camera or stream: Ray does files only.")
    statuses = [0]
    with _ended_by_termination():
        for row in predict_on_ray(job, list_videos(videos), pool=pool, console=console):
            statuses.append(_STATUS[row["ending"]])
            if as_json:
                print_json(row, as_line=True)
                continue
            words = f": {row['problem']}" if row["problem"] else f", {row['frames']:,} frames in {row['seconds']:.1f} s"
            colour = {0: "green", 1: "yellow", 2: "red"}[statuses[-1]]
            line = f"[{colour}]{row['ending']}[/] {escape(row['video'])}{escape(words)}"
            console.print(line, highlight=False, soft_wrap=True)
    return max(statuses)


@contextmanager
def _ended_by_termination() -> Iterator[None]:
    """Let termination end the driver as Ctrl-C does, so that the actors end with it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
