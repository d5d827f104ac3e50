"""Track numbers beside the queries: who leaves keeps a number in an archive, and the query is free for others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.errors import InputError
from genvis.inference.scoring import ScoreRule
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.inference.trackers.track_archive import TrackArchive, TrackRecords
from genvis.inference.trackers.video_tracker import SlotTracker, TrackedClip, VideoTracker
from genvis.model.device_copies import on_cpu, selected

# From this probability to be visible on, a query holds an object in a clip.
PRESENT = 0.3
FREE = -1
# For so many frames after it was last seen, a track can take its slot back.
RECENT = 20
# Of saved states: another number is another meaning of what they hold, such as other looks of tracks.
FORMAT = 2


@dataclass(frozen=True, eq=False)
class SlotLedger:
    """Who is in which slot, and who was: an immutable value.

    Attributes:
        frames: Of the video so far.
        next_number: Of the next new track. Numbers count up and are never given twice.
        slots: Q records, of the tracks in the slots. Number ``FREE`` is a slot that was freed; a track of a slot that
            held nothing yet has the number of its slot and no observations.
        archive: Tracks without a slot.
    """

    frames: int
    next_number: int
    slots: TrackRecords
    archive: TrackArchive

    @classmethod
    def empty(cls, *, slots: int, channels: int, classes: int, options: ArchiveOptions) -> "SlotLedger":
        """Return the ledger before the first clip: track q is in slot q."""
        records = TrackRecords.empty(channels=channels, classes=classes, count=slots)
        return cls(
            frames=0,
            next_number=slots,
            slots=replace(records, numbers=torch.arange(slots), homes=torch.arange(slots)),
            archive=TrackArchive(TrackRecords.empty(channels=channels, classes=classes), options),
        )

    def after(self, frames: int, *, presence: Tensor, appearance: Tensor, classes: Tensor) -> "SlotLedger":
        """Return the ledger after a clip; `freed` has not been done yet.

        Args:
            frames: Of the clip.
            presence: (Q,), the probability that a slot's object is visible.
            appearance: (Q, C), of unit length, or 0 where it is not known.
            classes: (Q, K), probabilities.
        """
        present = torch.nonzero(presence >= PRESENT).flatten()  # (P,)
        ledger = self._with_takeovers_undone(present, appearance[present])
        ledger = ledger._with_splits(present, appearance[present])
        ledger = ledger._with_newcomers(present, appearance, classes)
        slots = ledger.slots.observed(
            present,
            frame=self.frames + frames,
            weights=presence[present],
            appearance=appearance[present],
            classes=classes[present],
        )
        return replace(ledger, frames=self.frames + frames, slots=slots)

    def _with_takeovers_undone(self, present: Tensor, appearance: Tensor) -> "SlotLedger":
        """Give slots back to tracks that were taken over only for a moment, mostly by a bad mask of their own object.

        Who took over is forgotten. It was seen too seldom to be archived, so its number never comes back.
        """
        options, archived = self.archive.options, self.archive.records
        if not len(archived):
            return self
        seen = self.slots.observations[present]  # (P,)
        is_recent = archived.last_seen > max(self.frames - RECENT, self.archive.scene_after)  # (A,)
        former = (archived.homes == present[:, None]) & is_recent  # (P, A)
        former &= ((seen > 0) & (seen < options.confirmed_after))[:, None]
        rows = torch.nonzero(former.any(dim=1)).flatten()  # (R,)
        places = former[rows].int().argmax(dim=1)  # The latest of each slot: the archive begins with them.
        alike = (archived.prototypes[places] * appearance[rows]).sum(dim=1) > options.undo_above
        if not alike.any():
            return self
        rows, places = rows[alike], places[alike]
        slots = self._placed(present[rows], archived[places])
        return replace(self, slots=slots, archive=self.archive.without(places))

    def _with_splits(self, present: Tensor, appearance: Tensor) -> "SlotLedger":
        """Archive the tracks whose slot now holds what is unlike them: another object has taken it over."""
        options = self.archive.options
        prototypes = self.slots.prototypes[present]  # (P, C)
        alike = (prototypes * appearance).sum(dim=1)  # (P,)
        known = (self.slots.observations[present] >= max(1, options.confirmed_after)) & prototypes.any(dim=1)
        known &= appearance.any(dim=1)
        return self._without(present[known & (alike < options.split_below)])

    def _with_newcomers(self, present: Tensor, appearance: Tensor, classes: Tensor) -> "SlotLedger":
        """Give tracks to the present slots that held nothing: archived ones that come back, or new ones."""
        new = present[self.slots.observations[present] == 0]  # (D,)
        if not len(new):
            return self
        ledger, slots = self, self.slots
        if len(self.archive):
            came_back, tracks, archive = self.archive.look_up(appearance[new], classes[new])
            slots = self._placed(new[came_back], tracks)
            ledger, new = replace(self, archive=archive), new[~came_back]
        unnumbered = new[slots.numbers[new] == FREE]
        following = torch.arange(self.next_number, self.next_number + len(unnumbered))
        slots = replace(slots, numbers=slots.numbers.index_copy(0, unnumbered, following))
        return replace(ledger, slots=slots, next_number=self.next_number + len(unnumbered))

    def freed(self) -> tuple["SlotLedger", Tensor]:
        """Return the ledger without tracks that were absent for too long, and which slots they leave, (Q,) bool."""
        absent = self.frames - self.slots.last_seen  # (Q,)
        leaves = (absent >= self.archive.options.absent_frames) & (self.slots.observations > 0)
        return self._without(torch.nonzero(leaves).flatten()), leaves

    def cut(self) -> "SlotLedger":
        """Return the ledger for a scene with other objects, unless they are found again: all slots are free."""
        ledger = self._without(torch.nonzero(self.slots.observations > 0).flatten())
        slots = replace(ledger.slots, numbers=torch.full_like(ledger.slots.numbers, FREE))
        return replace(ledger, slots=slots, archive=ledger.archive.with_cut(self.frames))

    def _without(self, rows: Tensor) -> "SlotLedger":
        """Move the tracks of some slots to the archive."""
        if not len(rows):
            return self
        nothing = TrackRecords.empty(
            channels=self.slots.appearance.shape[1], classes=self.slots.classes.shape[1], count=len(rows)
        )
        archive = self.archive.with_tracks(self.slots[rows])
        return replace(self, slots=self._placed(rows, nothing), archive=archive)

    def _placed(self, rows: Tensor, tracks: TrackRecords) -> TrackRecords:
        """Return the slots with tracks in some of them."""
        return self.slots.replaced(rows, replace(tracks, homes=rows))

    def tensors(self) -> dict[str, Tensor]:
        """Return all by name, to be saved."""
        return {
            "counters": torch.tensor([FORMAT, self.frames, self.next_number]),
            **{f"slots.{name}": value for name, value in self.slots.tensors().items()},
            **self.archive.tensors(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, options: ArchiveOptions) -> "SlotLedger":
        """Restore what `tensors` returned.

        Args:
            tensors: By name.
            options: Those that the ledger was saved with.

        Raises:
            InputError: If the tensors do not fit together.
        """
        counters = tensors.get("counters", torch.zeros(0))
        if counters.shape != (3,) or counters.dtype != torch.int64 or counters[0] != FORMAT:
            raise InputError(
                "The saved state has no track numbers that this version reads: it is of another tracker or version."
            )
        _, frames, next_number = counters.tolist()
        slots = TrackRecords.from_tensors(
            {name.removeprefix("slots."): value for name, value in tensors.items() if name.startswith("slots.")}
        )
        archive = TrackArchive.from_tensors(
            tensors, options, channels=slots.appearance.shape[1], classes=slots.classes.shape[1]
        )
        possible = (
            bool((slots.numbers >= FREE).all())
            and bool(((slots.last_seen >= 0) & (slots.last_seen <= frames)).all())
            and bool((slots.observations >= 0).all())
            and torch.equal(slots.homes, torch.arange(len(slots)))
            and bool((archive.records.homes < len(slots)).all())
            and archive.fits(slots.numbers[slots.numbers != FREE], next_number=next_number, frames=frames)
        )
        if not possible:
            raise InputError("The saved track numbers are damaged.")
        return cls(frames, next_number, slots, archive)


@dataclass(frozen=True, eq=False)
class ArchivedState:
    """State of a slot tracker, None before the first clip of a scene, and the ledger of its slots."""

    inner: Any
    ledger: SlotLedger


class ArchivedSlots(VideoTracker):
    """A slot tracker whose track numbers are not its slots: any number of tracks pass through Q queries.

    A slot that was absent for ``absent_frames`` is freed: its track goes to the archive. A slot that holds something
    unlike its track (``split_below``) was taken over: the track goes to the archive too, and returns if the slot soon
    looks like it again (``undo_above``). What a slot begins to hold is looked up in the archive, and gets its old
    number, or a new one. As long as nothing was archived, clips are those of the slot tracker, bit for bit. Queries of
    the network are left alone, unless ``restart_queries``.

    It fails where looks say nothing: an object that looks like one that left may get its number, one that looks
    different when it comes back gets a new one, and a query that moves on to a look-alike keeps its number.

    Args:
        tracker: Row q of its clips is slot q; its clips have embeddings.
        options: When slots are freed, and who comes back.
    """

    is_causal = True

    def __init__(self, tracker: SlotTracker, options: ArchiveOptions) -> None:
        self.tracker = tracker
        self.options = options
        self.score_rule: ScoreRule = tracker.score_rule

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: ArchivedState | None) -> tuple[TrackedClip, ArchivedState]:
        """Follow the objects through a clip of any length: see `VideoTracker.track`."""
        clip, inner = self.tracker.track(pixel_values, None if state is None else state.inner)
        assert clip is not None
        assert clip.embeddings is not None
        evidence, embeddings, presence = on_cpu(clip.class_evidence, clip.embeddings, clip.presence)
        classes = normalize(self.score_rule.probabilities(evidence), p=1, dim=1)  # (Q, K), of what is an object
        empty = SlotLedger.empty(
            slots=len(embeddings), channels=embeddings.shape[1], classes=classes.shape[1], options=self.options
        )
        ledger = empty if state is None else state.ledger
        if not ledger.slots.fits(empty.slots):
            raise InputError("The saved track numbers are not of these queries and classes: they are of another model.")
        ledger = ledger.after(
            len(pixel_values), presence=presence, appearance=normalize(embeddings, dim=1).nan_to_num(), classes=classes
        )
        clip = _numbered(clip, ledger.slots.numbers)
        ledger, leaves = ledger.freed()
        if self.options.restart_queries and leaves.any():
            inner = self.tracker.released(inner, leaves)
        return clip, ArchivedState(inner, ledger)

    def cut(self, state: ArchivedState | None) -> ArchivedState | None:
        """Archive all tracks, and let the network begin anew: see `VideoTracker.cut`."""
        return None if state is None else ArchivedState(None, state.ledger.cut())

    def finish(self, state: ArchivedState | None) -> Iterator[TrackedClip]:
        """Deliver nothing: every clip was answered at once."""
        yield from ()

    def remembered(self, state: ArchivedState | None) -> set[int]:
        """Return the numbers in slots and in the archive: see `VideoTracker.remembered`."""
        if state is None:
            return set()
        numbers = set(state.ledger.slots.numbers.tolist()) - {FREE}
        return numbers | set(state.ledger.archive.records.numbers.tolist())

    def state_tensors(self, state: ArchivedState | None) -> dict[str, Tensor]:
        """Return the state of the slot tracker and the ledger: see `VideoTracker.state_tensors`."""
        if state is None:
            return {}
        inner = self.tracker.state_tensors(state.inner)
        return {
            **{f"network.{name}": value for name, value in inner.items()},
            **{f"numbers.{name}": value for name, value in state.ledger.tensors().items()},
        }

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> ArchivedState | None:
        """Return the state again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        network, numbers = (
            {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            for prefix in ("network.", "numbers.")
        )
        if len(network) + len(numbers) != len(tensors):
            raise InputError("The saved state is of another tracker.")
        inner = self.tracker.state_from_tensors(network)  # None at a scene change.
        return ArchivedState(inner, SlotLedger.from_tensors(numbers, options=self.options))


def _numbered(clip: TrackedClip, numbers: Tensor) -> TrackedClip:
    """Return a clip with the numbers (Q,) of the tracks in its slots, without the slots that are free."""
    rows = torch.nonzero(numbers != FREE).flatten()
    if len(rows) == len(numbers):
        return clip._replace(track_ids=numbers)
    assert clip.embeddings is not None
    return TrackedClip(
        track_ids=numbers[rows],
        class_evidence=selected(clip.class_evidence, rows, dim=0),
        observations=selected(clip.observations, rows, dim=0),
        presence=selected(clip.presence, rows, dim=0),
        mask_logits=selected(clip.mask_logits, rows, dim=1),
        embeddings=selected(clip.embeddings, rows, dim=0),
    )
