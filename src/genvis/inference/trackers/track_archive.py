"""Archive of tracks that left: number, prototype, classes and slot of each, in bounded memory."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from genvis.errors import InputError
from genvis.inference.trackers.matching_options import ArchiveOptions

# A prototype is the mean over about so many latest observations: that of a whole day would stand still.
WINDOW = 500
PREFIX = "archive."
# How much the probability of the class counts beside the cosine of the appearance.
CLASS_WEIGHT = 0.3


@dataclass(frozen=True, eq=False)
class TrackRecords:
    """Compact records of N tracks, whether they are in a slot or in the archive; on one device.

    Attributes:
        numbers: (N,) int64, the tracker's number of each track.
        last_seen: (N,) int64, frames that the video had when the track was last seen.
        observations: (N,) float32, the probabilities to be visible of the clips in which it was seen, added up, at most
            ``WINDOW``.
        appearance: (N, C) float32, mean of its embeddings of unit length, or 0 where they were not known, by how
            visible it was; their direction is the prototype.
        classes: (N, K) float32, mean of its class probabilities, likewise.
        homes: (N,) int64, the slot that each track is in or was in last; -1 where a tracker has no slots.
    """

    numbers: Tensor
    last_seen: Tensor
    observations: Tensor
    appearance: Tensor
    classes: Tensor
    homes: Tensor

    @classmethod
    def empty(cls, *, channels: int, classes: int, count: int = 0) -> "TrackRecords":
        """Return records of tracks that were never seen and have no numbers (-1).

        Args:
            channels: C.
            classes: K.
            count: N.
        """
        return cls(
            numbers=torch.full((count,), -1),
            last_seen=torch.zeros(count, dtype=torch.int64),
            observations=torch.zeros(count),
            appearance=torch.zeros(count, channels),
            classes=torch.zeros(count, classes),
            homes=torch.full((count,), -1),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def fits(self, others: "TrackRecords") -> bool:
        """Return whether these are as many tracks as others, with as many channels and classes."""
        return self.appearance.shape == others.appearance.shape and self.classes.shape == others.classes.shape

    def __getitem__(self, rows: Tensor) -> "TrackRecords":
        """Return some rows: (R,) int64, or (N,) bool."""
        return TrackRecords(*(getattr(self, name)[rows] for name in NAMES))

    def joined(self, others: "TrackRecords") -> "TrackRecords":
        """Return these records followed by others."""
        return TrackRecords(*(torch.cat([getattr(self, name), getattr(others, name)]) for name in NAMES))

    def replaced(self, rows: Tensor, others: "TrackRecords") -> "TrackRecords":
        """Return records in which the rows (R,) int64 are others."""
        return TrackRecords(*(getattr(self, name).index_copy(0, rows, getattr(others, name)) for name in NAMES))

    def observed(
        self, rows: Tensor, *, frame: int, weights: Tensor, appearance: Tensor, classes: Tensor
    ) -> "TrackRecords":
        """Return records in which some tracks were seen once more.

        Args:
            rows: (R,) int64.
            frame: Frames of the video so far.
            weights: (R,), how visible each was, 0..1.
            appearance: (R, C), of unit length.
            classes: (R, K), probabilities.
        """
        observations = (self.observations[rows] + weights).clamp(max=WINDOW)  # (R,)
        share = (weights / observations.clamp(min=1e-6))[:, None]
        return replace(
            self,
            last_seen=self.last_seen.index_fill(0, rows, frame),
            observations=self.observations.index_copy(0, rows, observations),
            appearance=self.appearance.index_copy(0, rows, self.appearance[rows].lerp(appearance, share)),
            classes=self.classes.index_copy(0, rows, self.classes[rows].lerp(classes, share)),
        )

    @property
    def prototypes(self) -> Tensor:
        """(N, C), of unit length; 0 where a track was never seen."""
        return normalize(self.appearance, dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """Return all by name, to be saved."""
        return {name: getattr(self, name).contiguous() for name in NAMES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "TrackRecords":
        """Restore what `tensors` returned.

        Raises:
            InputError: If tensors are missing, or do not fit together.
        """
        if set(tensors) != set(NAMES):
            raise InputError("The saved state has no records of its tracks: it is of another tracker.")
        count = tensors["numbers"].numel()
        for name, saved in tensors.items():
            dtype = torch.int64 if name in ("numbers", "last_seen", "homes") else torch.float32
            dimensions = 2 if name in ("appearance", "classes") else 1
            if saved.ndim != dimensions or len(saved) != count or saved.dtype != dtype or not saved.isfinite().all():
                raise InputError(f"The saved '{name}' does not fit the {count} saved tracks.")
        return cls(**tensors)


NAMES = tuple(field.name for field in fields(TrackRecords))


class TrackArchive:
    """Tracks that left, the latest first, and who of them comes back. Immutable, of at most ``options.size`` tracks.

    Args:
        records: Of the tracks.
        options: How many are kept, and how alike one that comes back must be.
        scene_after: Tracks that were last seen at this frame or before are of an earlier scene; -1 before any cut.
    """

    def __init__(self, records: TrackRecords, options: ArchiveOptions, *, scene_after: int = -1) -> None:
        self.records = records
        self.options = options
        self.scene_after = scene_after

    def __len__(self) -> int:
        return len(self.records)

    def with_tracks(self, tracks: TrackRecords) -> "TrackArchive":
        """Return the archive with some more tracks; beyond its size, the longest unseen are forgotten.

        Tracks that were hardly ever seen, mostly false ones, are not archived.
        """
        tracks = tracks[tracks.observations >= self.options.confirmed_after]
        joined = tracks.joined(self.records)
        latest = joined.last_seen.argsort(descending=True, stable=True)[: self.options.size]
        return self._of(joined[latest])

    def with_cut(self, frame: int) -> "TrackArchive":
        """Return the archive at a scene change: who was last seen at this frame or before is of an earlier scene."""
        return TrackArchive(self.records, self.options, scene_after=frame)

    def without(self, places: Tensor) -> "TrackArchive":
        """Return the archive without the tracks at some places, (R,) int64."""
        stays = torch.ones(len(self), dtype=torch.bool)
        stays[places] = False
        return self._of(self.records[stays])

    def _of(self, records: TrackRecords) -> "TrackArchive":
        return TrackArchive(records, self.options, scene_after=self.scene_after)

    def fits(self, held: Tensor, *, next_number: int, frames: int) -> bool:
        """Return whether the archive can be of a video, and has no number that a track outside of it has.

        Args:
            held: (N,) int64, numbers of the tracks that are not archived.
            next_number: No number is greater than the one before.
            frames: Of the video.
        """
        records = self.records
        numbers = torch.cat([held, records.numbers])
        return (
            len(self) <= self.options.size
            and len(numbers.unique()) == len(numbers)
            and bool(((numbers >= 0) & (numbers < next_number)).all())
            and bool(((records.last_seen >= 0) & (records.last_seen <= frames)).all())
            and bool((records.observations > 0).all())
            and bool((records.homes >= -1).all())
            and -1 <= self.scene_after <= frames
        )

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], options: ArchiveOptions, *, channels: int, classes: int
    ) -> "TrackArchive":
        """Restore the archive of a state whose tensors of it have names that begin with ``archive.``

        Args:
            tensors: Of the state.
            options: Those that it was saved with.
            channels: C.
            classes: K.

        Raises:
            InputError: If tensors are missing, do not fit together, or are of another model.
        """
        own = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
        scene_after = own.pop("scene_after", torch.zeros(0))
        if scene_after.shape != (1,) or scene_after.dtype != torch.int64:
            raise InputError("The saved archive of track ids does not say where its scene began.")
        records = TrackRecords.from_tensors(own)
        if not records.fits(TrackRecords.empty(channels=channels, classes=classes, count=len(records))):
            raise InputError("The saved archive of track ids is of another model.")
        return cls(records, options, scene_after=int(scene_after))

    def tensors(self) -> dict[str, Tensor]:
        """Return all by name, to be saved: see `from_tensors`."""
        named = {**self.records.tensors(), "scene_after": torch.tensor([self.scene_after])}
        return {f"{PREFIX}{name}": value for name, value in named.items()}

    def look_up(self, appearance: Tensor, classes: Tensor) -> tuple[Tensor, TrackRecords, "TrackArchive"]:
        """Find the tracks that new objects were before; each track comes back once.

        Args:
            appearance: (D, C), of unit length, or 0 where it is not known: such an object matches none.
            classes: (D, K), probabilities.

        Returns:
            (D,) bool, which of them came back; their R tracks, in order; and the archive without these.
        """
        similarity = appearance @ self.records.prototypes.mT  # (D, A)
        similarity += CLASS_WEIGHT * self.records.classes[:, classes.argmax(dim=1)].mT
        similarity[~appearance.any(dim=1)] = -torch.inf
        if len(self) > 1:  # Who looks like two of them may be either.
            best = similarity.topk(2, dim=1).values
            similarity[best[:, 0] - best[:, 1] < self.options.margin] = -torch.inf
        similarity -= self.options.cut_caution * (self.records.last_seen <= self.scene_after)
        places = match(similarity, threshold=self.options.match_threshold)  # (D,), -1: none
        came_back = places >= 0
        return came_back, self.records[places[came_back]], self.without(places[came_back])


def match(similarity: Tensor, *, threshold: float) -> Tensor:
    """Return (D,) int64: the column of each row's match, -1 for none; the total similarity of the matches is greatest.

    Args:
        similarity: (D, M).
        threshold: Pairs that are less similar are never matched.
    """
    # Above the threshold by nothing at all still is a match, so pairs below it must be worse than 0.
    # In half precision a network can overflow; what is not a number is similar to nothing.
    gain = (similarity - threshold).cpu().double().nan_to_num(nan=-1.0)
    rows, columns = linear_sum_assignment(gain.clamp(min=-1e-6).numpy(), maximize=True)
    matches = torch.full((similarity.shape[0],), -1, dtype=torch.int64)
    matches[torch.from_numpy(rows)] = torch.from_numpy(columns)
    places = torch.arange(len(matches))[matches >= 0]
    weak = gain[places, matches[places]] < 0
    matches[places[weak]] = -1
    return matches.to(similarity.device)
