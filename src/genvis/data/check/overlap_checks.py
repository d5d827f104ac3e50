"""Checks that compare the objects of a video: masks that overlap, and one object annotated twice."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from genvis.data.check.findings import Findings, Kind, Severity
from genvis.data.check.mask_checks import TrackMasks
from genvis.data.check.records import VideoEntry
from genvis.masks import RLEMask, mask_areas

OVERLAP = Kind(
    "overlap",
    Severity.NOTE,
    "the masks of two objects overlap",
    "Video instance segmentation annotates the visible pixels, which belong to one object each.",
)
ANNOTATED_TWICE = Kind(
    "annotated-twice", Severity.WARNING, "two annotations seem to be the same object (masks agree in most pixels)"
)

NOT_COMPARED = Kind(
    "not-compared", Severity.NOTE, "a frame has so many objects that they were not compared with one another"
)

MOST_COMPARED = 1000
"""Most objects of a frame that are compared, each with each."""

OVERLAP_SHARE = 0.05
"""Share of the smaller mask from which an overlap is worth a note: neighbours often share a border of a pixel."""

TWICE_IOU = 0.8
"""Intersection over union, over all frames, from which two annotations are taken for one object."""


@dataclass
class _Pair:
    """Overlap of two objects over the video, in pixels, and the largest as a share of the smaller mask."""

    intersection: float = 0.0
    largest_share: float = 0.0
    frames: int = 0


def check_overlaps(video: VideoEntry, tracks: list[TrackMasks], findings: Findings) -> None:
    """Compare every two objects of a video.

    Args:
        video: The video.
        tracks: Its objects with their readable masks; crowds are left out.
        findings: Takes what is found.
    """
    from pycocotools import mask as coco_mask

    tracks = [item for item in tracks if item.masks and not item.track.crowd]
    in_frame: dict[int, list[tuple[int, RLEMask]]] = defaultdict(list)
    totals = np.zeros(len(tracks))
    for index, item in enumerate(tracks):
        for frame, mask in item.masks.items():
            in_frame[frame].append((index, mask))
    pairs: dict[tuple[int, int], _Pair] = defaultdict(_Pair)
    for present in in_frame.values():
        masks = [mask.coco() for _, mask in present]
        areas = mask_areas(masks).astype(float)
        totals[[index for index, _ in present]] += areas
        if len(present) > MOST_COMPARED:
            findings.add(NOT_COMPARED, f"{video.where}: {len(present):,} objects, more than {MOST_COMPARED:,}")
        if not 2 <= len(present) <= MOST_COMPARED:
            continue
        # With 'crowd' on the right-hand side, pycocotools divides by the area of the left-hand mask.
        intersections = coco_mask.iou(masks, masks, [1] * len(masks)) * areas[:, None]
        for a, b in np.argwhere(np.triu(intersections, 1) > 0):
            pair = pairs[present[a][0], present[b][0]]
            share = intersections[a, b] / min(areas[a], areas[b])
            pair.intersection += intersections[a, b]
            pair.largest_share = max(pair.largest_share, share)
            pair.frames += share >= OVERLAP_SHARE
    for (a, b), pair in sorted(pairs.items()):
        names = f"{video.where}: annotations {tracks[a].track.id} and {tracks[b].track.id}"
        iou = pair.intersection / (totals[a] + totals[b] - pair.intersection)
        if iou >= TWICE_IOU:
            findings.add(ANNOTATED_TWICE, f"{names} agree in {iou:.0%} of their pixels")
        elif pair.frames:
            text = f"{names}, in {pair.frames} frames, up to {pair.largest_share:.0%} of the smaller one"
            findings.add(OVERLAP, text.replace("in 1 frames", "in 1 frame"))
