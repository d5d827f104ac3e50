"""Tracking metrics of the `trackeval` package: HOTA, IDF1, id switches."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.errors import InputError, MissingExtraError
from genvis.evaluation.evaluation_report import IdentityScores
from genvis.evaluation.metrics.comparison import VideoComparison

# A detection and an object are the same in a frame from this IoU on, for IDF1, switches and fragmentations. HOTA
# averages over thresholds of its own.
_SAME = 0.5

# A detection lies in a crowd in a frame if more than this share of its pixels does.
_IN_CROWD = 0.5


class ClassResults(NamedTuple):
    """Results of trackeval's metrics on one class in one video, to be combined by them later."""

    hota: Mapping[str, Any]
    clear: Mapping[str, Any]
    identity: Mapping[str, Any]


class TrackingMetrics:
    """Collects the videos of a data set and computes the tracking metrics over all of them.

    Every class is tracked on its own: an object can be found only by detections of its class. Totals over classes
    weigh each mask the same. Masks may overlap and stay as they are; in each frame an object pairs with at most one
    detection. A mask that finds no object but lies in a crowd is left out.

    Args:
        score_threshold: Detections with a lower score are left out.

    Raises:
        InputError: If the threshold is not a number.
        MissingExtraError: If trackeval is not installed.
    """

    def __init__(self, score_threshold: float) -> None:
        try:
            from trackeval.metrics import CLEAR, HOTA, Identity
        except ModuleNotFoundError as error:
            raise MissingExtraError("trackeval", "eval") from error
        if np.isnan(score_threshold):
            raise InputError(f"The score threshold is {score_threshold}: give a number.")
        self._score_threshold = score_threshold
        options = {"THRESHOLD": _SAME, "PRINT_CONFIG": False}
        self._hota, self._clear, self._identity = HOTA(), CLEAR(dict(options)), Identity(dict(options))
        self._videos: dict[int, list[ClassResults]] = {}

    def examine(self, comparison: VideoComparison) -> dict[int, ClassResults]:
        """Return the results of each class in a video; the comparison must be of all pairs."""
        kept = comparison.scores >= self._score_threshold
        results = {}
        for label in comparison.matches:
            detections = np.flatnonzero(kept & (comparison.detection_labels == label))
            objects = np.flatnonzero((comparison.object_labels == label) & ~comparison.crowd)
            data = _sequence(comparison, detections, objects, label)
            if data["num_tracker_dets"] or data["num_gt_dets"]:
                results[label] = ClassResults(
                    *(metric.eval_sequence(data) for metric in (self._hota, self._clear, self._identity))
                )
        return results

    def add(self, video: Mapping[int, ClassResults]) -> None:
        """Add the results of a video."""
        for label, results in video.items():
            self._videos.setdefault(label, []).append(results)

    def scores(self) -> IdentityScores:
        """Return the metrics over all videos that were added."""
        hota = self._combined(self._hota, "hota")
        total = self._hota.combine_classes_det_averaged(hota)
        moves = self._clear.combine_classes_det_averaged(self._combined(self._clear, "clear"))
        identity = self._identity.combine_classes_det_averaged(self._combined(self._identity, "identity"))
        per_class = [float(np.mean(values["HOTA"])) for values in hota.values()]
        return IdentityScores(
            score_threshold=self._score_threshold,
            hota=float(np.mean(total["HOTA"])),
            deta=float(np.mean(total["DetA"])),
            assa=float(np.mean(total["AssA"])),
            idf1=float(identity["IDF1"]),
            id_switches=int(moves["IDSW"]),
            fragmentations=int(moves["Frag"]),
            hota_per_class=float(np.mean(per_class)) if per_class else 0.0,
        )

    def _combined(self, metric: Any, name: str) -> dict[str, Mapping[str, Any]]:
        """Return one metric per class, over the videos of each."""
        return {
            str(label): metric.combine_sequences(
                {str(number): getattr(results, name) for number, results in enumerate(videos)}
            )
            for label, videos in self._videos.items()
        }


def _sequence(
    comparison: VideoComparison, detections: NDArray[np.int64], objects: NDArray[np.int64], label: int
) -> dict[str, Any]:
    """Return one class in one video as the dictionary that trackeval's metrics take."""
    areas = comparison.detected.areas[detections].T[:, :, None]
    object_areas = comparison.annotated.areas[objects].T[:, None]
    common = comparison.full_overlap.intersections[:, detections][:, :, objects]
    iou = common / np.maximum(areas + object_areas - common, 1)  # (T, D, G)
    seen = areas[..., 0] > 0
    seen &= ~_in_crowd(comparison, detections, label) | (iou >= _SAME).any(axis=2)
    visible = object_areas[:, 0] > 0
    # The metrics want track ids from 0 without gaps, so that tracks that are never visible are left out.
    tracks, truths = _numbered(seen), _numbered(visible)
    return {
        "num_timesteps": len(seen),
        "num_gt_ids": int(visible.any(axis=0).sum()),
        "num_tracker_ids": int(seen.any(axis=0).sum()),
        "num_gt_dets": int(visible.sum()),
        "num_tracker_dets": int(seen.sum()),
        "gt_ids": [truths[frame] for frame in visible],
        "tracker_ids": [tracks[frame] for frame in seen],
        "similarity_scores": [
            frame[here][:, there].T.copy() for frame, here, there in zip(iou, seen, visible, strict=True)
        ],
    }


def _numbered(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for (T, N) bool a number per column, counting only columns that are present in some frame."""
    return np.cumsum(present.any(axis=0)) - 1


def _in_crowd(comparison: VideoComparison, detections: NDArray[np.int64], label: int) -> NDArray[np.bool_]:
    """Return (T, D) bool: whether most of a detection lies in a crowd of its class."""
    crowds = np.flatnonzero((comparison.object_labels == label) & comparison.crowd)
    common = comparison.full_overlap.intersections[:, detections][:, :, crowds]
    areas = comparison.detected.areas[detections].T[:, :, None]
    return np.any(common > _IN_CROWD * areas, axis=2)
