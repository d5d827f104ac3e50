"""The main entry: a model, how to run it, and videos."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from genvis.categories import Categories
from genvis.errors import InputError
from genvis.inference.run_setup import RunSetup
from genvis.inference.scoring import Selection
from genvis.inference.session import Session
from genvis.inference.trackers.propagation import Association
from genvis.inference.video_run import VideoRun
from genvis.model.genvis import GenVIS
from genvis.results.types import FrameResult, VideoResult
from genvis.video import Frame, Source, open_source, prefetch

FrameT = TypeVar("FrameT")


@dataclass(frozen=True)
class Progress:
    """How far a video is.

    Attributes:
        frames: Frames done.
        total: Frames in all, if the source tells.
        objects: Identities with a class score of at least 0.3 so far.
    """

    frames: int
    total: int | None
    objects: int


class VideoSegmenter:
    """Finds, segments and tracks every object of videos.

    Args:
        model: The network; it is put into evaluation mode. Move it to a device and type beforehand
            (``model.to("cuda")``).
        clip_length: Frames of a clip: 1 is online, more is semi-online. None takes the model's.
        min_size: Frames are resized so that the shorter side has this many pixels. None takes the model's.
        max_size: Greatest length of the longer side. None takes the model's.
        memory_clips: How many past clips the prototype memory keeps. None takes the model's, which is all.
        classes: Names of the only classes to look for. None looks for all.
        association: ``"matching"`` replaces propagation by matching the queries of consecutive clips, as the baselines
            do. None takes what the model was made for.

    Raises:
        InputError: If a number is out of range or a class is unknown.
    """

    def __init__(
        self,
        model: GenVIS,
        *,
        clip_length: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        memory_clips: int | None = None,
        classes: Sequence[str] | None = None,
        association: Association | None = None,
    ) -> None:
        self.setup = RunSetup(
            model,
            clip_length=clip_length,
            min_size=min_size,
            max_size=max_size,
            memory_clips=memory_clips,
            classes=classes,
            association=association,
        )

    @property
    def model(self) -> GenVIS:
        """The network."""
        return self.setup.model

    @property
    def labels(self) -> Categories:
        """The classes of the model."""
        return self.setup.labels

    def segment(
        self,
        source: Source,
        *,
        detections: int | None = None,
        score_threshold: float = 0.0,
        one_label_each: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> VideoResult:
        """Segment a whole video with the published scores and selection, in bounded memory.

        Args:
            source: A file, a folder or pattern of images, an array (T, H, W, 3) uint8 RGB, an iterable of frames, or
                what else `genvis.video.open_source` takes.
            detections: How many pairs of identity and class are selected at most. None takes the model's number.
            score_threshold: Tracks with a lower final score are dropped.
            one_label_each: Keep only the best class of an identity.
            on_progress: Called after every clip.

        Returns:
            The tracks, best first. If the source broke off, ``problem`` says where; all before it is segmented.

        Raises:
            InputError: If the source has no readable frame or cannot be opened.
        """
        selection = self.selection(
            detections=detections, score_threshold=score_threshold, one_label_each=one_label_each
        )
        with open_source(source) as frames:
            run = self.start(name=frames.name)
            try:
                for clip in self.clips(prefetch(frames)):
                    run.add(clip)
                    if on_progress is not None:
                        on_progress(Progress(run.frames_done, frames.frame_count, run.objects(0.3)))
                return run.result(selection, problem=frames.problem)
            finally:
                run.close()

    def open_session(
        self,
        *,
        score_threshold: float = 0.3,
        presence_threshold: float = 0.1,
        frame_rate: float = 24.0,
        resume: str | Path | None = None,
    ) -> Session:
        """Open a causal session for one video or stream.

        Args:
            score_threshold: Objects with a lower score so far are not reported.
            presence_threshold: Nor are those whose class has a lower probability in the current clip: the model
                says "no object" where a known object is out of sight.
            frame_rate: For the times of frames that carry none.
            resume: A file of `Session.save` to continue.

        Raises:
            InputError: If the model is an offline one, or the file does not fit.
        """
        if self.setup.is_offline:
            raise InputError("A VITA model sees the whole video at once, so it has no sessions: use a GenVIS model.")
        session = Session(
            self.setup, score_threshold=score_threshold, presence_threshold=presence_threshold, frame_rate=frame_rate
        )
        if resume is not None:
            session.load(resume)
        return session

    def segment_stream(
        self, frames: Iterable[NDArray[np.uint8] | Frame], *, session: Session | None = None
    ) -> Iterator[FrameResult]:
        """Deliver the result of every frame as soon as its clip is complete.

        Args:
            frames: (H, W, 3) uint8 RGB, or the frames of a source.
            session: The session to continue; None opens one.
        """
        session = session or self.open_session()
        for clip in self.clips(frames):
            yield from session.step_clip(clip)

    def start(self, *, name: str, folder: Path | None = None) -> VideoRun:
        """Begin a whole video by hand: see `VideoRun`."""
        return VideoRun(self.setup, name=name, folder=folder)

    def selection(
        self, *, detections: int | None = None, score_threshold: float = 0.0, one_label_each: bool = False
    ) -> Selection:
        """Return which pairs of identity and class become tracks, with the model's defaults."""
        return Selection(
            detections=self.setup.model.config.detections_per_video if detections is None else detections,
            score_threshold=score_threshold,
            classes=self.setup.classes,
            one_label_each=one_label_each,
        )

    def clips(self, frames: Iterable[FrameT]) -> Iterator[list[FrameT]]:
        """Group frames to clips; the last may be shorter."""
        clip: list[FrameT] = []
        for frame in frames:
            clip.append(frame)
            if len(clip) == self.setup.frames_at_once:
                yield clip
                clip = []
        if clip:
            yield clip
