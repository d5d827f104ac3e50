"""One video into one folder: segment, survive interruptions, write. A job that can be repeated and resumed."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile
from pathlib import Path

from genvis.errors import InputError
from genvis.files import make_folder
from genvis.inference.segmenter import Progress, VideoSegmenter
from genvis.inference.session import Session
from genvis.inference.video_run import VideoRun
from genvis.results.output_folder import FILE_NAMES, PICTURES, OutputName, SavedFiles, save_result, sheet_title
from genvis.results.overlaps import Drawing, shown
from genvis.results.recorder import ResultRecorder
from genvis.results.types import VideoResult
from genvis.video import Frame, FrameSource, prefetch
from genvis.video.drawing.contact_sheet import ContactSheet
from genvis.video.writing.background_writer import BackgroundWriter
from genvis.video.writing.video_writer import video_writer

RUN_FOLDER = ".unfinished"
SAVE_EVERY_SECONDS = 30.0
INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """What to select and to write.

    Attributes:
        outputs: Which files to write; ``result`` always is.
        detections: Pairs of identity and class that are selected at most; None takes the model's number.
        score_threshold: Lower scores are dropped.
        all_labels: Let an identity appear under several classes, as the published evaluation does.
        overwrite: Replace results that are in the folder.
        resume: Continue a run that was interrupted; leave finished results as they are.
        video_id: The data set's id of the video.
        drawing: Which masks pictures show: one per object, or all.
    """

    outputs: tuple[OutputName, ...] = ("result", "youtube_vis", "video", "contact_sheet")
    detections: int | None = None
    score_threshold: float = 0.3
    all_labels: bool = False
    overwrite: bool = False
    resume: bool = False
    video_id: int = 1
    drawing: Drawing = "distinct"


@dataclass(frozen=True)
class Prediction:
    """What became of a video.

    Attributes:
        result: The tracks.
        files: Where the outputs are.
        is_complete: Whether the whole source was segmented; otherwise ``result.problem`` says why not.
        was_there: Whether a finished result was found and left as it is.
        notes: What was done to frames, though none is missing.
    """

    result: VideoResult
    files: SavedFiles
    is_complete: bool
    was_there: bool = False
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
    the same identities.

    Args:
        segmenter: The model and how to run it.
        source: The opened video.
        folder: Where the outputs go.
        options: What to select and to write.
        on_progress: Called after every clip.
        on_drawing: Called with the number of frames drawn so far.
        should_stop: Asked after every clip.

    Raises:
        InputError: If there is no readable frame, the folder holds results already, or it cannot be written.
    """
    finished = _existing(folder, options)
    if finished is not None:
        return finished
    run_folder = make_folder(folder) / RUN_FOLDER
    if not options.resume:
        shutil.rmtree(run_folder, ignore_errors=True)
    selection = segmenter.selection(
        detections=options.detections,
        score_threshold=options.score_threshold,
        one_label_each=not options.all_labels,
    )
    run = segmenter.start(name=source.name, folder=run_folder)
    try:
        run.restore()
        is_complete = _run(segmenter, run, source, on_progress=on_progress, should_stop=should_stop)
        problem = source.problem
        if not is_complete:
            problem = f"{INTERRUPTED} after {run.frames_done} frames; --resume continues it"
        result = run.result(selection, problem=problem)
    finally:
        run.close()
    files = save_result(
        result,
        folder,
        source=None if source.is_live else source,
        outputs=_with_result(options.outputs),
        video_id=options.video_id,
        drawing=options.drawing,
        progress=on_drawing,
    )
    if is_complete:
        shutil.rmtree(run_folder, ignore_errors=True)
    return Prediction(result=result, files=files, is_complete=is_complete and problem is None, notes=source.notes)


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
    frames: Iterator[Frame] = dropwhile(lambda frame: frame.index <= run.last_index, prefetch(source))
    for clip in segmenter.clips(frames):
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


