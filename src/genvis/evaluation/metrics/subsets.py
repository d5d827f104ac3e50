"""Subsets of the objects that are scored on their own: by size, and by how occluded an object is.

Objects outside of a subset need not be found, and detections that find them are ignored, as in the COCO evaluation.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from genvis.data.annotations.video_annotations import VideoAnnotations


class Subset(StrEnum):
    """The subsets, in the order of all arrays that have one entry per subset."""

    ALL = "all"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    SLIGHTLY_OCCLUDED = "slightly occluded"
    MODERATELY_OCCLUDED = "moderately occluded"
    HEAVILY_OCCLUDED = "heavily occluded"


SIZES = (Subset.SMALL, Subset.MEDIUM, Subset.LARGE)

# Pixels per frame, both ends included: the ranges of the YouTube-VIS evaluation, which differ from COCO's.
AREA_RANGES = {
    Subset.ALL: (0.0, 1e5**2),
    Subset.SMALL: (0.0, 128.0**2),
    Subset.MEDIUM: (128.0**2, 256.0**2),
    Subset.LARGE: (256.0**2, 1e5**2),
}

# How much of an object each of OVIS' three levels is taken to hide, and the levels written as numbers.
_HIDDEN = {
    "no_occlusion": 0.0,
    "slight_occlusion": 0.25,
    "severe_occlusion": 0.75,
    "0": 0.0,
    "1": 0.25,
    "2": 0.75,
}

# Up to which mean over the frames an object counts as slightly and as moderately occluded.
_SLIGHT, _MODERATE = 0.25, 0.5


@dataclass(frozen=True)
class Membership:
    """Which objects and detections of one video count in which of S subsets.

    Attributes:
        ignored: (S, G) bool, objects that need not be found: those outside of a subset, and crowds in all.
        outside: (S, D) bool, detections that are ignored if they find nothing: those of a size outside of the subset.
    """

    ignored: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def membership(
    *,
    object_areas: NDArray[np.float64],
    detection_areas: NDArray[np.float64],
    crowd: NDArray[np.bool_],
    occlusion: NDArray[np.float64],
) -> Membership:
    """Sort the objects and detections of a video into the subsets.

    Args:
        object_areas: (G,) float64 mean pixels per frame.
        detection_areas: (D,) float64 mean pixels per frame.
        crowd: (G,) bool.
        occlusion: (G,) float64 from :func:`occlusion_scores`.
    """
    ignored, outside = [], []
    for least, most in AREA_RANGES.values():
        ignored.append((object_areas < least) | (object_areas > most))
        outside.append((detection_areas < least) | (detection_areas > most))
    # The occlusion of a detection itself is not known: one that finds nothing counts as wrong at every level.
    for inside in (
        occlusion <= _SLIGHT,
        (occlusion > _SLIGHT) & (occlusion <= _MODERATE),
        occlusion > _MODERATE,
    ):
        ignored.append(~inside)
        outside.append(np.zeros(len(detection_areas), np.bool_))
    return Membership(np.array(ignored) | crowd, np.array(outside))


def occlusion_scores(annotations: VideoAnnotations, video: int) -> NDArray[np.float64]:
    """Return how occluded each object of a video is.

    A frame counts 0 without occlusion, 0.25 with slight and 0.75 with severe occlusion, and an object is the mean over
    the frames in which it is visible. Up to 0.25 it is slightly, up to 0.5 moderately, else heavily occluded, which
    are the groups of the OVIS paper.

    Args:
        annotations: With OVIS' occlusion levels, or with 0, 1 and 2 in their place.
        video: Position of the video.

    Returns:
        (G,) float64 from 0 to 0.75; NaN where no frame has a level.
    """
    levels = np.array([_HIDDEN.get(name, np.nan) for name in annotations.occlusion_levels] + [np.nan])
    hidden = levels[annotations.occlusion_of(video)]  # -1, which stands for nothing, is the NaN at the end
    known = annotations.present(video) & ~np.isnan(hidden)
    frames = known.sum(axis=1)
    total = np.where(known, hidden, 0.0).sum(axis=1)
    return np.where(frames > 0, total / np.maximum(frames, 1), np.nan)
