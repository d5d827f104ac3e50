"""Jobs: one video into one folder. A job can be interrupted, resumed and repeated, and never mixes two runs."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

from genvis.errors import InputError
from genvis.files import remove_leftovers
from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, claim, files_stamp
from genvis.inference.segmenter import Progress, VideoSegmenter
from genvis.inference.video_run import KIND, VideoRun
from genvis.results.editing.appearance import APPEARANCE_FILE, Appearance, save_appearance
from genvis.results.output_folder import SavedFiles, remove_other_outputs, save_result
from genvis.results.output_names import FILE_NAMES, OutputName
from genvis.results.overlaps import Overlaps
from genvis.results.types import VideoResult
from genvis.video import FrameRange, FrameSource, prefetch

RUN_FOLDER = ".unfinished"
SAVE_EVERY_SECONDS = 30.0
INTERRUPTED = "interrupted"
REMEDY = "say --overwrite to start over, or name another output folder with -o"


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """Selection of tracks, and files to write.

    Attributes:
        outputs: Which files to write; ``result`` always is.
        detections: Pairs of track and class that are selected at most; None takes the model's number.
        score_threshold: Lower scores are dropped.
        all_labels: Let a track appear under several classes, as the published evaluation does; overlaps are kept then.
        overlaps: ``"resolve"`` gives every pixel to one track; ``"keep"`` writes all masks.
        overwrite: Replace results that are in the folder.
        resume: Continue a run that was interrupted; leave finished results as they are.
        video_id: The data set's id of the video.
    """

    outputs: tuple[OutputName, ...] = ("result", "youtube_vis", "video", "contact_sheet")
    detections: int | None = None
    score_threshold: float = 0.3
    all_labels: bool = False
    overlaps: Overlaps = "resolve"
    overwrite: bool = False
    resume: bool = False
    video_id: int = 1

    @property
    def kept_overlaps(self) -> Overlaps:
        """Whether overlaps are resolved: not where a track appears under several classes."""
        return "keep" if self.all_labels else self.overlaps

    @property
    def wanted(self) -> tuple[OutputName, ...]:
        """The files to write, ``result`` first."""
        return tuple(dict.fromkeys(("result", *self.outputs)))


@dataclass(frozen=True)
class Prediction:
    """Outcome of a job.

    Attributes:
        result: The tracks.
        files: Where the outputs are.
        is_complete: Whether the whole source was segmented; otherwise ``result.problem`` says why not.
        was_there: Whether a finished result was found; only outputs that were missing were written.
        was_stopped: Whether it was stopped before the end of the source.
        notes: What was done to frames, though none is missing.
    """

    result: VideoResult
    files: SavedFiles
    is_complete: bool
    was_there: bool = False
    was_stopped: bool = False
    notes: tuple[str, ...] = ()


def predict_video(
    segmenter: VideoSegmenter,
    source: FrameSource,
    folder: Path,
    options: PredictionOptions,
    *,
    on_progress: Callable[[Progress], None],
    on_drawing: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> Prediction:
    """Segment a whole video with the published scores and selection, and write its folder.

    Every 30 seconds, and when it is stopped, what is done is kept in the folder; ``options.resume`` continues it with
    the same track ids.

    Args:
        segmenter: The model and how to run it.
        source: The opened video.
        folder: Where the outputs go.
        options: What to select and to write.
        on_progress: Called after every clip.
        on_drawing: Called with the number of frames drawn so far.
        should_stop: Asked after every clip.

    Raises:
        InputError: If there is no readable frame, the folder holds another run or its results, or another process
            works in it.
        OutputError: If it cannot be written.
    """
    fingerprint = prediction_fingerprint(segmenter, source, options)
    with claim(folder):
        finished = finished_result(folder, source, options, fingerprint, on_drawing=on_drawing)
        if finished is not None:
            return finished
        selection = segmenter.selection(
            detections=options.detections,
            score_threshold=options.score_threshold,
            one_label_each=not options.all_labels,
        )
        run_folder = folder / RUN_FOLDER
        run = segmenter.start(
            name=source.name, overlaps=options.kept_overlaps, folder=run_folder, source=source_identity(source)
        )
        try:
            run.restore(remedy=REMEDY)
            is_complete = _run(segmenter, run, source, on_progress=on_progress, should_stop=should_stop)
            problem = source.problem
            if not is_complete:
                continues = "continues it" if segmenter.tracker.is_causal else "starts it over"
                problem = f"{INTERRUPTED} after {run.frames_done} frames; --resume {continues}"
            result = run.result(selection, problem=problem)
        finally:
            run.close()
        files = save_result(
            result,
            folder,
            source=None if source.is_live else source,
            outputs=options.wanted,
            video_id=options.video_id,
            progress=on_drawing,
        )
        finish(folder, options, fingerprint, is_complete=is_complete, looks=run.appearance())
    return Prediction(
        result=result,
        files=files,
        is_complete=is_complete and problem is None,
        was_stopped=not is_complete,
        notes=source.notes,
    )


def _run(
    segmenter: VideoSegmenter,
    run: VideoRun,
    source: FrameSource,
    *,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Take all clips of the source; return False if it was stopped before the end."""
    saved_at, pause = time.monotonic(), SAVE_EVERY_SECONDS
    with prefetch(source) as frames:
        remaining = dropwhile(lambda frame: frame.index <= run.last_index, frames)
        for clip in segmenter.clips(remaining, run.windows):
            run.add(clip)
            on_progress(Progress(run.frames_done, source.frame_count, run.objects(0.3)))
            if should_stop():
                run.save()
                return False
            if time.monotonic() - saved_at > pause:
                began = time.monotonic()
                run.save()
                saved_at = time.monotonic()
                # A long memory takes long to write: spend at most a twentieth of the time on it.
                pause = max(SAVE_EVERY_SECONDS, 20 * (saved_at - began))
    return True


