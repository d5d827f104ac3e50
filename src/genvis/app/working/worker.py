"""The process of one job: ``python -m genvis.app.working.worker``.

Its order is the first line of the standard input, as JSON; when the input ends, it stops as soon as it can and keeps
what is done, whether the server asked for that or was killed. It tells on the standard output, a JSON object a line,
how far it is, and last how it ended: ``done``, ``stopped`` or ``error``.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genvis.errors import GenVISError, InputError
from genvis.files import cannot_write

TELL_SECONDS = 0.25
RATE_SECONDS = 10.0


class Teller:
    """Tells the server how a job is getting on, a few times a second."""

    def __init__(self) -> None:
        # What libraries print goes to the log, with the messages.
        self._stream = sys.stdout
        sys.stdout = sys.stderr
        self._told = 0.0
        self._phase = ""
        self._seen: deque[tuple[float, int]] = deque()

    def progress(self, phase: str, done: int = 0, total: int | None = None, objects: int | None = None) -> None:
        """Tell how much is done.

        Args:
            phase: What is being done; a new one is told at once.
            done: Frames, or other steps.
            total: Of how many; None if nobody knows.
            objects: Tracks so far.
        """
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._told = phase, 0.0
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > RATE_SECONDS:
            self._seen.popleft()
        if now - self._told < TELL_SECONDS and done != total:
            return
        self._told = now
        (began, before), rate = self._seen[0], None
        if now - began > 1:
            rate = (done - before) / (now - began)
        self._say(event="progress", phase=phase, done=done, total=total, rate=rate, objects=objects)

    def end(self, event: str, **values: Any) -> None:
        """Tell how it ended."""
        self._say(event=event, **values)

    def _say(self, **message: Any) -> None:
        try:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # The server is gone; the end of the input says so, too.


class StopWatch:
    """Whether to stop: asked after every clip; set when the standard input ends."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self._ended.is_set()

    def _wait(self) -> None:
        # Not through the buffer, whose lock the interpreter would wait for at its end, and then abort.
        while os.read(sys.stdin.fileno(), 1 << 12):
            pass
        self._ended.set()


def segment(order: "Order", tell: Teller, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
    """Segment a video; returns None if it was stopped before the end."""
    from genvis.app.reviewing.mask_index import build_index
    from genvis.app.working.segment_options import SegmentOptions
    from genvis.inference.jobs import PredictionOptions, predict_video
    from genvis.inference.model_loading import load_model
    from genvis.inference.segmenter import Progress, VideoSegmenter
    from genvis.results.formats.genvis_json import RESULT_FILE
    from genvis.video import open_source

    options = SegmentOptions.read(order.work["options"])
    tell.progress("loading the model")
    model = str(order.path("model_folder")) if order.work["model_folder"] else order.work["model"]
    segmenter = VideoSegmenter(
        load_model(model, device="auto"),
        tracker=options.tracker,
        clip_length=options.clip_length,
        resolution=options.resolution,
        classes=options.classes,
    )
    wanted = PredictionOptions(
        outputs=("result",), score_threshold=options.score_threshold, overlaps=options.overlaps, resume=True
    )
    source = open_source(order.path("video"), start=options.start, stop=options.stop, stride=options.stride)
    with source:

        def show(progress: Progress) -> None:
            tell.progress("segmenting", progress.frames, progress.total, progress.objects)

        prediction = predict_video(
            segmenter,
            source,
            order.folder,
            wanted,
            on_progress=show,
            on_drawing=lambda _: None,
            should_stop=should_stop,
        )
    if should_stop() and not prediction.is_complete:
        return None
    frames, tracks = len(prediction.result), len(prediction.result.tracks)
    tell.progress("preparing to show it", frames, frames, tracks)
    build_index(order.folder / RESULT_FILE, order.path("index"))
    notes = " ".join(filter(None, (prediction.result.problem, *prediction.notes))) or None
    return {"outputs": [RESULT_FILE], "problem": notes, "answer": {"frames": frames, "tracks": tracks}}


def index(order: "Order", tell: Teller, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Make the index of a result."""
    from genvis.app.reviewing.mask_index import build_index

    tell.progress("reading the result")
    build_index(order.path("result"), order.path("index"))
    return {}


def review(order: "Order", tell: Teller, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Look for doubtful places and likely merges."""
    from genvis.app.working.looking import places_to_look_at

    tell.progress("looking")
    return {"answer": {"places": places_to_look_at(order.path("result"), order.path("index"))}}


def export(order: "Order", tell: Teller, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Write the corrected result in the formats that were asked for."""
    from genvis.app.working.take_along import write_formats

    return write_formats(order.folder, order.work, order.path, tell.progress)


def append(order: "Order", tell: Teller, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Add the corrected result to a training set."""
    from genvis.app.working.take_along import add_to_training_set

    return add_to_training_set(order.work, order.path, tell.progress)


WORK: dict[str, Callable[["Order", Teller, Callable[[], bool]], dict[str, Any] | None]] = {
    "segment": segment,
    "index": index,
    "review": review,
    "export": export,
    "append": append,
}


class Order:
    """What is to be done.

    Attributes:
        kind: What.
        folder: Where the outputs go.
        work: What the kind needs to know.

    Args:
        spec: As the queue wrote it.

    Raises:
        InputError: If a path leaves the folder.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.kind = str(spec["kind"])
        self._root = Path(spec["root"])
        self.work: dict[str, Any] = spec["work"]
        self.folder = self._inside(spec["folder"])

    def path(self, name: str) -> Path:
        """Return the path that the work names."""
        return self._inside(self.work[name])

    def _inside(self, name: str) -> Path:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise InputError(f"'{name}' is outside of the folder.")
        return path


def main() -> int:
    """Do what the standard input says; return the exit status."""
    tell = Teller()
    spec = json.loads(sys.stdin.buffer.readline())
    should_stop = StopWatch()
    try:
        order = Order(spec)
        outcome = WORK[order.kind](order, tell, should_stop)
    except GenVISError as error:
        tell.end("error", sentence=str(error))
        return 2
    except MemoryError:
        tell.end("error", sentence="There is not enough memory: close other programs, or ask for a lower resolution.")
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        tell.end("error", sentence=str(cannot_write(Path(str(error.filename)).name, error)))
        return 2
    if outcome is None:
        tell.end("stopped")
    else:
        tell.end("done", **outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
