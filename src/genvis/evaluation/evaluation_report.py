"""Report of an evaluation as plain data: for programs, and for the pages and tables made from it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genvis.files import write_text


@dataclass(frozen=True)
class AveragePrecision:
    """The numbers of the YouTube-VIS evaluation, from 0 to 1; None where the annotations have nothing of the kind.

    Attributes:
        ap: Mean over IoU thresholds 0.5, 0.55, ... 0.95 and categories.
        ap50: At the IoU threshold 0.5.
        ap75: At the IoU threshold 0.75.
        ap_small: Over objects of up to 128x128 pixels, averaged over the frames in which they are visible.
        ap_medium: Over objects of 128x128 to 256x256 pixels.
        ap_large: Over larger objects.
        ar1: Share of objects found by the best detection of a category in a video, mean over thresholds and categories.
        ar10: By the 10 best.
        ar100: By the 100 best.
        ar_small: As ar100, over small objects.
        ar_medium: As ar100, over medium objects.
        ar_large: As ar100, over large objects.
        ap_slightly_occluded: Over objects of OVIS' lowest level of occlusion.
        ap_moderately_occluded: Over objects of the middle level.
        ap_heavily_occluded: Over objects of the highest level.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    ap_slightly_occluded: float | None
    ap_moderately_occluded: float | None
    ap_heavily_occluded: float | None

    @property
    def has_occlusion(self) -> bool:
        """Whether the annotations say how occluded objects are."""
        levels = (self.ap_slightly_occluded, self.ap_moderately_occluded, self.ap_heavily_occluded)
        return any(level is not None for level in levels)


@dataclass(frozen=True)
class CategoryScore:
    """Scores of one category, from 0 to 1; None where there is no such object.

    Attributes:
        category_id: The data set's own id.
        name: Its label.
        objects: Annotated objects, without crowds.
        detections: Detections of the category.
        ap: Average precision over all IoU thresholds.
        ap50: At the IoU threshold 0.5.
        ap75: At the IoU threshold 0.75.
        ar10: Recall of the 10 best detections per video.
    """

    category_id: int
    name: str
    objects: int
    detections: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar10: float | None


@dataclass(frozen=True)
class VideoScore:
    """Scores of one video.

    Attributes:
        video_id: The data set's own id.
        name: The folder of its frames.
        objects: Annotated objects, without crowds.
        found: Objects found at an IoU of 0.5 by a detection of its category.
        detections: Detections of any category.
        ap: Average precision over this video alone, 0 to 1; None without objects.
    """

    video_id: int
    name: str
    objects: int
    found: int
    detections: int
    ap: float | None


@dataclass(frozen=True)
class ErrorCost:
    """Cost of one kind of error.

    Attributes:
        kind: Name of the kind.
        meaning: Its definition, in a sentence.
        cost: Average precision that would be gained without it, 0 to 1. Costs do not add up to what is missing.
        count: Errors of the kind at an IoU threshold of 0.5, of detections or, for missed objects, of objects.
    """

    kind: str
    meaning: str
    cost: float
    count: int


@dataclass(frozen=True)
class IdentityScores:
    """Tracking metrics, from 0 to 1 but for the counts.

    Attributes:
        score_threshold: Detections with a lower score were left out.
        hota: Higher order tracking accuracy, mean over 19 localisation thresholds.
        deta: Its part for detection.
        assa: Its part for association.
        idf1: F1 of detections whose track id is right (IDF1).
        id_switches: How often an object's track id changes, as CLEAR MOT counts.
        fragmentations: How often an object is lost and found again, as CLEAR MOT counts.
        hota_per_class: HOTA averaged over the categories that have objects or detections.
    """

    score_threshold: float
    hota: float
    deta: float
    assa: float
    idf1: float
    id_switches: int
    fragmentations: int
    hota_per_class: float


@dataclass(frozen=True)
class EvaluationReport:
    """Report of an evaluation.

    Attributes:
        results: The results file, or "results".
        annotations: The annotation file.
        video_count: Videos that were annotated.
        object_count: Annotated objects, without crowds.
        detection_count: Detections.
        scores: Average precision and recall.
        categories: Scores per category, in the order of the category ids.
        videos: Scores per video, in the order of the annotations.
        errors: Kinds of errors, the most costly first; empty if not asked for.
        identity: Tracking metrics, if asked for.
    """

    results: str
    annotations: str
    video_count: int
    object_count: int
    detection_count: int
    scores: AveragePrecision
    categories: tuple[CategoryScore, ...]
    videos: tuple[VideoScore, ...]
    errors: tuple[ErrorCost, ...] = ()
    identity: IdentityScores | None = None

    @property
    def worst_videos(self) -> tuple[VideoScore, ...]:
        """The videos with objects, lowest average precision first."""
        scored = [video for video in self.videos if video.ap is not None]
        return tuple(sorted(scored, key=lambda video: (video.ap or 0.0, video.found - video.objects)))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a dictionary ready for JSON; scores from 0 to 1, None where there are none."""
        return asdict(self)

    def write_json(self, path: str | Path) -> None:
        """Write the report as JSON; the file appears when it is complete.

        Raises:
            OutputError: If it cannot be written.
        """
        write_text(path, json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "EvaluationReport":
        """Return the report that :meth:`to_json` turned into a dictionary."""
        parts = {
            "scores": AveragePrecision(**document["scores"]),
            "categories": tuple(CategoryScore(**entry) for entry in document["categories"]),
            "videos": tuple(VideoScore(**entry) for entry in document["videos"]),
            "errors": tuple(ErrorCost(**entry) for entry in document["errors"]),
            "identity": IdentityScores(**document["identity"]) if document["identity"] else None,
        }
        return cls(**{**document, **parts})
