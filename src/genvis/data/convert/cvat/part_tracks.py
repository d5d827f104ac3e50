"""Tracks of polygons from the masks of one object: parts followed through the frames, keyframes thinned.

Between two keyframes CVAT moves each corner of a polygon to the one at the nearest share of the way around. The parts
of an object become polygons of evenly spaced corners that begin at the same place, and a keyframe is left out where the
polygon that moves past it still covers the mask. Where a polygon needs holes, every frame is a keyframe.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as coco_mask

from genvis.data.convert.cvat.interpolation import polygons_between
from genvis.data.convert.cvat.outlines import MaskPart, Points, mask_parts, turned_to
from genvis.masks import RLEMask, draw_polygons

CORNERS = (16, 32, 64, 128, 256, 512)
"""Numbers of corners that a polygon may have; the smallest is taken that keeps to the tolerance."""

LONGEST_SPAN = 50
"""Most frames from one keyframe to the next."""


@dataclass(frozen=True)
class Keyframe:
    """One polygon of a track.

    Attributes:
        position: The frame, from 0.
        polygon: Its corners; in a keyframe that ends the track, those of the one before.
        outside: Whether the object is not visible from this frame on.
    """

    position: int
    polygon: Points
    outside: bool = False


@dataclass
class PartTrack:
    """The part of an object that is one track in CVAT."""

    parts: dict[int, MaskPart] = field(default_factory=dict)


def follow_parts(masks: Mapping[int, RLEMask], *, tolerance: float) -> list[PartTrack]:
    """Return the tracks of the parts of one object; as many as it has parts in one frame.

    A part goes on the track whose last part it overlaps most; the others take the tracks that are left, the largest
    first.

    Args:
        masks: Frame -> mask.
        tolerance: IoU that must be kept. A fifth of what it allows to be wrong goes into small parts and holes, which
            are left out.
    """
    tracks: list[PartTrack] = []
    lasts: list[MaskPart] = []
    for position in sorted(masks):
        mask = masks[position].decode()
        parts = mask_parts(mask, spare=(1 - tolerance) / 5 * float(mask.sum()))
        for track, part in _assigned(parts, lasts):
            if track == len(tracks):
                tracks.append(PartTrack())
                lasts.append(part)
            tracks[track].parts[position] = part
            lasts[track] = part
    return tracks


def _assigned(parts: list[MaskPart], lasts: list[MaskPart]) -> Iterator[tuple[int, MaskPart]]:
    """Yield the track of each part of a frame; numbers from the number of tracks on are new tracks."""
    free = list(range(len(lasts)))
    waiting = list(range(len(parts)))
    chosen: dict[int, int] = {}
    if parts and lasts:
        overlaps = _ious([part.mask for part in parts], [last.mask for last in lasts])
        for index in np.argsort(-overlaps, axis=None):
            part, track = (int(number) for number in np.unravel_index(index, overlaps.shape))
            if overlaps[part, track] > 0 and part in waiting and track in free:
                chosen[part] = track
                waiting.remove(part)
                free.remove(track)
    for part in waiting:
        chosen[part] = free.pop(0) if free else max([len(lasts) - 1, *chosen.values()]) + 1
    for part in sorted(chosen, key=chosen.__getitem__):
        yield chosen[part], parts[part]


def keyframes(track: PartTrack, *, length: int, tolerance: float) -> list[Keyframe]:
    """Return the keyframes of a track.

    Args:
        track: Its parts.
        length: Frames of the video.
        tolerance: IoU with the mask of the object that all its polygons together must have. Three quarters of what it
            allows to be wrong are for this part: half for the corners of its keyframes, the rest for what moves.

    Returns:
        Keyframes in the order of the frames. Where the part is absent, one that is ``outside`` says so.
    """
    wrong = 1 - tolerance
    result: list[Keyframe] = []
    for run in _runs(sorted(track.parts)):
        parts = [track.parts[position] for position in run]
        corners = [_corners(part, 1 - wrong / 2) for part in parts]
        for first, last in _stretches(parts, corners):
            polygons = _polygons(parts[first:last], corners[first:last])
            kept = _thinned(parts[first:last], polygons, 1 - 3 / 4 * wrong)
            if len(kept) == last - first:  # corners that correspond serve nothing
                polygons = [
                    _simplest(part, number) for part, number in zip(parts[first:last], corners[first:last], strict=True)
                ]
            result += [Keyframe(run[first + index], polygons[index]) for index in kept]
        if run[-1] + 1 < length:
            result.append(Keyframe(run[-1] + 1, result[-1].polygon, outside=True))
    return result


def _runs(positions: list[int]) -> Iterator[list[int]]:
    """Yield stretches of frames without a gap."""
    breaks = [0, *(index for index in range(1, len(positions)) if positions[index] > positions[index - 1] + 1)]
    for start, stop in zip(breaks, [*breaks[1:], len(positions)], strict=True):
        yield positions[start:stop]


def _stretches(parts: list[MaskPart], corners: list[int | None]) -> Iterator[tuple[int, int]]:
    """Yield first and last + 1 of the stretches that may be thinned: parts without holes, of evenly spaced corners."""
    start = 0
    for index, part in enumerate(parts):
        if part.holes or corners[index] is None:
            if start < index:
                yield start, index
            yield index, index + 1
            start = index + 1
    if start < len(parts):
        yield start, len(parts)


def _corners(part: MaskPart, tolerance: float) -> int | None:
    """Return how many evenly spaced corners keep to the tolerance; None if it takes the very pixels."""
    for corners in CORNERS:
        if _iou(rounded(part.polygon(corners)), part) >= tolerance:
            return corners
    return None


def _polygons(parts: list[MaskPart], corners: list[int | None]) -> list[Points]:
    """Return the polygons of a stretch; those of several parts have corresponding corners."""
    if len(parts) == 1:
        return [_simplest(parts[0], corners[0])]
    most = max(number for number in corners if number is not None)
    polygons = [parts[0].polygon(most)]
    for part in parts[1:]:
        polygons.append(turned_to(part.polygon(most), polygons[-1]))
    return [rounded(polygon) for polygon in polygons]


def _simplest(part: MaskPart, corners: int | None) -> Points:
    """Return the polygon of a part with the fewest corners."""
    exact = rounded(part.polygon())
    return exact if corners is None or len(exact) <= corners else rounded(part.polygon(corners))


def _thinned(parts: list[MaskPart], polygons: list[Points], tolerance: float) -> list[int]:
    """Return which polygons are kept: from each, the next is as far as those moved in between keep to the tolerance."""
    kept = [0]
    last = 0
    while last < len(parts) - 1:
        following = last + 1
        while following + 1 < len(parts) and following + 1 - last <= LONGEST_SPAN:
            further = following + 1
            between = range(last + 1, further)
            shares = [(index - last) / (further - last) for index in between]
            moved = polygons_between(polygons[last], polygons[further], shares)
            if any(_iou(polygon, parts[index]) < tolerance for index, polygon in zip(between, moved, strict=True)):
                break
            following = further
        kept.append(following)
        last = following
    return kept


def rounded(polygon: Points) -> Points:
    """Return a polygon as it is written: with two decimals."""
    return np.round(polygon, 2)


def _iou(polygon: Points, part: MaskPart) -> float:
    drawn = draw_polygons([polygon], height=part.mask.height, width=part.mask.width)
    return 0.0 if drawn is None else float(_ious([drawn], [part.mask])[0, 0])


def _ious(first: list[RLEMask], second: list[RLEMask]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Return the IoU of every mask of one list with every mask of another, (N, M)."""
    found = coco_mask.iou([mask.coco() for mask in first], [mask.coco() for mask in second], [0] * len(second))
    return np.asarray(found, np.float64).reshape(len(first), len(second))
