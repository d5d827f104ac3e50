"""Memory of memory matching: what is kept of every track between two frames, as one immutable value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.errors import InputError
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.inference.trackers.track_archive import WINDOW, TrackArchive, TrackRecords
from genvis.model.mask_overlap import mask_iou


@dataclass(frozen=True, eq=False)
class TrackMemory:
    """All that is known of the tracks of one video; M tracks, the most recently seen first.

    Its size is bounded by the options of the tracker, not by the length of the video. Ids count up and are never given
    twice, also when the track that had one is forgotten.

    Attributes:
        frames_seen: Number of frames so far.
        next_id: Track id of the next new track; the first is 1.
        ids: (M,) int64, track ids.
        last_seen: (M,) int64, number of the last frame in which the track was found, from 0.
        observations: (M,) int64, number of frames in which the track was found.
        class_sum: (M, K) float32, sum of the class probabilities of its detections.
        bank: (M, B, C) float32, unit-length queries of the last B detections of the track. Detection n is in place
            n mod B; of a track with fewer than B detections the other places are zero.
        masks: (R, h, w) bool, last masks of the first R tracks; those of tracks unseen for longer are not kept.
        velocities: (R, 2) float32, of these masks when they were last seen, pixels a frame to the right and down.
        archive: Tracks that the memory let go of; None keeps none.
    """

    frames_seen: int
    next_id: int
    ids: Tensor
    last_seen: Tensor
    observations: Tensor
    class_sum: Tensor
    bank: Tensor
    masks: Tensor
    velocities: Tensor
    archive: TrackArchive | None = None

    @classmethod
    def empty(
        cls,
        *,
        classes: int,
        channels: int,
        bank_size: int,
        device: torch.device,
        archive: ArchiveOptions | None = None,
    ) -> "TrackMemory":
        """Return the memory before the first frame.

        Args:
            classes: K.
            channels: C, of a query.
            bank_size: B.
            device: Of all tensors, of which the archive needs the CPU.
            archive: Of tracks that the memory lets go of; None keeps none.
        """
        none = torch.zeros(0, dtype=torch.int64, device=device)
        return cls(
            frames_seen=0,
            next_id=1,
            ids=none,
            last_seen=none,
            observations=none,
            class_sum=torch.zeros(0, classes, device=device),
            bank=torch.zeros(0, bank_size, channels, device=device),
            masks=torch.zeros(0, 0, 0, dtype=torch.bool, device=device),
            velocities=torch.zeros(0, 2, device=device),
            archive=None
            if archive is None
            else TrackArchive(TrackRecords.empty(channels=channels, classes=classes), archive),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def similarity(self, queries: Tensor, *, nearest: int) -> Tensor:
        """Compare detections with the tracks by appearance.

        Args:
            queries: (D, C), of unit length.
            nearest: How many queries of a bank count.

        Returns:
            (D, M): mean cosine similarity of a query with the ``nearest`` most similar ones of the track's bank.
        """
        size = self.bank.shape[1]
        cosine = torch.einsum("dc,mbc->dmb", queries, self.bank)  # (D, M, B)
        filled = torch.arange(size, device=self.bank.device) < self.observations[:, None]  # (M, B)
        best = cosine.masked_fill(~filled, -torch.inf).topk(min(nearest, size), dim=-1).values  # (D, M, nearest)
        count = self.observations.clamp(max=best.shape[-1])  # (M,)
        return best.masked_fill(best == -torch.inf, 0.0).sum(dim=-1) / count

    def mask_overlap(self, masks: Tensor) -> Tensor:
        """Compare detections with the tracks by place.

        Args:
            masks: (D, h, w) bool.

        Returns:
            (D, M): IoU with the track's last mask, moved on as the track moved; 0 for tracks whose mask is not kept or
            is of another frame size.
        """
        overlap = torch.zeros(len(masks), len(self), device=masks.device)
        if self.masks.shape[1:] == masks.shape[1:]:
            overlap[:, : len(self.masks)] = mask_iou(masks, self._expected_masks())
        return overlap

    def _expected_masks(self) -> Tensor:
        """Return the masks where they are to be in the next frame, (R, h, w) bool."""
        if not self.velocities.any():
            return self.masks
        return moved_masks(self.masks, self.velocities * _way_of_one(self.age[: len(self.masks)] + 1)[:, None])

    def class_probability(self, classes: Tensor) -> Tensor:
        """Return (D, M): each track's mean probability of the classes (D,) of detections."""
        return self.class_distribution[:, classes].mT

    @property
    def class_distribution(self) -> Tensor:
        """Mean class probabilities of the tracks' detections, (M, K)."""
        return self.class_sum / self.observations[:, None]

    def observe(
        self,
        *,
        rows: Tensor,
        queries: Tensor,
        class_probabilities: Tensor,
        masks: Tensor,
        velocity_gain: float = 0.0,
    ) -> "TrackMemory":
        """Return the memory after a frame; the tracks that were found come first, in the order of the detections.

        Args:
            rows: (D,) int64, the track of each detection, -1 for a new one.
            queries: (D, C), of unit length.
            class_probabilities: (D, K).
            masks: (D, h, w) bool.
            velocity_gain: How far the frame corrects the velocities, 0 to 1.
        """
        is_new = rows < 0
        births = is_new.cumsum(0)  # (D,)
        ids = torch.where(is_new, births + (self.next_id - 1), _rows_or_zero(self.ids, rows))
        before = _rows_or_zero(self.observations, rows)
        class_sum = _rows_or_zero(self.class_sum, rows) + class_probabilities
        bank = _rows_or_zero(self.bank, rows)
        bank[torch.arange(len(rows), device=rows.device), before % bank.shape[1]] = queries

        unseen = torch.ones(len(self), dtype=torch.bool, device=rows.device)
        unseen[rows[~is_new]] = False
        still = unseen[: len(self.masks)]
        kept_masks, kept_velocities = self.masks[still], self.velocities[still]
        if kept_masks.shape[1:] != masks.shape[1:]:
            kept_masks, kept_velocities = masks[:0], self.velocities[:0]
        return TrackMemory(
            frames_seen=self.frames_seen + 1,
            next_id=self.next_id + int(is_new.sum()),
            ids=torch.cat([ids, self.ids[unseen]]),
            last_seen=torch.cat([torch.full_like(ids, self.frames_seen), self.last_seen[unseen]]),
            observations=torch.cat([before + 1, self.observations[unseen]]),
            class_sum=torch.cat([class_sum, self.class_sum[unseen]]),
            bank=torch.cat([bank, self.bank[unseen]]),
            masks=torch.cat([masks, kept_masks]),
            velocities=torch.cat([self._corrected(rows, masks, velocity_gain), kept_velocities]),
            archive=self.archive,
        )

    def _corrected(self, rows: Tensor, masks: Tensor, gain: float) -> Tensor:
        """Return the velocities (D, 2) of the tracks (D,) whose masks are now (D, h, w); 0 where none is known yet."""
        velocities = masks.new_zeros(len(rows), 2, dtype=torch.float32)
        if not gain or self.masks.shape[1:] != masks.shape[1:]:
            return velocities
        known = torch.nonzero((rows >= 0) & (rows < len(self.masks))).flatten()
        before = rows[known]
        frames = _way_of_one(self.age[before] + 1)[:, None]
        error = _centres(masks[known]) - _centres(self.masks[before]) - self.velocities[before] * frames
        velocities[known] = self.velocities[before] + gain * error / frames
        return velocities

    def revived(self, queries: Tensor, class_probabilities: Tensor) -> tuple["TrackMemory", Tensor]:
        """Look up new objects in the archive; those that come back are tracks of the memory again.

        Args:
            queries: (D, C), of unit length.
            class_probabilities: (D, K).

        Returns:
            The memory, and (D,) int64, the track of each object, -1 for none.
        """
        rows = torch.full((len(queries),), -1, device=queries.device)
        if self.archive is None or not len(self.archive) or not len(queries):
            return self, rows
        came_back, tracks, archive = self.archive.look_up(queries, normalize(class_probabilities, p=1, dim=1))
        rows[came_back] = torch.arange(len(self), len(self) + len(tracks), device=queries.device)
        observations = tracks.observations.long()
        return replace(
            self,
            ids=torch.cat([self.ids, tracks.numbers]),
            last_seen=torch.cat([self.last_seen, tracks.last_seen]),
            observations=torch.cat([self.observations, observations]),
            class_sum=torch.cat([self.class_sum, tracks.classes * observations[:, None]]),
            bank=torch.cat([self.bank, tracks.prototypes[:, None].expand(-1, self.bank.shape[1], -1)]),
            archive=archive,
        ), rows

    def archived(self, tracks: Tensor) -> "TrackMemory":
        """Return the memory with some of its tracks, (M,) bool, in the archive too; `keep` takes them out of it."""
        if self.archive is None or not tracks.any():
            return self
        filled = torch.arange(self.bank.shape[1], device=self.bank.device) < self.observations[:, None]  # (M, B)
        means = (self.bank * filled[..., None]).sum(dim=1) / filled.sum(dim=1, keepdim=True)  # (M, C)
        records = TrackRecords(
            numbers=self.ids,
            last_seen=self.last_seen,
            observations=self.observations.clamp(max=WINDOW).float(),
            appearance=means,
            classes=normalize(self.class_sum, p=1, dim=1),
            homes=torch.full_like(self.ids, -1),
        )
        return replace(self, archive=self.archive.with_tracks(records[tracks]))

    def with_cut(self) -> "TrackMemory":
        """Return the memory at a scene change: no tracks, all that it had in the archive, as of an earlier scene."""
        everybody = torch.ones(len(self), dtype=torch.bool, device=self.ids.device)
        memory = self.archived(everybody).keep(~everybody, masks=0)
        archive = None if memory.archive is None else memory.archive.with_cut(self.frames_seen - 1)
        return replace(memory, archive=archive)

    @property
    def age(self) -> Tensor:
        """Number of frames since the tracks were last seen, (M,) int64, ascending; 0 if in the last frame."""
        return self.frames_seen - 1 - self.last_seen

    def keep(self, tracks: Tensor, *, masks: int) -> "TrackMemory":
        """Return the memory of some tracks only.

        Args:
            tracks: (M,) bool.
            masks: The masks of so many first tracks stay, of those that stay.
        """
        return replace(
            self,
            masks=self.masks[:masks][tracks[: min(masks, len(self.masks))]],
            velocities=self.velocities[:masks][tracks[: min(masks, len(self.masks))]],
            **{name: getattr(self, name)[tracks] for name in _PER_TRACK},
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name, on the CPU, to be saved."""
        counters = torch.tensor([self.frames_seen, self.next_id])
        named = {name: getattr(self, name).detach().cpu().contiguous() for name in (*_TENSORS, "velocities")}
        return {"counters": counters, **named, **({} if self.archive is None else self.archive.tensors())}

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        *,
        classes: int,
        channels: int,
        bank_size: int,
        device: torch.device,
        archive: ArchiveOptions | None = None,
    ) -> "TrackMemory":
        """Restore what `tensors` returned.

        Args:
            tensors: By name.
            classes: K.
            channels: C, of a query.
            bank_size: B.
            device: Of all tensors.
            archive: As in `empty`.

        Raises:
            InputError: If tensors are missing, do not fit together, or are of another model or other options.
        """
        missing = [name for name in ("counters", *_TENSORS) if name not in tensors]
        if missing:
            raise InputError(f"The saved state has no '{missing[0]}': it is not one of memory matching.")
        if tensors["bank"].ndim == 3 and tensors["bank"].shape[1] != bank_size:
            raise InputError(
                f"The saved state has a bank_size of {tensors['bank'].shape[1]} instead of {bank_size}: take the "
                "options that it was saved with."
            )
        empty = cls.empty(classes=classes, channels=channels, bank_size=bank_size, device=device)
        rows, masks = tensors["ids"].numel(), tensors["masks"]
        for name in _PER_TRACK:
            saved, known = tensors[name], getattr(empty, name)
            if saved.shape != (rows, *known.shape[1:]) or saved.dtype != known.dtype:
                raise InputError(f"The saved '{name}' does not fit the {rows} saved track ids of {classes} classes.")
        if masks.ndim != 3 or len(masks) > rows or masks.dtype != torch.bool:
            raise InputError(f"The saved 'masks' does not fit the {rows} saved track ids.")
        # States from before there were any have none.
        velocities = tensors.get("velocities", torch.zeros(len(masks), 2))
        if velocities.shape != (len(masks), 2) or velocities.dtype != torch.float32:
            raise InputError(f"The saved 'velocities' does not fit the {len(masks)} saved masks.")
        frames_seen, next_id = tensors["counters"].tolist()
        restored = cls(
            frames_seen=frames_seen,
            next_id=next_id,
            **{name: tensors[name].to(device) for name in _TENSORS},
            velocities=velocities.to(device),
            archive=None
            if archive is None
            else TrackArchive.from_tensors(tensors, archive, channels=channels, classes=classes),
        )
        if not restored._is_possible():
            raise InputError("The saved state of the tracks is damaged.")
        return restored

    def _is_possible(self) -> bool:
        """Return whether the numbers fit together, as those of every video do."""
        ids, age = self.ids, self.age
        return (
            len(ids.unique()) == len(ids)
            and bool(((ids >= 1) & (ids < self.next_id)).all())
            and bool(((age >= 0) & (age < self.frames_seen)).all())
            and bool((age.diff() >= 0).all())
            and bool(((self.observations >= 1) & (self.observations <= self.frames_seen)).all())
            and bool(
                self.class_sum.isfinite().all() and self.bank.isfinite().all() and self.velocities.isfinite().all()
            )
            and (self.archive is None or self.archive.fits(ids, next_number=self.next_id, frames=self.frames_seen))
        )


_PER_TRACK = ("ids", "last_seen", "observations", "class_sum", "bank")
_TENSORS = (*_PER_TRACK, "masks")
# What is left of a velocity after a frame in which the track was not found.
_SLOWING = 0.9


def moved_masks(masks: Tensor, ways: Tensor) -> Tensor:
    """Return masks (R, h, w) bool moved by whole pixels, (R, 2) to the right and down; what leaves is gone."""
    height, width = masks.shape[1:]
    ways = ways.round().long()
    rows = torch.arange(height, device=masks.device) - ways[:, 1, None]  # (R, h)
    columns = torch.arange(width, device=masks.device) - ways[:, 0, None]  # (R, w)
    is_inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    numbers = torch.arange(len(masks), device=masks.device)[:, None, None]
    return masks[numbers, rows[:, :, None], columns[:, None]] & is_inside


def _centres(masks: Tensor) -> Tensor:
    """Return the centres of mass of masks (R, h, w), (R, 2) of x and y; those of empty ones are 0."""
    area = masks.sum(dim=(1, 2)).clamp(min=1)
    x, y = (
        (masks.sum(dim=axis) * torch.arange(masks.shape[3 - axis], device=masks.device)).sum(dim=1) for axis in (1, 2)
    )
    return torch.stack([x / area, y / area], dim=1)


def _way_of_one(frames: Tensor) -> Tensor:
    """Return the way in so many frames (R,) of what begins with a pixel a frame and slows down, float32."""
    return (1 - _SLOWING**frames) / (1 - _SLOWING)


def _rows_or_zero(values: Tensor, rows: Tensor) -> Tensor:
    """Return a copy of ``values[rows]``, with zeros where the row is negative."""
    chosen = values.new_zeros(len(rows), *values.shape[1:])
    chosen[rows >= 0] = values[rows[rows >= 0]]
    return chosen
