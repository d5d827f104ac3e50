"""Checks of the masks: readable, of the frame's size, inside of it, not empty, in accord with boxes and areas."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genvis.data.check.findings import Findings, Kind, Severity
from genvis.data.check.records import AnnotationRecords, Layout, TrackEntry, VideoEntry
from genvis.json_values import finite_number, shown
from genvis.masks import MaskError, MaskSizeError, MaskSumError, RLEMask, polygon_points, read_mask, read_size

UNREADABLE_MASK = Kind("unreadable-mask", Severity.ERROR, "a mask cannot be read")
MASK_SIZE = Kind(
    "mask-size",
    Severity.ERROR,
    "a mask has another size than its video",
    "'size' is [height, width]; masks are of the size of the frames.",
)
MASK_SUM = Kind("mask-sum", Severity.ERROR, "the RLE of a mask does not fill its frame exactly")
OUTSIDE_FRAME = Kind(
    "outside-frame",
    Severity.ERROR,
    "a polygon lies outside of the frame (by more than a pixel)",
    "Was the annotation made at another resolution?",
)
EMPTY_MASK = Kind(
    "empty-mask", Severity.WARNING, "a mask has no pixel", "Frames without the object have null instead of a mask."
)
EMPTY_TRACK = Kind("empty-track", Severity.ERROR, "an object has no mask in any frame")
ONE_FRAME = Kind(
    "one-frame-track",
    Severity.NOTE,
    "an object is visible in one frame only",
    "If that holds for most, identities were lost between the frames.",
)
BAD_BOX = Kind("bad-box", Severity.WARNING, "a box is not [x, y, width, height] with positive width and height")
BOX_MISMATCH = Kind("box-mismatch", Severity.WARNING, "a box is not the one around the mask (by more than 2 pixels)")
BOX_WITHOUT_MASK = Kind("box-without-mask", Severity.WARNING, "a box is given where there is no mask")
AREA_MISMATCH = Kind("area-mismatch", Severity.WARNING, "an area is not that of the mask (by more than 1%)")

POLYGON_TOLERANCE = 1.0
"""Pixels that a polygon may stick out of the frame: annotation tools round, and the rasteriser clips."""

BOX_TOLERANCE = 2.0
"""Pixels between a box and the mask: 'last pixel' and 'one past it' are both in use."""


@dataclass(frozen=True)
class TrackMasks:
    """An annotation with those of its masks that can be read: frame index -> mask."""

    track: TrackEntry
    masks: dict[int, RLEMask]


def check_masks(records: AnnotationRecords, findings: Findings) -> Iterator[tuple[VideoEntry, list[TrackMasks]]]:
    """Check every mask, video by video.

    Args:
        records: What was read of the file.
        findings: Takes what is wrong.

    Yields:
        Each video with the readable masks of its objects, for checks that compare objects.
    """
    tracks_of_video: dict[int | None, list[TrackEntry]] = {}
    for track in records.tracks:
        tracks_of_video.setdefault(track.video_id, []).append(track)
    for video in records.videos:
        tracks = tracks_of_video.pop(video.id, [])
        yield video, [_check_track(track, video, records.layout, findings) for track in tracks]
    # Annotations of unknown videos: their masks are checked against nothing but themselves.
    unknown = VideoEntry("an unknown video", None, None, None, None)
    for tracks in tracks_of_video.values():
        for track in tracks:
            _check_track(track, unknown, records.layout, findings)


def _check_track(track: TrackEntry, video: VideoEntry, layout: Layout, findings: Findings) -> TrackMasks:
    masks: dict[int, RLEMask] = {}
    any_broken = False
    single = layout is Layout.COCO
    for frame, segmentation in enumerate(track.segmentations or []):
        where = track.where if single else f"{track.where}, frame {frame}"
        mask, broken = _read_mask(segmentation, video, where, findings)
        any_broken |= broken
        if mask is not None:
            masks[frame] = mask
        elif segmentation is not None and not broken and not single:
            findings.add(EMPTY_MASK, where)
        if not broken:
            exact = isinstance(segmentation, dict)
            _check_box(_entry(track.boxes, frame), mask, where, exact=exact, findings=findings)
            _check_area(_entry(track.areas, frame), mask, where, exact=exact, findings=findings)
    if track.segmentations is not None and not any_broken:
        if not masks:
            findings.add(EMPTY_TRACK, track.where)
        elif len(masks) == 1 and len(track.segmentations) > 1:
            findings.add(ONE_FRAME, track.where)
    return TrackMasks(track, masks)


def _entry(values: list[Any] | None, index: int) -> Any:
    return values[index] if values is not None and index < len(values) else None


def _read_mask(segmentation: Any, video: VideoEntry, where: str, findings: Findings) -> tuple[RLEMask | None, bool]:
    """Return the mask (None where the object is absent), and whether it is there but cannot be used."""
    if segmentation is None or segmentation == []:
        return None, False
    size = (video.height, video.width) if video.height and video.width else None
    try:
        beyond = isinstance(segmentation, list) and _reaches_beyond(segmentation, size, where, findings)
        if size is None and isinstance(segmentation, list):
            return None, True
        height, width = size or read_size(segmentation)
        mask = read_mask(segmentation, height=height, width=width)
    except MaskSizeError as error:
        found = read_size(segmentation)
        swapped = ", height and width swapped" if found == (video.width, video.height) else ""
        findings.add(MASK_SIZE, f"{where}: {error}{swapped}")
    except MaskSumError as error:
        findings.add(MASK_SUM, f"{where}: {error}")
    except MaskError as error:
        findings.add(UNREADABLE_MASK, f"{where}: {error}")
    else:
        return mask, mask is None and beyond
    return None, True


def _reaches_beyond(polygons: list[Any], size: tuple[int, int] | None, where: str, findings: Findings) -> bool:
    """Return whether polygons stick out of a frame of this (height, width) by more than is tolerated."""
    points = np.concatenate([polygon_points(polygon) for polygon in polygons])
    if size is None:
        return False
    height, width = size
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if max(-left, -top, right - width, bottom - height) <= POLYGON_TOLERANCE:
        return False
    extent = f"x {left:g} to {right:g}, y {top:g} to {bottom:g}"
    findings.add(OUTSIDE_FRAME, f"{where}: {extent}, in a frame {width} wide and {height} high")
    return True


def _check_box(box: Any, mask: RLEMask | None, where: str, *, exact: bool, findings: Findings) -> None:
    if box is None:
        return
    sides = [finite_number(side) for side in box] if isinstance(box, list) and len(box) == 4 else [None]
    numbers = [side for side in sides if side is not None]
    if len(numbers) != 4:
        findings.add(BAD_BOX, f"{where}: {shown(box)}")
        return
    if mask is None:
        if any(numbers):
            findings.add(BOX_WITHOUT_MASK, f"{where}: {shown(box)}")
        return
    if min(numbers[2:]) <= 0:
        findings.add(BAD_BOX, f"{where}: {shown(box)}")
        return
    x, y, width, height = mask.box
    left, top = numbers[:2]
    differences = (left - x, top - y, left + numbers[2] - x - width, top + numbers[3] - y - height)
    # The box of a polygon is the one of its corners, which may lie a little off the pixels it covers.
    if max(map(abs, differences)) > (BOX_TOLERANCE if exact else 2 * BOX_TOLERANCE):
        findings.add(BOX_MISMATCH, f"{where}: {shown(box)}, the mask's is {[x, y, width, height]}")


def _check_area(area: Any, mask: RLEMask | None, where: str, *, exact: bool, findings: Findings) -> None:
    # The area of a polygon differs from the number of its pixels, by much where it is thin.
    number = finite_number(area)
    if not exact or mask is None or number is None:
        return
    pixels = mask.area
    if abs(number - pixels) > max(1.0, 0.01 * pixels):
        findings.add(AREA_MISMATCH, f"{where}: {number:g}, the mask has {pixels} pixels")