def prediction_fingerprint(
    segmenter: VideoSegmenter, source: FrameSource, options: PredictionOptions, *, live: bool = False
) -> Fingerprint:
    """Return what a result belongs to: weights, video and range of frames, settings, selection; not the files."""
    return _fingerprint(segmenter, options, source=source_identity(source), live=live)


def run_fingerprint(
    segmenter: VideoSegmenter, frames: FrameRange, options: PredictionOptions, *, live: bool = False
) -> Fingerprint:
    """Return what the results of all videos of a run belong to: `prediction_fingerprint` without the video itself."""
    return _fingerprint(segmenter, options, source=_range(frames), live=live)


def _fingerprint(
    segmenter: VideoSegmenter, options: PredictionOptions, *, source: dict[str, Any], live: bool
) -> Fingerprint:
    return Fingerprint(
        KIND,
        weights=segmenter.weights,
        source=source,
        settings=segmenter.settings(),
        selection={
            "detections": options.detections,
            "score_threshold": options.score_threshold,
            "all_labels": options.all_labels,
            "overlaps": options.kept_overlaps,
            "classes": segmenter.classes,
            "live": live,
        },
    )


def source_identity(source: FrameSource) -> dict[str, Any]:
    """Return which video a source is, by its files, their sizes and times of modification, and which of its frames.

    A copy of a file elsewhere is known by that file.
    """
    video = files_stamp(source.files, name=str(source.files[0])) if source.files else source.name
    return {"video": source.origin or video, **_range(source.frames)}


def _range(frames: FrameRange) -> dict[str, Any]:
    return {"start": frames.start, "stop": frames.stop, "stride": frames.stride}


def finished_result(
    folder: Path,
    source: FrameSource,
    options: PredictionOptions,
    fingerprint: Fingerprint,
    *,
    on_drawing: Callable[[int], None],
) -> Prediction | None:
    """Return the finished result of a folder where it is to be kept, after writing what is missing of its files.

    Returns:
        None if there is work to do: the folder is free, or its run is to be continued or replaced.

    Raises:
        InputError: If the folder holds a result or an unfinished run, and nothing was said of it, or of another run;
            or a result, where a stream or camera is to be continued.
    """
    remove_leftovers(folder)
    path, unfinished = folder / FILE_NAMES["result"], folder / RUN_FOLDER
    if options.overwrite:
        _remove_run(folder)
        return None
    if not options.resume:
        if path.exists():
            raise InputError(
                f"{folder} holds a result already: add --overwrite to replace it, or choose another folder."
            )
        if any(unfinished.glob("*.safetensors")):
            raise InputError(
                f"{folder} holds an unfinished run: add --resume to continue it, or --overwrite to start over."
            )
        _remove_run(folder)  # It ended before it had kept anything.
        return None
    if unfinished.exists() or not path.exists():
        return None
    if source.is_live:
        raise InputError(
            f"{folder} holds the result of an earlier recording, and what '{source.name}' sends now is another: "
            f"{REMEDY}."
        )
    record = folder / FINGERPRINT_FILE
    earlier = Fingerprint.read(record, remedy=REMEDY)
    if earlier is None:
        raise InputError(f"{folder} holds a result, but no {FINGERPRINT_FILE} that says of which run: {REMEDY}.")
    fingerprint.require(earlier, where=folder, remedy=REMEDY)
    result = VideoResult.load(path)
    places = {name: folder / FILE_NAMES[name] for name in options.wanted}
    missing = tuple(name for name, place in places.items() if not place.exists())
    if missing:
        save_result(result, folder, source=source, outputs=missing, video_id=options.video_id, progress=on_drawing)
    files = SavedFiles(folder=folder, **{name: place for name, place in places.items() if place.exists()})
    return Prediction(result=result, files=files, is_complete=result.problem is None, was_there=not missing)


def finish(
    folder: Path,
    options: PredictionOptions,
    fingerprint: Fingerprint,
    *,
    is_complete: bool,
    looks: Appearance | None = None,
) -> None:
    """Write the looks of the tracks and what the outputs belong to, and remove what another run left."""
    if looks:
        save_appearance(looks, folder)
    else:
        (folder / APPEARANCE_FILE).unlink(missing_ok=True)
    remove_other_outputs(folder, options.wanted)
    fingerprint.write(folder / FINGERPRINT_FILE)
    if is_complete:
        _remove_run(folder)


def _remove_run(folder: Path) -> None:
    """Remove what is kept of an unfinished run: at once by its name, so that a kill leaves no half of it to resume."""
    unfinished = folder / RUN_FOLDER
    if unfinished.exists():
        removed = unfinished.with_name(f"{RUN_FOLDER}.finished.partial")  # A leftover, should a kill come now.
        shutil.rmtree(removed, ignore_errors=True)
        unfinished.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
