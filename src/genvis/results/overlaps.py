"""One object, one track id: duplicates and overlaps are resolved in results, files and pictures alike.

Several tracks can claim the same object, and a track whose object is occluded can keep a mask on another one. In video
instance segmentation a pixel belongs to one object, so of masks that overlap at most one is right.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from genvis.masks import RLEMask
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
        own = instance.mask & ~taken
        area, whole = np.count_nonzero(own), instance.area
        if area == 0 or area < LEAST_SHARE * whole:
            continue
        taken |= own
        kept[instance.id] = instance if area == whole else replace(instance, mask=own)
    return replace(frame, instances=tuple(kept[one.id] for one in frame.instances if one.id in kept))


def resolve_video(result: VideoResult) -> VideoResult:
    """Resolve the overlaps of every frame, and drop tracks that are duplicates in more than half of their frames.

    Args:
        result: A result of which masks may overlap.

    Returns:
        A result of disjoint masks, with the ids and scores of the tracks that remain.
    """
    duplicates = _duplicates(result)
    kept = replace(result, tracks=tuple(track for track in result.tracks if track.id not in duplicates))
    masks: dict[int, list[RLEMask | None]] = {track.id: list(track.masks) for track in kept.tracks}
    for position, frame in enumerate(kept):
        resolved = {one.id: one.mask for one in resolve_overlaps(frame)}
        for instance in frame:
            own = resolved.get(instance.id)
            if own is not instance.mask:
                masks[instance.id][position] = None if own is None else RLEMask.encode(own)
    tracks = (replace(track, masks=tuple(masks[track.id])) for track in kept.tracks)
    return replace(kept, tracks=tuple(track for track in tracks if any(mask is not None for mask in track.masks)))


def _duplicates(result: VideoResult) -> set[int]:
    """Return the ids of tracks of which fewer than half of the masks would be left."""
    seen: dict[int, int] = dict.fromkeys((track.id for track in result.tracks), 0)
    left = dict(seen)
    for frame in result:
        for instance in frame:
            seen[instance.id] += 1
        for instance in resolve_overlaps(frame):
            left[instance.id] += 1
    return {track_id for track_id, count in seen.items() if left[track_id] < LEAST_SHARE * count}


def ids_by_appearance(tracks: tuple[Track, ...]) -> dict[int, int]:
    """Return new ids by old ids: from 1, in the order in which the objects first appear, best score first in a tie."""

    def first(track: Track) -> int:
        return next((place for place, mask in enumerate(track.masks) if mask is not None), len(track.masks))

    ordered = sorted(tracks, key=lambda track: (first(track), -track.score))
    return {track.id: number for number, track in enumerate(ordered, start=1)}