def predict_live(
    segmenter: VideoSegmenter,
    source: FrameSource,
    folder: Path,
    options: PredictionOptions,
    *,
    session: Session,
    session_file: Path | None = None,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Prediction:
    """Segment a stream causally: every frame is drawn and written as it comes, and stays usable whatever happens.

    Args:
        segmenter: The model and how to run it.
        source: The opened camera, stream or file.
        folder: Where the outputs go.
        options: What to write; the selection is the session's own.
        session: Identities so far; it goes on to live after the stream.
        session_file: Where the session is kept, every 30 seconds and at the end; None keeps it nowhere.
        on_progress: Called after every clip.
        should_stop: Asked after every clip.

    Raises:
        InputError: If no frame came, the folder holds results already, or it cannot be written.
    """
    finished = _existing(folder, options)
    if finished is not None:
        return finished
    make_folder(folder)
    labels = segmenter.labels
    recorder = ResultRecorder(name=source.name, category_ids=dict(enumerate(labels.ids)), categories_name=labels.name)
    sheet = ContactSheet()
    saved_at = time.monotonic()
    with ExitStack() as stack:
        video = folder / FILE_NAMES["video"] if "video" in options.outputs else None
        writer = video and stack.enter_context(BackgroundWriter(video_writer(video, source)))
        frames = stack.enter_context(prefetch(source, drop_late=source.is_live, should_stop=should_stop))
        for clip in segmenter.clips(frames):
            for frame, found in zip(clip, session.step_clip(clip), strict=True):
                recorder.add(found)
                visible = shown(found, options.drawing)
                if writer:
                    writer.write(partial(visible.draw, frame.image), time=frame.time)
                tile = visible.draw(sheet.fit(frame.image)) if sheet.wants_next else None
                sheet.add(tile, time=frame.time, index=frame.index)
            on_progress(Progress(len(recorder), source.frame_count, recorder.objects))
            if session_file is not None and time.monotonic() - saved_at > SAVE_EVERY_SECONDS:
                session.save(session_file)
                saved_at = time.monotonic()
            if should_stop():
                break
        is_stopped = should_stop()
    if session_file is not None:
        session.save(session_file)
    result = recorder.result(problem=source.problem)
    outputs = tuple(name for name in _with_result(options.outputs) if name not in PICTURES)
    files = save_result(result, folder, outputs=outputs, video_id=options.video_id)
    contact_sheet = None
    if "contact_sheet" in options.outputs:
        sheet.title = sheet_title(result)
        contact_sheet = folder / FILE_NAMES["contact_sheet"]
        sheet.save(contact_sheet)
    files = SavedFiles(
        folder=files.folder,
        result=files.result,
        youtube_vis=files.youtube_vis,
        mots=files.mots,
        pngs=files.pngs,
        video=video,
        contact_sheet=contact_sheet,
    )
    is_complete = result.problem is None and (source.is_live or not is_stopped)
    return Prediction(result=result, files=files, is_complete=is_complete, notes=frames.notes)


def _existing(folder: Path, options: PredictionOptions) -> Prediction | None:
    """Return the finished result of a folder where it is to be kept."""
    path = folder / FILE_NAMES["result"]
    if not path.exists() or options.overwrite:
        return None
    if not options.resume:
        raise InputError(f"{folder} holds a result already: add --overwrite to replace it, or choose another folder.")
    if (folder / RUN_FOLDER).exists():
        return None
    places = {name: folder / FILE_NAMES[name] for name in _with_result(options.outputs)}
    files = SavedFiles(folder=folder, **{name: place for name, place in places.items() if place.exists()})
    result = VideoResult.load(path)
    return Prediction(result=result, files=files, is_complete=result.problem is None, was_there=True)


def _with_result(outputs: tuple[OutputName, ...]) -> tuple[OutputName, ...]:
    return tuple(dict.fromkeys(("result", *outputs)))
