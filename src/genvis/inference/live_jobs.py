"""Live jobs: a stream into one folder, every frame drawn and written as it comes."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count, dropwhile
from pathlib import Path

from genvis.files import make_folder, write_json
from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, claim, turn
from genvis.inference import jobs
from genvis.inference.jobs import (
    REMEDY,
    RUN_FOLDER,
    Prediction,
    PredictionOptions,
    finish,
    finished_result,
    prediction_fingerprint,
)
from genvis.inference.segmenter import Progress, VideoSegmenter
from genvis.results.output_folder import SavedFiles, save_result, sheet_title
from genvis.results.output_names import FILE_NAMES, PICTURES
from genvis.results.recorder import ResultRecorder
from genvis.results.types import VideoResult
from genvis.video import FrameSource, prefetch
from genvis.video.drawing.contact_sheet import ContactSheet
from genvis.video.writing.background_writer import BackgroundWriter
from genvis.video.writing.video_writer import part_of, video_writer

SESSION_FILE, RECORDED_FILE = "session.safetensors", "recorded-{}.json"


def predict_live(
    segmenter: VideoSegmenter,
    source: FrameSource,
    folder: Path,
    options: PredictionOptions,
    *,
    session_file: Path | None = None,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Prediction:
    """Segment a stream causally: every frame is drawn and written as it comes, and stays usable whatever happens.

    A file that was interrupted is continued with ``options.resume``; its pictures are then drawn at the end. The video
    that a killed run of a stream left is kept under another name, unless ``options.overwrite`` says otherwise.

    Args:
        segmenter: The model and how to run it.
        source: The opened camera, stream or file.
        folder: Where the outputs go.
        options: What to write; the selection is the session's own.
        session_file: Session that this run continues if the file exists, and where it is kept, every 30 seconds and at
            the end, to be continued with other videos; None keeps it nowhere.
        on_progress: Called after every clip.
        should_stop: Asked after every clip.

    Raises:
        InputError: If no frame came, the folder holds another run or its results, or another process works in it.
        OutputError: If it cannot be written.
    """
    fingerprint = prediction_fingerprint(segmenter, source, options, live=True)
    with claim(folder):
        finished = finished_result(folder, source, options, fingerprint, on_drawing=lambda _: None)
        if finished is not None:
            return finished
        run = LiveRun(segmenter, source, folder, options, session_file=session_file, fingerprint=fingerprint)
        with ExitStack() as stack:
            draws = "video" in options.outputs and not run.is_continued
            video = folder / FILE_NAMES["video"] if draws else None
            if video and source.is_live and not options.overwrite:
                run.keep_earlier_video(video)
            writer = video and stack.enter_context(BackgroundWriter(video_writer(video, source)))
            frames = stack.enter_context(prefetch(source, drop_late=source.is_live, should_stop=should_stop))
            remaining = dropwhile(lambda frame: frame.index <= run.last_index, frames)
            for clip in segmenter.clips(remaining, run.session.windows):
                for frame, found in zip(clip, run.session.step_clip(clip), strict=True):
                    run.recorder.add(found)
                    if writer:
                        writer.write(partial(found.draw, frame.image), time=frame.time)
                    tile = found.draw(run.sheet.fit(frame.image)) if run.sheet.wants_next else None
                    run.sheet.add(tile, time=frame.time, index=frame.index)
                on_progress(Progress(len(run.recorder), source.frame_count, run.recorder.objects))
                run.save_sometimes()
                if should_stop():
                    break
            is_stopped = should_stop()
        run.save()
        is_interrupted = is_stopped and not source.is_live  # A stream ends when it is stopped.
        problem = source.problem
        if is_interrupted:
            problem = f"{jobs.INTERRUPTED} after {len(run.recorder)} frames; --resume continues it"
        result, files = run.write(problem=problem, video=video)
        is_complete = result.problem is None
        finish(folder, options, fingerprint, is_complete=not is_interrupted)
    return Prediction(
        result=result,
        files=files,
        is_complete=is_complete,
        was_stopped=is_interrupted,
        notes=(*run.notes, *frames.notes),
    )


class LiveRun:
    """State of a live job: the session, what it reported so far, and how both outlive the process.

    A file can be read again, so its unfinished run is kept in the folder and continued. A stream cannot: of it only the
    session file is kept.

    Args:
        segmenter: The model and how to run it.
        source: The opened camera, stream or file.
        folder: Where the outputs go.
        options: What to write.
        session_file: Session that this run continues and keeps; None for none.
        fingerprint: What the run belongs to.

    Raises:
        InputError: If there is an unfinished run or a session of other settings, or one is damaged.
    """

    def __init__(
        self,
        segmenter: VideoSegmenter,
        source: FrameSource,
        folder: Path,
        options: PredictionOptions,
        *,
        session_file: Path | None,
        fingerprint: Fingerprint,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self.sheet = ContactSheet()
        self._source, self._folder, self._options = source, folder, options
        self._session_file = session_file
        # A file can be read again, so that its unfinished run is kept.
        self._run_folder = None if source.is_live else make_folder(folder / RUN_FOLDER)
        self._save_at = time.monotonic() + jobs.SAVE_EVERY_SECONDS
        unfinished = None if self._run_folder is None else self._run_folder / SESSION_FILE
        if self._run_folder is not None:
            fingerprint.bind(self._run_folder / FINGERPRINT_FILE, remedy=REMEDY)
        self.is_continued = unfinished is not None and unfinished.exists()
        resume = unfinished if self.is_continued else session_file
        self.session = segmenter.open_session(
            score_threshold=options.score_threshold,
            overlaps=options.kept_overlaps,
            resume=resume if resume is not None and resume.exists() else None,
        )
        self.recorder = ResultRecorder(
            name=source.name,
            category_ids=dict(enumerate(segmenter.categories.ids)),
            categories_name=segmenter.categories.name,
            resume=VideoResult.load(self._recorded_file()) if self.is_continued else None,
        )
        if self.session.frames_seen and not self.is_continued:
            self.notes = (
                (
                    f"The session '{session_file}' goes on with its track ids after {self.session.frames_seen} frames; "
                    f"'{source.name}' itself is read from its beginning."
                ),
            )

    def keep_earlier_video(self, video: Path) -> None:
        """Rename the video of a run that was killed: a stream does not send it again.

        Args:
            video: Where the annotated video goes.
        """
        part = part_of(video)
        if not part.exists():
            return
        names = (video.with_name(f"{video.stem}.killed-{number}{video.suffix}") for number in count(1))
        kept = next(name for name in names if not name.exists())
        part.rename(kept)
        self.notes = (*self.notes, f"The video of an earlier run that was killed is kept as '{kept}'.")

    @property
    def last_index(self) -> int:
        """Place in the source of the last frame that was taken; -1 before the first."""
        return self.recorder.last_index

    def _recorded_file(self) -> Path:
        """Return the file of what the session reported up to its present frame."""
        assert self._run_folder is not None
        return self._run_folder / RECORDED_FILE.format(self.session.frames_seen)

    def save_sometimes(self) -> None:
        """Keep what is done every 30 seconds, or more rarely where that takes more than a twentieth of the time."""
        began = time.monotonic()
        if began >= self._save_at:
            self.save()
            ended = time.monotonic()
            self._save_at = ended + max(jobs.SAVE_EVERY_SECONDS, 20 * (ended - began))

    def save(self) -> None:
        """Keep the session, and of a file what was reported so far.

        Raises:
            OutputError: If the disk is full.
        """
        if self._run_folder is not None and len(self.recorder):
            # The session names its record by its number of frames: the two always fit, whenever the process ends.
            recorded = self._recorded_file()
            write_json(recorded, self.recorder.result().to_json())
            self.session.save(self._run_folder / SESSION_FILE)
            for old in self._run_folder.glob(RECORDED_FILE.format("*")):
                if old != recorded:
                    old.unlink()
        if self._session_file is not None:
            # After the run's own: a run that is continued must not find frames in it that it has not recorded.
            with turn(self._session_file):
                self.session.save(self._session_file)

    def write(self, *, problem: str | None, video: Path | None) -> tuple[VideoResult, SavedFiles]:
        """Write the outputs of what was reported.

        Args:
            problem: What the source could not deliver.
            video: The annotated video, where it was drawn on the way.

        Raises:
            InputError: If there was no frame.
            OutputError: If a file cannot be written.
        """
        options, result = self._options, self.recorder.result(problem=problem)
        redrawn = self.is_continued  # What was drawn before the interruption is lost.
        outputs = tuple(name for name in options.wanted if redrawn or name not in PICTURES)
        files = save_result(
            result,
            self._folder,
            source=self._source if redrawn else None,
            outputs=outputs,
            video_id=options.video_id,
        )
        if redrawn:
            return result, files
        contact_sheet = None
        if "contact_sheet" in options.outputs:
            self.sheet.title = sheet_title(result)
            contact_sheet = self._folder / FILE_NAMES["contact_sheet"]
            self.sheet.save(contact_sheet)
        return result, replace(files, video=video, contact_sheet=contact_sheet)
