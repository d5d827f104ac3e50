"""Options of memory matching and of the archive of track ids; light to import, for command lines."""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from genvis.errors import InputError

ArchivedLooks = Literal["detections", "queries"]


@dataclass(frozen=True, kw_only=True)
class MemoryMatchingOptions:
    """Options of memory matching; the defaults were chosen on generated validation videos (docs/reproduction.md).

    Attributes:
        detection_threshold: Detections with a lower score (class probability times mean mask probability) are ignored.
        birth_score: An unmatched detection starts a new track from this score on.
        nms_iou: Of two detections whose masks overlap by this IoU or more, the better one is kept. 1 keeps all but
            exact copies.
        match_threshold: Least similarity of a match: appearance (a cosine) + position_weight x mask IoU +
            class_weight x probability of the class.
        position_weight: How much the IoU with a track's last mask counts beside its appearance. Small where objects or
            the camera move fast, 0 for appearance alone, large where objects look alike.
        position_frames: For so many frames after it was last found, a track's last mask counts.
        velocity_gain: How far one frame corrects a track's velocity, 0 to 1, by which its last mask is moved before it
            is compared; 0 leaves masks where they were. For even frame rates, and objects that move steadily.
        class_weight: How much it counts that a track had the detection's class.
        bank_size: B, how many queries of a track are remembered.
        nearest: How many of them, the most similar ones, a detection is compared with.
        keep_frames: For how many frames an unseen track is remembered; if its object comes back later, it gets a new
            id, or is found in an archive, to which the track goes after ``absent_frames`` if these are fewer.
        confirmed_after: A track is kept so long only if it was found in so many frames; others, mostly false ones,
            are forgotten after ``keep_unconfirmed``.
        keep_unconfirmed: For how many frames an unseen track is remembered that was found in fewer frames.
        max_tracks: How many tracks are remembered at most; beyond, the longest unseen is forgotten.
        sure_after: A track's score rises until it was found in so many frames.

    Raises:
        InputError: If a value is out of range.
    """

    detection_threshold: float = 0.1
    birth_score: float = 0.25
    nms_iou: float = 0.35
    match_threshold: float = 0.9
    position_weight: float = 1.0
    position_frames: int = 3
    velocity_gain: float = 0.0
    class_weight: float = 0.3
    bank_size: int = 10
    nearest: int = 3
    keep_frames: int = 1000
    confirmed_after: int = 3
    keep_unconfirmed: int = 10
    max_tracks: int = 256
    sure_after: int = 15

    def __post_init__(self) -> None:
        for name in ("detection_threshold", "birth_score", "nms_iou", "velocity_gain"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a number from 0 to 1.")
        for name in ("position_weight", "class_weight"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more.")
        for name in ("bank_size", "nearest", "max_tracks", "confirmed_after", "sure_after"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")
        for name in ("position_frames", "keep_frames", "keep_unconfirmed"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give a number of frames, 0 or more.")

    def settings(self) -> dict[str, int | float]:
        """Return all options by name; what came later only where it is used, so that runs from before go on."""
        settings = asdict(self)
        if not self.velocity_gain:
            del settings["velocity_gain"]
        return settings


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """Options of the archive of track ids; the defaults were chosen on generated validation videos (docs/inference.md).

    Attributes:
        size: How many tracks that left are remembered at most; beyond, the longest unseen is forgotten. 0 does without
            an archive: for ``propagation`` a track id is a query for ever, and ``memory`` forgets as it does.
        absent_frames: After so many frames without its object, a query is freed for another one; ``memory`` archives a
            track after so many or ``keep_frames``, whichever is fewer.
        looks: By what tracks of GenVIS are compared: ``"detections"``, the detector's frame queries under their masks,
            which tell objects apart best where the detector learned to (``loss.identity``); or ``"queries"``, their
            own queries, for which 0.6 and 0.8 are the better thresholds below. Others have only the one or the other.
        split_below: An object that is less like what its query held so far (a cosine) is another one, which has taken
            the query over. -1 never splits. Not of ``memory``.
        undo_above: If the query soon looks so like the track before again (a cosine), that returns, and the other one,
            seen in fewer frames than ``confirmed_after``, is forgotten. 1 never undoes. Not of ``memory``.
        match_threshold: An archived track comes back for a new object that is so like it: appearance (a cosine) + 0.3 x
            probability of the class; at most 1.3.
        margin: And that is by so much less like any other archived track.
        cut_caution: By so much ``match_threshold`` is greater over a scene change, which ``clip_length="auto"`` finds.
        confirmed_after: A track is archived, or split, only after it was seen so often; others are mostly false.
        restart_queries: Whether a freed query of the network starts anew, from its learned embedding and without a
            memory, instead of from what it held last. Not of ``memory``.

    Raises:
        InputError: If a value is out of range.
    """

    size: int = 1000
    absent_frames: int = 60
    looks: ArchivedLooks = "detections"
    split_below: float = 0.3
    undo_above: float = 0.4
    match_threshold: float = 1.2
    margin: float = 0.1
    cut_caution: float = 0.09
    confirmed_after: int = 5
    restart_queries: bool = False

    def __post_init__(self) -> None:
        if self.looks not in get_args(ArchivedLooks):
            raise InputError(f"looks is '{self.looks}'; choose from {', '.join(get_args(ArchivedLooks))}.")
        for name in ("size", "confirmed_after"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give a number of 0 or more.")
        if self.absent_frames < 1:
            raise InputError(f"absent_frames is {self.absent_frames}; give 1 or more.")
        for name in ("split_below", "undo_above"):
            if not -1 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it is a cosine: give a number from -1 to 1.")
        for name in ("match_threshold", "margin", "cut_caution"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more.")
