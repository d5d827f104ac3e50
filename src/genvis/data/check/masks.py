"""Checks of the masks: readable, of the frame's size, inside of it, not empty, in accord with boxes and areas."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genvis.data.annotations.segmentation import (
    RunLengths,
    SegmentationError,
    check_counts,
    encode_counts,
    polygon_points,
    run_length_counts,
    run_length_size,
    to_run_lengths,
)
from genvis.data.check.findings import Findings, Kind, Severity
from genvis.data.check.records import AnnotationRecords, Layout, TrackRecord, VideoRecord, is_number

UNREADABLE_MASK = Kind("unreadable-mask", Severity.ERROR, "a mask cannot be read")
MASK_SIZE = Kind(
    "mask-size",
    Severity.ERROR,
    "a mask has another size than its video",
    "'size' is [height, width]; masks are of the size of the frames.",
)
MASK_SUM = Kind("mask-sum", Severity.ERROR, "the run lengths of a mask do not fill its frame exactly")
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
    """An annotation with those of its masks that can be read: frame index -> run lengths."""

    track: TrackRecord
    masks: dict[int, RunLengths]


def check_masks(records: AnnotationRecords, findings: Findings) -> Iterator[tuple[VideoRecord, list[TrackMasks]]]:
    """Check every mask, video by video.

    Args:
        records: What was read of the file.
        findings: Takes what is wrong.

    Yields:
        Each video with the readable masks of its objects, for checks that compare objects.
    """
    tracks_of_video: dict[int | None, list[TrackRecord]] = {}
    for track in records.tracks:
        tracks_of_video.setdefault(track.video_id, []).append(track)
    for video in records.videos:
        tracks = tracks_of_video.pop(video.id, [])
        yield video, [_check_track(track, video, records.layout, findings) for track in tracks]
    # Annotations of unknown videos: their masks are checked against nothing but themselves.
    unknown = VideoRecord("an unknown video", None, None, None, None)
    for tracks in tracks_of_video.values():
        for track in tracks:
            _check_track(track, unknown, records.layout, findings)


def _check_track(track: TrackRecord, video: VideoRecord, layout: Layout, findings: Findings) -> TrackMasks:
    masks: dict[int, RunLengths] = {}
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


def _read_mask(segmentation: Any, video: VideoRecord, where: str, findings: Findings) -> tuple[RunLengths | None, bool]:
    """Return the mask (None where the object is absent), and whether it is there but cannot be used."""
    try:
        if segmentation is None or segmentation == []:
            return None, False
        if isinstance(segmentation, dict):
            return _read_run_lengths(segmentation, video, where, findings)
        if isinstance(segmentation, list):
            return _read_polygons(segmentation, video, where, findings)
        raise SegmentationError(f"it is a {type(segmentation).__name__}, not polygons or run lengths")
    except SegmentationError as error:
        findings.add(UNREADABLE_MASK, f"{where}: {error}")
        return None, True


def _read_run_lengths(
    segmentation: dict[str, Any], video: VideoRecord, where: str, findings: Findings
) -> tuple[RunLengths | None, bool]:
    height, width = run_length_size(segmentation)
    counts = run_length_counts(segmentation)
    of_frame = (video.height in (height, None)) and (video.width in (width, None))
    if not of_frame:
        swapped = (height, width) == (video.width, video.height)
        text = f"{where}: 'size' is {[height, width]}, the frame {[video.height, video.width]}"
        findings.add(MASK_SIZE, text + (", height and width swapped" if swapped else ""))
    try:
        check_counts(counts, height, width)
    except SegmentationError as error:
        findings.add(MASK_SUM, f"{where}: {error}")
        return None, True
    if not of_frame:
        return None, True
    if not counts[1::2].any():
        return None, False
    text = segmentation["counts"]
    if isinstance(text, str):
        return {"size": [height, width], "counts": text.encode("ascii")}, False
    return encode_counts(counts, height, width), False


def _read_polygons(
    segmentation: list[Any], video: VideoRecord, where: str, findings: Findings
) -> tuple[RunLengths | None, bool]:
    points = np.concatenate([polygon_points(polygon) for polygon in segmentation])
    if video.height is None or video.width is None:
        return None, True
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    beyond = max(-left, -top, right - video.width, bottom - video.height)
    if beyond > POLYGON_TOLERANCE:
        findings.add(
            OUTSIDE_FRAME,
            f"{where}: x {left:g} to {right:g}, y {top:g} to {bottom:g}, in a frame {video.width} wide and "
            f"{video.height} high",
        )
    mask = to_run_lengths(segmentation, video.height, video.width)
    return mask, mask is None and beyond > POLYGON_TOLERANCE


def _check_box(box: Any, mask: RunLengths | None, where: str, *, exact: bool, findings: Findings) -> None:
    from pycocotools import mask as coco_mask

    if box is None:
        return
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        findings.add(BAD_BOX, f"{where}: {box!r:.60}")
        return
    if mask is None:
        if any(box):
            findings.add(BOX_WITHOUT_MASK, f"{where}: {box}")
        return
    if box[2] <= 0 or box[3] <= 0:
        findings.add(BAD_BOX, f"{where}: {box}")
        return
    x, y, width, height = coco_mask.toBbox(mask).tolist()
    differences = (box[0] - x, box[1] - y, box[0] + box[2] - x - width, box[1] + box[3] - y - height)
    # The box of a polygon is the one of its corners, which may lie a little off the pixels it covers.
    if max(map(abs, differences)) > (BOX_TOLERANCE if exact else 2 * BOX_TOLERANCE):
        findings.add(BOX_MISMATCH, f"{where}: {box}, the mask's is {[int(side) for side in (x, y, width, height)]}")


def _check_area(area: Any, mask: RunLengths | None, where: str, *, exact: bool, findings: Findings) -> None:
    from pycocotools import mask as coco_mask

    # The area of a polygon differs from the number of its pixels, by much where it is thin.
    if not exact or mask is None or not is_number(area):
        return
    pixels = int(coco_mask.area(mask))
    if abs(area - pixels) > max(1.0, 0.01 * pixels):
        findings.add(AREA_MISMATCH, f"{where}: {area:g}, the mask has {pixels} pixels")
