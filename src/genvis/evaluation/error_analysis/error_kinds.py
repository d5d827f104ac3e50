"""Kinds of errors after TIDE (Bolya et al., ECCV 2020), and two that only videos have: id switch and fragmentation."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from genvis.evaluation.metrics.comparison import VideoComparison
from genvis.evaluation.metrics.matching import IOU_THRESHOLDS

# From this IoU on a detection has to do with an object at all.
_RELATED = 0.1
# A detection follows an object in a frame from this IoU on; it follows an object if it does so in this share of the
# frames in which it is present.
_FOLLOWS_IN_FRAME = 0.5
_SHARE_OF_FRAMES = 0.1


class ErrorKind(Enum):
    """Kinds of errors with their names and meanings; a detection's error is the first that explains it."""

    DUPLICATE = ("duplicate", "finds an object that a detection with a better score has found already")
    CLASSIFICATION = ("classification", "would find an object if it had that object's category")
    ID_SWITCH = ("id switch", "follows one object and then another, and each well")
    FRAGMENTATION = ("fragmentation", "follows an object well, but only in a part of its frames")
    LOCALIZATION = ("localization", "overlaps an object of its category, but not well enough")
    BACKGROUND = ("background", "overlaps no object of its category")
    MISSED = ("missed", "an object that no detection finds, and that none of the errors above explains")

    def __init__(self, label: str, meaning: str) -> None:
        self.label = label
        self.meaning = meaning


@dataclass(frozen=True)
class Evidence:
    """Measures that tell the errors of D detections of one video apart; objects count without crowds, -1 for none.

    Attributes:
        same_class: (D,) best IoU with an object of the detection's class.
        other_class: (D,) best IoU with an object of another class.
        switched: (D,) IoU with the object that is followed in each frame, over the frames of the detection, if it
            follows several and one of them is of its class; else 0.
        in_part: (D,) best IoU with an object of its class over the frames of the detection alone.
        targets: (kinds, D, 2) int64, which objects the detection stands for if its error is of that kind.
    """

    same_class: NDArray[np.float64]
    other_class: NDArray[np.float64]
    switched: NDArray[np.float64]
    in_part: NDArray[np.float64]
    targets: NDArray[np.int64]


def gather_evidence(comparison: VideoComparison) -> Evidence:
    """Look at all detections of a video; the comparison must be of all pairs."""
    objects = np.flatnonzero(~comparison.crowd)
    iou = comparison.full_overlap.iou[:, objects]
    same = comparison.detection_labels[:, None] == comparison.object_labels[objects]
    same_class, nearest = _best(iou, same)
    other_class, nearest_other = _best(iou, ~same)
    in_part, followed = _best(_iou_in_own_frames(comparison, objects), same)
    switched, held = _switching(comparison, objects, same)
    targets = np.full((len(ErrorKind), len(iou), 2), -1)
    for kind, found in (
        (ErrorKind.DUPLICATE, nearest),
        (ErrorKind.CLASSIFICATION, nearest_other),
        (ErrorKind.FRAGMENTATION, followed),
        (ErrorKind.LOCALIZATION, nearest),
    ):
        targets[number_of(kind), :, 0] = found
    targets[number_of(ErrorKind.ID_SWITCH)] = held
    return Evidence(same_class, other_class, switched, in_part, targets)


def explain(
    evidence: Evidence, detections: NDArray[np.int64], wrong: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the errors of some detections of a video at all IoU thresholds.

    Args:
        evidence: Of all detections of the video.
        detections: (n,) int64, positions of the detections in the video.
        wrong: (K, n) bool, those that find no object and are not ignored, at K thresholds.

    Returns:
        The number of the kind of error (K, n) int64, -1 where there is none, and the objects that the detection stands
        for (K, n, 2) int64.
    """
    threshold = IOU_THRESHOLDS[:, None]
    signs = {
        ErrorKind.DUPLICATE: evidence.same_class[detections] >= threshold,
        ErrorKind.CLASSIFICATION: evidence.other_class[detections] >= threshold,
        ErrorKind.ID_SWITCH: evidence.switched[detections] >= threshold,
        ErrorKind.FRAGMENTATION: evidence.in_part[detections] >= threshold,
        ErrorKind.LOCALIZATION: np.broadcast_to(evidence.same_class[detections] >= _RELATED, wrong.shape),
    }
    first = np.select(list(signs.values()), [number_of(kind) for kind in signs], number_of(ErrorKind.BACKGROUND))
    targets = evidence.targets[first, detections]
    return np.where(wrong, first, -1), np.where(wrong[..., None], targets, -1)


def number_of(kind: ErrorKind) -> int:
    """Return the position of a kind among all kinds."""
    return list(ErrorKind).index(kind)


def _best(iou: NDArray[np.float64], allowed: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return for each row of (D, G) the largest allowed IoU and its column; 0 and -1 where nothing overlaps."""
    candidates = np.where(allowed, iou, 0.0)
    if not candidates.shape[1]:
        return np.zeros(len(iou)), np.full(len(iou), -1)
    best = candidates.max(axis=1)
    return best, np.where(best > 0, candidates.argmax(axis=1), -1)


def _iou_in_own_frames(comparison: VideoComparison, objects: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (D, G) float64: IoU over those frames alone in which the detection is present."""
    areas = comparison.detected.areas
    common = comparison.full_overlap.intersections[:, :, objects].sum(axis=0)
    visible = (areas > 0).astype(np.int64) @ comparison.annotated.areas[objects].T
    return common / np.maximum(areas.sum(axis=1)[:, None] + visible - common, 1)


def _switching(
    comparison: VideoComparison, objects: NDArray[np.int64], same: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how well each detection follows several objects, one after the other, and which.

    Returns:
        (D,) float64 IoU, 0 where it does not follow several objects, and (D, 2) int64, the two objects of its class
        that it overlaps most, -1 for none.
    """
    areas = comparison.detected.areas.T[:, :, None]  # (T, D, 1)
    object_areas = comparison.annotated.areas[objects].T[:, None]  # (T, 1, G)
    common = comparison.full_overlap.intersections[:, :, objects]
    unions = np.maximum(areas + object_areas - common, 1)
    iou = common / unions
    nothing = np.zeros(same.shape[0]), np.full((same.shape[0], 2), -1)
    if not iou.size:
        return nothing
    nearest = iou.argmax(axis=2)[..., None] == np.arange(len(objects))
    frames = (nearest & (iou >= _FOLLOWS_IN_FRAME)).sum(axis=0)
    held = frames >= np.maximum(_SHARE_OF_FRAMES * (areas > 0).sum(axis=0), 1)
    several = (held.sum(axis=1) > 1) & (held & same).any(axis=1)
    # Frame by frame against the one of these objects that is nearest; where it meets none, all of it is too much.
    chosen = np.where(held, iou, -1.0).argmax(axis=2)[..., None]
    most = np.take_along_axis(common, chosen, axis=2)
    union = np.where(most > 0, np.take_along_axis(unions, chosen, axis=2), areas)
    quality = np.where(several, (most.sum(axis=0) / np.maximum(union.sum(axis=0), 1))[:, 0], 0.0)
    weight = np.where(held & same, common.sum(axis=0), 0)
    ranked = np.argsort(-weight, axis=1, kind="stable")[:, :2]
    targets = np.full((len(quality), 2), -1)
    targets[:, : ranked.shape[1]] = np.where(np.take_along_axis(weight, ranked, axis=1) > 0, ranked, -1)
    return quality, np.where(several[:, None], targets, -1)
