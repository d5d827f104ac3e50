"""Prediction on a Ray cluster: every actor holds the model and does one video after another."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from genvis.errors import OutputError
from genvis.inference.jobs import Prediction, PredictionOptions, predict_video
from genvis.inference.model_loading import load_model
from genvis.inference.segmenter import Progress, VideoSegmenter
from genvis.runtimes.runtime_names import RuntimeName
from genvis.scaling.claims import EXPIRY_SECONDS, give_up
from genvis.scaling.job_list import write_list
from genvis.scaling.listed_videos import ListedVideo
from genvis.scaling.manifests import manifest_file
from genvis.scaling.ray_pool import ActorProgress, RayPool, Row, map_on_ray
from genvis.scaling.video_worker import VideoWorker
from genvis.storage.stores import open_store
from genvis.video import FrameRange, FrameSource

_GRACE_SECONDS = 120.0
_PASS_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class PredictionJob:
    """All that an actor needs to know to do videos.

    Attributes:
        weights: The model, by a name that every machine of the cluster can load.
        out: The output folder, which every machine sees at this path or address.
        options: What to select and to write.
        frames: Which frames of each video.
        device: ``auto`` takes the GPU that Ray gave to the actor.
        dtype: Of the network.
        runtime: What computes the network, see `genvis.inference.model_loading.load_model`.
        run: Further arguments of `VideoSegmenter`.
        time_limit: Seconds that a video may take. A video that does not even look at the time is ended with its actor
            two minutes later.
    """

    weights: str
    out: str
    options: PredictionOptions
    frames: FrameRange
    device: str = "auto"
    dtype: str = "float32"
    runtime: Literal["torch"] | RuntimeName | None = None
    run: dict[str, Any] = field(default_factory=dict)
    time_limit: float | None = None

    def worker(self, *, device: str | None = None) -> VideoWorker:
        """Load the model and return what does videos."""
        return VideoWorker(
            VideoSegmenter(
                load_model(self.weights, device=device or self.device, dtype=self.dtype, runtime=self.runtime),
                **self.run,
            ),
            open_store(self.out),
            self.options,
            frames=self.frames,
            skip_finished=True,
            time_limit=self.time_limit,
            survives=True,
        )


def predict_on_ray(
    job: PredictionJob, videos: Sequence[ListedVideo], *, pool: RayPool, console: Console
) -> Iterator[Row]:
    """Do the videos that are not finished, and deliver what became of each.

    Videos that another process holds, which may have died on another machine, are looked at again until their claims
    have ended.

    Args:
        job: What to do.
        videos: All videos.
        pool: The cluster.
        console: For the live table, and for how many are finished already.

    Yields:
        A row of ``video`` (its label), ``ending``, ``frames``, ``seconds``, ``problem`` for each video that was done.

    Raises:
        InputError: If the output folder belongs to another run, or there is no such cluster.
        GenVISError: If the cluster breaks down.
    """
    store = open_store(job.out)
    write_list(store, videos, None)
    if job.options.overwrite:
        for video in videos:
            store.remove(manifest_file(video.key))
    left = job.worker(device="cpu").unfinished(videos)
    if len(left) < len(videos):
        console.print(f"{len(videos) - len(left):,} of {len(videos):,} videos are finished already.", highlight=False)
    until = None
    by_key = {video.key: video for video in left}
    while left:
        busy: list[Row] = []
        for row in map_on_ray(left, partial(_DoesVideos, job), pool=pool, console=console):
            if row["ending"] == "busy":
                busy.append(row)
            elif row["ending"] != "skipped":
                yield row
        until = until or time.monotonic() + EXPIRY_SECONDS + _PASS_PAUSE_SECONDS
        if time.monotonic() > until:
            yield from busy
            return
        left = [by_key[row["key"]] for row in busy]
        if left:
            console.print(f"{len(left):,} videos are held by other processes; waiting for those that died.")
            time.sleep(_PASS_PAUSE_SECONDS)


class _DoesVideos:
    """What an actor does with a video."""

    def __init__(self, job: PredictionJob, tell: ActorProgress) -> None:
        self._job, self._tell = job, tell
        self._worker = job.worker()

    def __call__(self, video: ListedVideo) -> Row:
        began = time.monotonic()
        row: Row = {"key": video.key, "video": video.label, "frames": 0, "problem": None}
        try:
            with self._watched(video):
                outcome = self._worker.do(video, self._work, should_stop=lambda: False)
        except OutputError as error:
            return row | {"ending": "failed", "problem": str(error), "seconds": time.monotonic() - began}
        except Exception as error:  # An error that left the actor would end the job.
            words = f"{type(error).__name__}: {error}"
            return row | {"ending": "failed", "problem": words, "seconds": time.monotonic() - began}
        manifest = outcome.manifest
        problem = str(outcome.error) if outcome.error is not None else (manifest.problem if manifest else None)
        return row | {
            "ending": outcome.ending,
            "frames": manifest.frames if manifest else 0,
            "problem": problem,
            "seconds": time.monotonic() - began,
        }

    def _work(
        self, source: FrameSource, folder: Path, options: PredictionOptions, *, should_stop: Callable[[], bool]
    ) -> Prediction:
        self._tell(source.name, 0, source.frame_count, always=True)

        def show(progress: Progress) -> None:
            self._tell(source.name, progress.frames, progress.total)

        return predict_video(
            self._worker.segmenter,
            source,
            folder,
            options,
            on_progress=show,
            on_drawing=lambda _: None,
            should_stop=should_stop,
        )

    @contextmanager
    def _watched(self, video: ListedVideo) -> Iterator[None]:
        """End the process if a video hangs where nobody looks at the time; it counts as failed then."""
        if self._job.time_limit is None:
            yield
            return

        def end() -> None:
            give_up(self._worker.store, video.key)
            os._exit(1)

        timer = threading.Timer(self._job.time_limit + _GRACE_SECONDS, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
