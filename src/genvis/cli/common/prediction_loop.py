"""Videos one after the other, with a live line, a table each, and an exit status."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from genvis.cli.common.console import Console, print_json
from genvis.cli.common.progress_line import ProgressLine, memory_used
from genvis.cli.common.stopping import StopRequest, stop_on_signals
from genvis.errors import GenVISError
from genvis.files import printable, write_json
from genvis.fingerprint import turn
from genvis.inference.jobs import Prediction, PredictionOptions, predict_video
from genvis.inference.live_jobs import predict_live
from genvis.inference.segmenter import Progress, VideoSegmenter
from genvis.results.output_names import FILE_NAMES
from genvis.video import FrameSource, NamedSource, open_source
from genvis.video.sources.opening import source_name
from genvis.video.sources.reconnection import DEFAULT_ATTEMPTS

INTERRUPTED_STATUS = 130


def summary(prediction: Prediction) -> dict[str, Any]:
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
        "files": [str(path) for path in prediction.files.written()],
        "was_there": prediction.was_there,
    }


@dataclass
class PredictionLoop:
    """Runs `genvis predict`.

    Attributes:
        segmenter: The model and how to run it.
        out: Folder of all outputs.
        options: What to select and to write.
        console: Where to print.
        live: Whether files too are segmented causally.
        session: File of the session whose track ids go on from run to run.
        timeout: Seconds without a frame after which a stream or camera counts as stalled.
        reconnect: How often in a row one that stalls or drops is connected to again.
        as_json: Whether to print a line of JSON for each video instead of the table of its tracks; all else is then
            printed on `console`, which should be that of the error stream.
    """

    segmenter: VideoSegmenter
    out: Path
    options: PredictionOptions
    console: Console
    live: bool = False
    session: Path | None = None
    timeout: float = 10.0
    reconnect: int = DEFAULT_ATTEMPTS
    as_json: bool = False
    _names: set[str] = field(default_factory=set)

    def run(self, videos: Sequence[NamedSource], *, start: int = 0, stop: int | None = None, stride: int = 1) -> int:
        """Segment all videos; one that fails does not keep the others from being done.

        Returns:
            0 if all is well, 1 if a source broke off (what came before is written), 2 if one could not be segmented,
            130 if it was interrupted.
        """
        statuses = [0]
        entries: list[dict[str, object]] = []
        # Of all videos, before any is opened: one that fails must not rename the folder of another.
        folders = [self.out / self._folder_name(source_name(video)) for video in videos]
        with stop_on_signals() as request:
            for number, video in enumerate(videos, start=1):
                if request():
                    break
                try:
                    with self._open(video, start=start, stop=stop, stride=stride) as source:
                        prediction = self._predict(source, folders[number - 1], number, request)
                except GenVISError as error:
                    self.console.print(f"[red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
                    statuses.append(2)
                    continue
                self._report(prediction)
                entries += prediction.result.to_youtube_vis(number)
                statuses.append(0 if prediction.is_complete else 1)
            if len(videos) > 1 and "youtube_vis" in self.options.outputs:
                with turn(self.out / FILE_NAMES["youtube_vis"]) as path:
                    write_json(path, entries)
            return INTERRUPTED_STATUS if request() else max(statuses)

    def _open(self, video: NamedSource, *, start: int, stop: int | None, stride: int) -> FrameSource:
        return open_source(
            video,
            start=start,
            stop=stop,
            stride=stride,
            timeout=self.timeout,
            reconnect=self.reconnect,
            on_drop=lambda sentence: self.console.print(f"[yellow]{escape(sentence)}[/]", highlight=False),
        )

    def _predict(self, source: FrameSource, folder: Path, number: int, request: StopRequest) -> Prediction:
        options = replace(self.options, video_id=number)
        name = printable(source.name)
        with ProgressLine(self.console) as line:

            def show(progress: Progress) -> None:
                note = f"{progress.objects} objects, {memory_used()}"
                line.show(name, progress.frames, progress.total, unit="frames", note=note)

            def show_drawing(frames: int) -> None:
                line.show(f"{name}: drawing", frames, source.frame_count, unit="frames", note=memory_used())

            if source.is_live or self.live:
                return predict_live(
                    self.segmenter,
                    source,
                    folder,
                    options,
                    session_file=self.session,
                    on_progress=show,
                    should_stop=request,
                )
            return predict_video(
                self.segmenter,
                source,
                folder,
                options,
                on_progress=show,
                on_drawing=show_drawing,
                should_stop=request,
            )

    def _report(self, prediction: Prediction) -> None:
        if self.as_json:
            print_json(summary(prediction), as_line=True)
        else:
            self.console.print(prediction.result.table())
        for note in prediction.notes:
            self.console.print(f"Note: {escape(note)}", highlight=False, soft_wrap=True)
        if prediction.result.problem:
            self.console.print(
                f"[yellow]Incomplete:[/] {escape(prediction.result.problem)}", highlight=False, soft_wrap=True
            )
        verb = "Already there" if prediction.was_there else "Wrote"
        for path in prediction.files.written():
            self.console.print(f"{verb} {escape(str(path))}", highlight=False, soft_wrap=True)

    def _folder_name(self, name: str) -> str:
        """Return the video's name, made safe as a folder, with a number if another video has it."""
        characters = ("_" if character in '/\\:*?"<>|' else character for character in printable(name))
        safe = "".join(characters).strip(". ") or "video"
        candidate, count = safe, 1
        while candidate in self._names:
            count += 1
            candidate = f"{safe}-{count}"
        self._names.add(candidate)
        return candidate
