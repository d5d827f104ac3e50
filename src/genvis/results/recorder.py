"""From the frames of a live session to the result of a video, in little memory."""

from collections.abc import Mapping

from genvis.errors import InputError
from genvis.masks import RLEMask
from genvis.results.types import FrameResult, FrameStamp, Track, VideoResult


class ResultRecorder:
    """Collects the results of a session, frame by frame, as compressed masks.

    Label and score of a track are those of the last frame that reports it.

    Args:
        name: Name of the video.
        category_ids: The data set's category id of each contiguous class; None leaves class k with id k.
        categories_name: Name of those categories; empty if it has none.
        resume: A result to continue, for example one loaded from a folder.
    """

    def __init__(
        self,
        *,
        name: str,
        category_ids: Mapping[int, int] | None = None,
        categories_name: str = "",
        resume: VideoResult | None = None,
    ) -> None:
        self.name = name
        self._category_ids = category_ids
        self._categories_name = categories_name
        self._size: tuple[int, int] | None = None
        self._frames: list[FrameStamp] = []
        self._masks: dict[int, dict[int, RLEMask]] = {}
        self._latest: dict[int, tuple[str, int, float]] = {}
        if resume is not None:
            self._continue(resume)

    def add(self, frame: FrameResult) -> None:
        """Take the result of the next frame.

        Raises:
            InputError: If the frame has another size than those before, or does not come after them.
        """
        size = (frame.height, frame.width)
        if self._size not in (None, size):
            raise InputError(f"A frame of {size} cannot join '{self.name}', whose frames are {self._size}.")
        if self._frames and frame.stamp.index <= self._frames[-1].index:
            raise InputError(
                f"Frame {frame.stamp.index} cannot follow frame {self._frames[-1].index} of '{self.name}'."
            )
        self._size = size
        position = len(self._frames)
        self._frames.append(frame.stamp)
        for instance in frame:
            self._latest[instance.id] = (instance.label, instance.label_id, instance.score)
            if instance.mask.any():
                self._masks.setdefault(instance.id, {})[position] = RLEMask.encode(instance.mask)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def last_index(self) -> int:
        """Place in the source of the last frame; -1 before the first."""
        return self._frames[-1].index if self._frames else -1

    @property
    def objects(self) -> int:
        """Tracks so far."""
        return len(self._latest)

    def result(self, *, problem: str | None = None) -> VideoResult:
        """Return all that was recorded so far.

        Args:
            problem: What the source could not deliver.

        Raises:
            InputError: If no frame was recorded.
        """
        if self._size is None:
            raise InputError(f"'{self.name}' has no frame.")
        return VideoResult(
            name=self.name,
            height=self._size[0],
            width=self._size[1],
            frames=tuple(self._frames),
            tracks=tuple(self._track(track_id) for track_id in self._latest),
            categories_name=self._categories_name,
            problem=problem,
        )

    def _track(self, track_id: int) -> Track:
        label, label_id, score = self._latest[track_id]
        masks = self._masks.get(track_id, {})
        return Track(
            id=track_id,
            label=label,
            label_id=label_id,
            category_id=label_id if self._category_ids is None else self._category_ids[label_id],
            score=score,
            masks=tuple(masks.get(position) for position in range(len(self._frames))),
        )

    def _continue(self, result: VideoResult) -> None:
        self._size = (result.height, result.width)
        self._frames = list(result.frames)
        for track in result.tracks:
            self._latest[track.id] = (track.label, track.label_id, track.score)
            self._masks[track.id] = {place: mask for place, mask in enumerate(track.masks) if mask is not None}
