"""Scores of a tracker on a validation set."""

import gzip
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.absences import Absences, count_absences
from experiments.recordings import RecordedVideo, Recording, ReplayedDetector
from genvis.categories import Categories
from genvis.errors import InputError
from genvis.evaluation import EvaluationReport
from genvis.evaluation.evaluated_videos import EvaluatedVideo, evaluate_videos
from genvis.files import atomic_file, make_folder
from genvis.inference.run_setup import ClipLength
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.trackers.choose import TrackerName
from genvis.inference.trackers.matching_options import MemoryMatchingOptions
from genvis.model.genvis import GenVIS
from genvis.results.formats.youtube_vis_results import youtube_vis_entries
from genvis.results.overlaps import Overlaps
from genvis.results.types import VideoResult
from genvis.video import Frame

ONE_CLASS = Categories("objects", (1,), ("object",))
"""All objects as one class."""
SURE = 0.3
"""Tracks below this score are left out where scores have no use, as the tracking metrics leave them out."""


@dataclass(frozen=True)
class EvaluationPlan:
    """One way to measure a tracker.

    Attributes:
        set_name: Name of the validation set.
        clip_length: N_f at inference; ``"auto"`` adapts it, for which videos must have their images.
        piece: Cut the videos into pieces of so many frames, each a video of its own; 0 leaves them whole.
    """

    set_name: str
    clip_length: ClipLength
    piece: int = 0

    @property
    def key(self) -> str:
        """The name in results files."""
        return f"{self.set_name}{f'/{self.piece}' if self.piece else ''} clips of {self.clip_length}"


