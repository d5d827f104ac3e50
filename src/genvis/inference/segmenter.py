"""VideoSegmenter: a model, how to run it, and videos."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genvis.errors import InputError, SourceLost
from genvis.inference.run_setup import RunSetup
from genvis.inference.scoring import Selection
from genvis.inference.session import Session
from genvis.inference.video_run import VideoRun
from genvis.inference.windows.clip_windows import ClipWindows
from genvis.results.overlaps import Overlaps
from genvis.results.types import FrameResult, VideoResult
from genvis.video import Frame, Source, open_source, prefetch
from genvis.video.sources.frames_in_memory import FrameLike, rgb_pixels

if TYPE_CHECKING:
    import supervision

FrameT = TypeVar("FrameT", bound=FrameLike)

# Below this probability that an object is visible in a clip, its mask there is left out of resolved results.
PRESENCE_THRESHOLD = 0.3
# Past clips that the memory of a session keeps by default, so that endless streams need bounded memory.
SESSION_MEMORY_CLIPS = 500


@dataclass(frozen=True)
class Progress:
    """State of a video's run, for people who wait for it.

    Attributes:
        frames: Frames done.
        total: Frames in all, if the source tells.
        objects: Tracks with a class score of at least 0.3 so far.
    """

    frames: int
    total: int | None
    objects: int


class VideoSegmenter(RunSetup):
    """Finds, segments and tracks the objects of videos and streams.

    Made from a model and how to run it: the arguments are those of `RunSetup`, which sessions and runs share::

        segmenter = VideoSegmenter("videomt-s-ytvis2019", resolution=360)
        result = segmenter.segment("ride.mp4")
    """

    def segment(
        self,
        source: Source,
        *,
        detections: int | None = None,
        score_threshold: float = 0.0,
        overlaps: Overlaps = "resolve",
        one_label_each: bool | None = None,
        presence_threshold: float | None = None,
        bgr: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> VideoResult:
        """Segment a whole video with the published scores and selection, in bounded memory.

        Args:
            source: A file, a folder or pattern of images, an array (T, H, W, 3) uint8 RGB, frames of any kind that
                `Session.step` takes, or what else `genvis.video.open_source` takes.
            detections: How many pairs of track and class are selected at most. None takes the model's number, and with
                an archive one more for each track that it can hold.
            score_threshold: Tracks with a lower final score are dropped.
            overlaps: ``"resolve"`` gives every pixel to one track and drops duplicates; ``"keep"`` keeps all masks, as
                the published evaluation does.
            one_label_each: Keep only the best class of a track. None does so where overlaps are resolved.
            presence_threshold: Masks of clips in which a track is visible with a lower probability are left out. None
                takes 0.3 where overlaps are resolved, and else 0, which keeps all.
            bgr: Whether arrays are BGR, as OpenCV gives them.
            on_progress: Called after every clip.

        Returns:
            The tracks, best first. If the source broke off, ``problem`` says where; all before it is segmented.

        Raises:
            InputError: If the source has no readable frame or cannot be opened.
        """
        selection = self.selection(
            detections=detections,
            score_threshold=score_threshold,
            one_label_each=overlaps == "resolve" if one_label_each is None else one_label_each,
        )
        with open_source(source, bgr=bgr) as opened, prefetch(opened) as frames:
            run = self.start(name=frames.name, overlaps=overlaps, presence_threshold=presence_threshold)
            try:
                for clip in self.clips(frames):
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
        presence_threshold: float | None = None,
        overlaps: Overlaps = "resolve",
        frame_rate: float = 24.0,
        resume: str | Path | None = None,
    ) -> Session:
        """Open a causal session for one video or stream.

        Args:
            score_threshold: Objects with a lower score so far are not reported.
            presence_threshold: Nor are those that are visible in the current clip with a lower probability: the model
                says "no object" where a known object is occluded. None as in `segment`.
            overlaps: As in `segment`, frame by frame.
            frame_rate: For the times of frames that carry none.
            resume: A file of `Session.save` to continue.

        Raises:
            InputError: If a number is out of range, the model is an offline one, or the file does not fit.
        """
        if not 0 <= score_threshold <= 1:
            raise InputError(f"score_threshold is {score_threshold}; it must be within 0..1.")
        if not 0 < frame_rate < math.inf:
            raise InputError(f"frame_rate is {frame_rate}; it must be a number of frames per second above 0.")
        if not self.tracker.is_causal:
            raise InputError("A VITA model sees the whole video at once, so it has no sessions: use a GenVIS model.")
        session = Session(
            self.for_endless_streams(SESSION_MEMORY_CLIPS),
            score_threshold=score_threshold,
            presence_threshold=_presence(presence_threshold, overlaps),
            overlaps=overlaps,
            frame_rate=frame_rate,
        )
        if resume is not None:
            session.load(resume)
        return session

    def segment_stream(
        self, frames: Iterable[FrameLike], *, session: Session | None = None, bgr: bool = False
    ) -> Iterator[FrameResult]:
        """Deliver the result of every frame as soon as its clip is complete.

        Args:
            frames: Frames of a source, or of any kind that `Session.step` takes.
            session: The session to continue; None opens one.
            bgr: Whether arrays are BGR, as OpenCV gives them.
        """
        session = session or self.open_session()
        for clip in self.clips(frames, session.windows, bgr=bgr):
            yield from session.step_clip(clip, bgr=bgr)

    def stream(
        self, source: Source, *, session: Session | None = None, bgr: bool = False
    ) -> "Iterator[tuple[Frame, supervision.Detections]]":
        """Deliver every frame of a source with its objects as ``supervision.Detections``, as soon as they are known.

        Args:
            source: As in `segment`; cameras and streams too.
            session: The session to continue; None opens one.
            bgr: Whether arrays are BGR, as OpenCV gives them.

        Raises:
            SourceLost: After the last frame, if a live source dropped and did not come back.
            InputError: After the last frame, if frames of a file were missing or damaged.
        """
        session = session or self.open_session()
        with open_source(source, bgr=bgr) as frames, prefetch(frames, drop_late=frames.is_live) as arriving:
            for clip in self.clips(arriving, session.windows):
                for frame, found in zip(clip, session.step_clip(clip), strict=True):
                    yield frame, found.to_supervision()
            if frames.problem is not None:
                raise SourceLost(frames.problem) if frames.is_live else InputError(frames.problem)

    def start(
        self,
        *,
        name: str,
        overlaps: Overlaps = "resolve",
        presence_threshold: float | None = None,
        folder: Path | None = None,
        source: dict[str, Any] | None = None,
    ) -> VideoRun:
        """Begin a whole video by hand, clip after clip.

        Args:
            name: Name of the video.
            overlaps: As in `segment`.
            presence_threshold: As in `segment`.
            folder: Where an interrupted run is kept: see `VideoRun`.
            source: Identity of the video, for runs that are resumed: see `VideoRun`.
        """
        return VideoRun(
            self,
            name=name,
            overlaps=overlaps,
            presence_threshold=_presence(presence_threshold, overlaps),
            folder=folder,
            source=source,
        )

    def selection(
        self, *, detections: int | None = None, score_threshold: float = 0.0, one_label_each: bool = True
    ) -> Selection:
        """Return which pairs of track and class a result holds, with the model's defaults.

        With an archive a video has more tracks than the model has queries: as many more pairs are kept.
        """
        if detections is None:
            detections = self.model.config.detections_per_video + (self.archive.size if self.archive else 0)
        return Selection(
            detections=detections,
            score_threshold=score_threshold,
            classes=self.classes,
            one_label_each=one_label_each,
        )

    def clips(
        self, frames: Iterable[FrameT], windows: ClipWindows | None = None, *, bgr: bool = False
    ) -> Iterator[list[FrameT]]:
        """Group frames to clips; the last may be shorter, and those before a scene change where clips adapt.

        Args:
            frames: Of a source, or of any kind that `Session.step` takes.
            windows: Of the session or run that takes the clips, where it has seen frames before; None begins anew.
            bgr: Whether arrays are BGR, as OpenCV gives them.
        """
        windows = (windows or self.new_windows()).copy()  # What takes the clips looks at their frames itself.
        clip: list[FrameT] = []
        for frame in frames:
            if self.adapts_clips and windows.starts_scene(rgb_pixels(frame, bgr=bgr)) and clip:
                yield clip
                clip = []
            clip.append(frame)
            if len(clip) == self.frames_at_once:
                yield clip
                clip = []
        if clip:
            yield clip


def _presence(threshold: float | None, overlaps: Overlaps) -> float:
    if threshold is None:
        return PRESENCE_THRESHOLD if overlaps == "resolve" else 0.0
    if not 0 <= threshold <= 1:
        raise InputError(f"presence_threshold is {threshold}; it must be within 0..1.")
    return threshold
