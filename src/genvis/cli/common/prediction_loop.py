"""Videos one after the other, with a live line, a table each, and an exit status."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from genvis.cli.common.console import Console, print_json
from genvis.cli.common.progress_line import ProgressLine, memory_used
from genvis.cli.common.stopping import StopRequest, stop_on_signals
from genvis.errors import InputError
from genvis.files import printable, write_json
from genvis.fingerprint import turn
from genvis.inference.jobs import Prediction, PredictionOptions, predict_video
from genvis.inference.live_jobs import predict_live
from genvis.inference.segmenter import Progress, VideoSegmenter
from genvis.results.output_names import FILE_NAMES
from genvis.scaling.claims import EXPIRY_SECONDS
from genvis.scaling.job_list import write_list
from genvis.scaling.listed_videos import ListedVideo, list_videos
from genvis.scaling.shards import Shard
from genvis.scaling.video_worker import Outcome, VideoWorker
from genvis.storage.stores import LocalStore, Store
from genvis.video import FrameRange, FrameSource, NamedSource, open_source
from genvis.video.sources.reconnection import DEFAULT_ATTEMPTS

INTERRUPTED_STATUS = 130
_ASK_AGAIN_SECONDS = 5.0


def summary(prediction: Prediction, files: Sequence[str]) -> dict[str, Any]:
    """Return what the table of tracks shows, and the files, as a dictionary ready for JSON."""
    result = prediction.result
    return {
        "video": result.name,
        "frames": len(result.frames),
        "height": result.height,
        "width": result.width,
        "problem": result.problem,
        "tracks": [
            {
                "id": track.id,
                "label": track.label,
                "score": track.score,
                "frames_seen": track.frames_seen,
                "first_frame": None if track.span is None else result.frames[track.span[0]].index,
                "last_frame": None if track.span is None else result.frames[track.span[1]].index,
            }
            for track in result.tracks
        ],
        "notes": list(prediction.notes),
        "files": list(files),
        "was_there": prediction.was_there,
    }


@dataclass
class PredictionLoop:
    """Runs `genvis predict`.

    Attributes:
        segmenter: The model and how to run it.
        out: Folder of all outputs, here or elsewhere.
        options: What to select and to write.
        console: Where to print.
        live: Whether files too are segmented causally.
        session: File of the session whose track ids go on from run to run.
        timeout: Seconds without a frame after which a stream or camera counts as stalled.
        reconnect: How often in a row one that stalls or drops is connected to again.
        shard: The share of the videos to do; None does all.
        skip_finished: Whether videos that are finished are left alone, and one that fails does not end the process.
        time_limit: Seconds that a video may take; None for any.
        as_json: Whether to print a line of JSON for each video instead of the table of its tracks; all else is then
            printed on `console`, which should be that of the error stream.
    """

    segmenter: VideoSegmenter
    out: Path | Store
    options: PredictionOptions
    console: Console
    live: bool = False
    session: Path | None = None
    timeout: float = 10.0
    reconnect: int = DEFAULT_ATTEMPTS
    shard: Shard | None = None
    skip_finished: bool = False
    time_limit: float | None = None
    as_json: bool = False

    def run(self, videos: Sequence[NamedSource], *, start: int = 0, stop: int | None = None, stride: int = 1) -> int:
        """Segment all videos; one that fails does not keep the others from being done.

        Returns:
            0 if all is well, 1 if a source broke off (what came before is written) or another process still does a
            video, 2 if one could not be segmented, 130 if it was interrupted.
        """
        frames = FrameRange(start, stop, stride)
        store = self.out if isinstance(self.out, Store) else LocalStore(self.out)
        worker = VideoWorker(
            self.segmenter,
            store,
            self.options,
            frames=frames,
            skip_finished=self.skip_finished,
            time_limit=self.time_limit,
            open_video=lambda video: self._open(video, frames),
            survives=self.skip_finished,
            live=self.live,
        )
        listed = list_videos(videos)
        if len(listed) > 1 or self.shard is not None:
            write_list(store, listed, self.shard)
        share = self._share(worker, listed)
        entries: list[dict[str, object]] = []
        statuses = [0]
        with stop_on_signals() as request:
            for outcome in self._outcomes(worker, share, request):
                statuses.append(self._report(outcome))
                if outcome.prediction is not None:
                    entries += outcome.prediction.result.to_youtube_vis(outcome.video.number)
            local = store.local(FILE_NAMES["youtube_vis"])
            if len(listed) > 1 and "youtube_vis" in self.options.outputs and local and not self.skip_finished:
                with turn(local) as path:
                    write_json(path, entries)
            return INTERRUPTED_STATUS if request() else max(statuses)

    def _share(self, worker: VideoWorker, listed: list[ListedVideo]) -> list[ListedVideo]:
        """Return the videos to do, and say which are not."""
        share = [video for video in listed if self.shard is None or self.shard.has(video.key)]
        unfinished = worker.unfinished(share)
        if self.shard is not None:
            self._say(f"{str(self.shard).capitalize()}: {len(share):,} of {len(listed):,} videos.")
        if len(unfinished) < len(share):
            self._say(f"{len(share) - len(unfinished):,} of {len(share):,} videos are finished already.")
        return unfinished

    def _outcomes(self, worker: VideoWorker, videos: list[ListedVideo], request: StopRequest) -> Iterator[Outcome]:
        """Do the videos; those that another process does are looked at again when all others are done."""
        busy: list[Outcome] = []
        for video in videos:
            if request():
                return
            outcome = self._do(worker, video, request)
            if outcome.ending == "busy" and self.skip_finished:
                busy.append(outcome)
            else:
                yield outcome
        if busy:
            self._say(f"{len(busy):,} videos are being done by other processes; waiting for those that died.")
        until = time.monotonic() + EXPIRY_SECONDS
        while busy and not request():
            outcome = self._do(worker, busy.pop(0).video, request)
            if outcome.ending == "busy" and time.monotonic() < until:
                busy.append(outcome)
                time.sleep(_ASK_AGAIN_SECONDS / max(1, len(busy)))
            else:
                yield outcome

    def _open(self, video: ListedVideo, frames: FrameRange) -> FrameSource:
        return open_source(
            video.source,
            start=frames.start,
            stop=frames.stop,
            stride=frames.stride,
            timeout=self.timeout,
            reconnect=self.reconnect,
            on_drop=lambda sentence: self.console.print(f"[yellow]{escape(sentence)}[/]", highlight=False),
        )

    def _do(self, worker: VideoWorker, video: ListedVideo, request: StopRequest) -> Outcome:
        with self._line(video) as (show, show_drawing):

            def work(
                source: FrameSource, folder: Path, options: PredictionOptions, *, should_stop: Callable[[], bool]
            ) -> Prediction:
                if source.is_live or self.live:
                    return predict_live(
                        self.segmenter,
                        source,
                        folder,
                        options,
                        session_file=self.session,
                        on_progress=show,
                        should_stop=should_stop,
                    )
                return predict_video(
                    self.segmenter,
                    source,
                    folder,
                    options,
                    on_progress=show,
                    on_drawing=show_drawing,
                    should_stop=should_stop,
                )

            return worker.do(video, work, should_stop=request)

    @contextmanager
    def _line(self, video: ListedVideo) -> Iterator[tuple[Callable[[Progress], None], Callable[[int], None]]]:
        name = printable(video.name)
        total: int | None = None
        with ProgressLine(self.console) as line:

            def show(progress: Progress) -> None:
                nonlocal total
                total = progress.total
                note = f"{progress.objects} objects, {memory_used()}"
                line.show(name, progress.frames, progress.total, unit="frames", note=note)

            def show_drawing(frames: int) -> None:
                line.show(f"{name}: drawing", frames, total, unit="frames", note=memory_used())

            yield show, show_drawing

    def _report(self, outcome: Outcome) -> int:
        """Print what became of a video, and return the exit status that it asks for."""
        if outcome.error is not None:
            self.console.print(f"[red]Error:[/] {escape(str(outcome.error))}", highlight=False, soft_wrap=True)
            return 1 if outcome.ending == "busy" and self.skip_finished else InputError.exit_status
        prediction = outcome.prediction
        if prediction is None:
            return 0
        folder = outcome.video.folder
        place = f"{self.out.label}/{folder}" if isinstance(self.out, Store) else str(self.out / folder)
        files = [f"{place}/{path.name}" for path in prediction.files.written()]
        if self.as_json:
            print_json(summary(prediction, files), as_line=True)
        else:
            self.console.print(prediction.result.table())
        for note in prediction.notes:
            self._say(f"Note: {note}")
        if prediction.result.problem:
            self.console.print(
                f"[yellow]Incomplete:[/] {escape(prediction.result.problem)}", highlight=False, soft_wrap=True
            )
        for file in files:
            self._say(f"{'Already there' if prediction.was_there else 'Wrote'} {file}")
        return 0 if prediction.is_complete else 1

    def _say(self, sentence: str) -> None:
        self.console.print(escape(sentence), highlight=False, soft_wrap=True)