@dataclass(frozen=True)
class Scores:
    """Scores of one evaluation; AP and tracking metrics in percent.

    Attributes:
        ap: Video AP as the YouTube-VIS server computes it.
        ap50: At the IoU threshold 0.5.
        ar10: Recall of the 10 best detections of a class in a video.
        object_ap: AP if all classes were one, so that wrong classes cost nothing.
        hota: Of all objects as one class, as are all that follow; tracks with a score of at least 0.3.
        assa: The part of HOTA that is about association.
        deta: The part of HOTA that is about detection.
        idf1: Share of the masks that carry the right track id.
        switches: Id switches.
        frames: Frames of the set.
        objects: Objects of the set.
        masks: Annotated masks of the set.
        absences: How many objects kept their track id over absences.
        seconds: Time that the evaluation took.
    """

    ap: float
    ap50: float
    ar10: float
    object_ap: float
    hota: float
    assa: float
    deta: float
    idf1: float
    switches: int
    frames: int
    objects: int
    masks: int
    seconds: float
    absences: list[dict[str, int]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the scores as plain data, rounded to what can matter."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """How videos are tracked and results made; the names are those of `VideoSegmenter`.

    Attributes:
        tracker: Method that follows the objects; None takes the model's.
        matching: Options of memory matching.
        occupancy_weighted: Whether propagation is weighted by occupancy.
        presence_threshold: Below which the masks of a track are left out of a clip.
        overlaps: Whether masks may overlap.
    """

    tracker: TrackerName | None = None
    matching: MemoryMatchingOptions | None = None
    occupancy_weighted: bool = False
    presence_threshold: float = 0.0
    overlaps: Overlaps = "keep"


PUBLISHED = TrackingOptions()
"""The published procedure."""


def evaluate_tracker(
    model: GenVIS,
    recording: Recording | Sequence[RecordedVideo],
    plan: EvaluationPlan,
    options: TrackingOptions = PUBLISHED,
    *,
    kept: Path | None = None,
) -> Scores:
    """Run a model over a validation set and score it.

    Args:
        model: As in `track_recording`, as are all that follow but for the last.
        recording: Of the set.
        plan: Clip length and pieces.
        options: Of tracking.
        kept: File to which truth and results go, for intervals; None keeps them nowhere.
    """
    began = time.perf_counter()
    tracked = track_recording(model, recording, plan, options)
    if kept is not None:
        tracked.save(kept)
    return score_videos(tracked.records, tracked.objects, model.config.categories, seconds=time.perf_counter() - began)


class TrackedVideos(NamedTuple):
    """Truth and results of the videos of a set.

    Attributes:
        records: With classes, and the published selection of pairs of track and class.
        objects: The same as objects of one class, each track once.
    """

    records: list[EvaluatedVideo]
    objects: list[EvaluatedVideo]

    def save(self, path: Path) -> None:
        """Write them to a file, from which `load` reads them."""
        make_folder(path.parent)
        content = json.dumps([[video._asdict() for video in videos] for videos in self])
        with atomic_file(path) as partial:
            partial.write_bytes(gzip.compress(content.encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> "TrackedVideos":
        """Read what `save` wrote."""
        content = json.loads(gzip.decompress(path.read_bytes()))
        records, objects = ([EvaluatedVideo(**{**one, "size": tuple(one["size"])}) for one in part] for part in content)
        return cls(records, objects)


def track_recording(
    model: GenVIS,
    recording: Recording | Sequence[RecordedVideo],
    plan: EvaluationPlan,
    options: TrackingOptions = PUBLISHED,
) -> TrackedVideos:
    """Run a model over a validation set.

    Args:
        model: The network, of which the detector is not run: its recorded outputs are taken.
        recording: Of the model's detector on the set.
        plan: Clip length and pieces.
        options: Of tracking.
    """
    detector = model.detector
    replayed = ReplayedDetector(detector)
    model.register_module("detector", replayed)
    try:
        segmenter = VideoSegmenter(
            model,
            clip_length=plan.clip_length,
            tracker=options.tracker,
            matching=options.matching,
            occupancy_weighted=options.occupancy_weighted,
        )
        records: list[EvaluatedVideo] = []
        objects: list[EvaluatedVideo] = []
        for index in range(len(recording)):
            whole = recording[index]
            for video in whole.pieces(plan.piece) if plan.piece else [whole]:
                replayed.rewind(video)
                several, single = _segment(segmenter, video, options)
                records.append(_record(video, several, segmenter.categories))
                objects.append(_record(video, single, None))
    finally:
        model.register_module("detector", detector)
    return TrackedVideos(records, objects)


def score_videos(
    records: Sequence[EvaluatedVideo], objects: Sequence[EvaluatedVideo], labels: Categories, *, seconds: float
) -> Scores:
    """Score results.

    Args:
        records: Truth and results of all videos.
        objects: The same as objects of one class, each track once.
        labels: Classes of the records.
        seconds: What getting there took.
    """
    began = time.perf_counter()
    report = evaluate_videos(records, categories=labels)
    one_class = evaluate_videos(objects, categories=ONE_CLASS, identity=True)
    return _scores(report, one_class, objects, seconds=seconds + time.perf_counter() - began)


def _segment(
    segmenter: VideoSegmenter, video: RecordedVideo, options: TrackingOptions
) -> tuple[VideoResult, VideoResult]:
    """Return the published selection, and the one in which a track has a single label."""
    # The detector is replayed: of the frames only their number and size matter, if nothing looks for scene changes.
    images = [np.zeros((*video.size, 3), np.uint8)] * len(video) if video.images is None else video.images
    run = segmenter.start(name="recorded", overlaps=options.overlaps, presence_threshold=options.presence_threshold)
    try:
        for clip in segmenter.clips(
            Frame(image, index, index / 6.0, f"{index:05d}") for index, image in enumerate(images)
        ):
            run.add(clip)
        return run.result(segmenter.selection(one_label_each=False)), run.result(
            segmenter.selection(one_label_each=True)
        )
    finally:
        run.close()


def _record(video: RecordedVideo, result: VideoResult, labels: Categories | None) -> EvaluatedVideo:
    """Return truth and result for scoring; without labels all objects are of one class."""
    found: Sequence[dict[str, Any]] = youtube_vis_entries(result, 0)
    if labels is None:
        found = [{**entry, "category_id": 1} for entry in found]
    return EvaluatedVideo(video.size, len(video), truth_of(video, labels), list(found))


def truth_of(video: RecordedVideo, labels: Categories | None) -> list[dict[str, Any]]:
    """Return the objects of a video in the form of annotation files; without labels all are of one class."""
    return [
        {"category_id": labels.ids[label] if labels else 1, "segmentations": masks}
        for label, masks in zip(video.labels, video.masks, strict=True)
    ]


def _scores(
    report: EvaluationReport, one_class: EvaluationReport, videos: Sequence[EvaluatedVideo], *, seconds: float
) -> Scores:
    tracking = one_class.identity
    if tracking is None or report.scores.ap is None or one_class.scores.ap is None:
        raise InputError("A validation set without objects cannot be scored: choose another difficulty.")
    absences: list[Absences] = [count_absences(video, least_score=SURE) for video in videos]
    return Scores(
        ap=100 * report.scores.ap,
        ap50=100 * (report.scores.ap50 or 0.0),
        ar10=100 * (report.scores.ar10 or 0.0),
        object_ap=100 * one_class.scores.ap,
        hota=100 * tracking.hota,
        assa=100 * tracking.assa,
        deta=100 * tracking.deta,
        idf1=100 * tracking.idf1,
        switches=tracking.id_switches,
        frames=sum(video.length for video in videos),
        objects=sum(len(video.truth) for video in videos),
        masks=sum(mask is not None for video in videos for track in video.truth for mask in track["segmentations"]),
        absences=Absences.total(absences).document(),
        seconds=seconds,
    )
