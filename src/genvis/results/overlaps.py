"""One object, one track id: duplicates and overlaps are resolved in results, files and pictures alike.

Several tracks can claim the same object, and a track whose object is occluded can keep a mask on another one. In video
instance segmentation a pixel belongs to one object, so of masks that overlap at most one is right.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from genvis.masks import RLEMask, merge_masks, overlap_area, tight_box, without
from genvis.results.types import FrameResult, Track, VideoResult

Overlaps = Literal["resolve", "keep"]
"""``resolve`` gives every pixel to one track; ``keep`` leaves all masks, as the published scores need."""

# A mask of which better ones leave less than this share is a duplicate of theirs; so is a track of which fewer than
# this share of the masks are left.
LEAST_SHARE = 0.5


def resolve_overlaps(frame: FrameResult) -> FrameResult:
    """Give every pixel to the best instance that claims it, and drop instances that are mostly claimed by others.

    An instance is dropped if better ones (higher score, then lower id) claim more than half of it.

    Args:
        frame: The instances of one frame.

    Returns:
        The instances that remain, in the same order, without the pixels of better ones.
    """
    if len(frame) < 2:
        return frame
    taken = np.zeros((frame.height, frame.width), np.bool_)
    kept = {}
    for instance in sorted(frame.instances, key=lambda one: (-one.score, one.id)):
        left, top, columns, rows = tight_box(instance.mask)
        box = slice(top, top + rows), slice(left, left + columns)
        claimed = instance.mask[box]
        own = claimed & ~taken[box]
        area, whole = int(np.count_nonzero(own)), int(np.count_nonzero(claimed))
        if not _is_kept(area, whole):
            continue
        taken[box] |= own
        if area == whole:
            kept[instance.id] = instance
            continue
        mask = np.zeros_like(instance.mask)
        mask[box] = own
        kept[instance.id] = replace(instance, mask=mask)
    return replace(frame, instances=tuple(kept[one.id] for one in frame.instances if one.id in kept))


def resolve_video(result: VideoResult) -> VideoResult:
    """Resolve the overlaps of every frame, and drop tracks that are duplicates in more than half of their frames.

    Masks stay RLE, so the time depends on their outlines, not on the size of the frames.

    Args:
        result: A result of which masks may overlap.

    Returns:
        A result of disjoint masks, with the ids and scores of the tracks that remain.
    """
    ranked = sorted(result.tracks, key=lambda track: (-track.score, track.id))
    frames = [_resolved(ranked, position) for position in range(len(result))]
    duplicates = _duplicates(result, frames)
    if duplicates:
        ranked = [track for track in ranked if track.id not in duplicates]
        for position, frame in enumerate(frames):
            if not duplicates.isdisjoint(frame):  # Where a duplicate had pixels, others get them.
                frames[position] = _resolved(ranked, position)
    kept = (track for track in result.tracks if track.id not in duplicates)
    tracks = (replace(track, masks=tuple(frame.get(track.id) for frame in frames)) for track in kept)
    return replace(result, tracks=tuple(track for track in tracks if any(mask is not None for mask in track.masks)))


def _resolved(ranked: Sequence[Track], position: int) -> dict[int, RLEMask]:
    """Return what is left of the masks of one frame by track id, as `resolve_overlaps` does; the best come first."""
    taken: RLEMask | None = None
    kept = {}
    for track in ranked:
        mask = track.masks[position]
        if mask is None or mask.area == 0:
            continue
        common = 0 if taken is None else overlap_area(mask, taken)
        if not _is_kept(mask.area - common, mask.area):
            continue
        kept[track.id] = own = mask if taken is None or common == 0 else without(mask, taken)
        taken = own if taken is None else merge_masks([taken, own])
    return kept


def _is_kept(area: int, whole: int) -> bool:
    """Whether a mask stays of which better ones leave an area."""
    return area > 0 and area >= LEAST_SHARE * whole


def _duplicates(result: VideoResult, frames: Sequence[Mapping[int, RLEMask]]) -> set[int]:
    """Return the ids of tracks of which fewer than half of the masks would be left."""
    left = Counter(track_id for frame in frames for track_id in frame)
    return {track.id for track in result.tracks if left[track.id] < LEAST_SHARE * track.frames_seen}


def ids_by_appearance(tracks: tuple[Track, ...]) -> dict[int, int]:
    """Return new ids by old ids: from 1, in the order in which the objects first appear, best score first in a tie."""

    def first(track: Track) -> int:
        return next((place for place, mask in enumerate(track.masks) if mask is not None), len(track.masks))

    ordered = sorted(tracks, key=lambda track: (first(track), -track.score))
    return {track.id: number for number, track in enumerate(ordered, start=1)}
