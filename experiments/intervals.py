"""How much scores depend on the choice of the videos: differences of two methods, by resampling a set's videos."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.comparisons import Measured, Pair
from experiments.evaluation import ONE_CLASS, SURE, TrackedVideos
from genvis.categories import Categories
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.errors import InputError
from genvis.evaluation.evaluated_videos import EvaluatedVideo, annotations_and_results
from genvis.evaluation.metrics.average_precision import RECALL_LEVELS
from genvis.evaluation.metrics.comparison import compare
from genvis.evaluation.metrics.matching import Matches
from genvis.evaluation.metrics.tracking import ClassResults, TrackingMetrics
from genvis.evaluation.results_file import Results, load_results
from genvis.files import make_folder, write_json

if TYPE_CHECKING:
    from experiments.runner import Workspace

FILE = "intervals.json"
NAMES = ("ap", "hota", "assa", "idf1")


class Interval(NamedTuple):
    """A difference of two methods, in points.

    Attributes:
        difference: Of the second to the first, on all videos.
        low: Lower end of the 95 % interval over resampled videos.
        high: Upper end.
    """

    difference: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


class VideoScores:
    """Contributions of single videos to the scores of one method, from which any choice of videos is scored at once.

    Args:
        tracked: Truth and results of the videos.
        categories: Of the records.
    """

    def __init__(self, tracked: TrackedVideos, categories: Categories) -> None:
        by_class: dict[int, list[tuple[int, Matches]]] = {}
        for number, one in enumerate(_videos(tracked.records, categories)):
            for label, found in _matches(*one).items():
                by_class.setdefault(label, []).append((number, found))
        self._videos = len(tracked.records)
        self._classes = [_ClassMatches.of(found, self._videos) for found in by_class.values()]
        metrics = TrackingMetrics(SURE)
        self._tracking = _TrackingParts.of(
            [
                next(iter(metrics.examine(compare(annotations, results, video, all_pairs=True)).values()), None)
                for annotations, results, video in _videos(tracked.objects, ONE_CLASS)
            ]
        )

    def __len__(self) -> int:
        return self._videos

    def scores(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (S, 4), the scores `NAMES` in percent of S choices of videos.

        Args:
            chosen: (S, V), how often each of the V videos counts.
        """
        precision = np.stack([one.average_precision(chosen) for one in self._classes])  # (C, S)
        exists = ~np.isnan(precision)
        ap = np.where(exists, precision, 0.0).sum(axis=0) / np.maximum(exists.sum(axis=0), 1)
        return 100 * np.stack([ap, *self._tracking.scores(chosen)], axis=1)


class _ClassMatches(NamedTuple):
    """Detections of one class in all videos, best score first.

    Attributes:
        video: (D,) the video of each.
        right: (K, D) bool, whether it finds an object, for K IoU thresholds.
        wrong: (K, D) bool, whether it finds none, and should.
        objects: (V,) objects of each video.
    """

    video: NDArray[np.int64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    objects: NDArray[np.int64]

    @classmethod
    def of(cls, found: Sequence[tuple[int, Matches]], videos: int) -> "_ClassMatches":
        """Join the matches of single videos."""
        order = np.argsort(-np.concatenate([one.scores for _, one in found]), kind="stable")
        objects = np.zeros(videos, np.int64)
        for number, one in found:
            objects[number] = one.counted[0]
        return cls(
            np.concatenate([np.full(len(one.scores), number) for number, one in found])[order],
            np.concatenate([one.right[0] for _, one in found], axis=1)[:, order],
            np.concatenate([one.wrong[0] for _, one in found], axis=1)[:, order],
            objects,
        )

    def average_precision(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (S,) the mean over the thresholds, 0 to 1; NaN where the chosen videos have no object of the class.

        A video that is chosen n times has each of its detections n times, one after the other, as if there were n such
        videos. Of equal detections only the last need be looked at: precision rises towards it where they are right,
        and recall does not change where they are wrong.
        """
        objects = chosen @ self.objects  # (S,)
        if not len(self.video):
            return np.where(objects > 0, 0.0, np.nan)
        times = chosen[:, None, self.video]  # (S, 1, D)
        found = np.cumsum(self.right * times, axis=2)  # (S, K, D)
        precision = found / np.maximum(np.cumsum(self.wrong * times, axis=2) + found, 1)
        envelope = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
        # How many of the recalls at which precision is read off are reached with so many objects found.
        share = np.arange(objects.max(initial=0) + 1) / np.maximum(objects, 1)[:, None]
        reached = np.searchsorted(RECALL_LEVELS, share, side="right")  # (S, most objects + 1)
        reached = np.take_along_axis(reached[:, None], found, axis=2)
        new = np.diff(reached, axis=2, prepend=0)
        precisions = (envelope * new).sum(axis=2).mean(axis=1) / len(RECALL_LEVELS)
        return np.asarray(np.where(objects > 0, precisions, np.nan))


class _TrackingParts(NamedTuple):
    """Parts of trackeval's metrics that are summed over videos, for each of V videos.

    Attributes:
        right: (V, A) masks that find an object, for A localisation thresholds.
        masks: (V, A) masks and objects, those that find each other once.
        association: (V, A) sum of the association accuracies of the right masks.
        identities: (V, 2) right masks, and half of all masks and all objects, under the best assignment of ids.
    """

    right: NDArray[np.float64]
    masks: NDArray[np.float64]
    association: NDArray[np.float64]
    identities: NDArray[np.float64]

    @classmethod
    def of(cls, videos: Sequence[ClassResults | None]) -> "_TrackingParts":
        """Take the parts from the results of single videos; None has neither objects nor masks."""
        known = next((one for one in videos if one is not None), None)
        width = 0 if known is None else len(known.hota["HOTA_TP"])
        right, masks, association = (np.zeros((len(videos), width)) for _ in range(3))
        identities = np.zeros((len(videos), 2))
        for row, one in enumerate(videos):
            if one is not None:
                right[row] = one.hota["HOTA_TP"]
                masks[row] = one.hota["HOTA_TP"] + one.hota["HOTA_FN"] + one.hota["HOTA_FP"]
                association[row] = one.hota["AssA"] * one.hota["HOTA_TP"]
                wrong = one.identity["IDFN"] + one.identity["IDFP"]
                identities[row] = one.identity["IDTP"], one.identity["IDTP"] + 0.5 * wrong
        return cls(right, masks, association, identities)

    def scores(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        """Return HOTA, AssA and IDF1, each (S,) and 0 to 1, of S choices of videos, (S, V)."""
        right, masks, association, identities = (chosen @ part for part in self)
        assa = association / np.maximum(right, 1)
        hota = np.sqrt(assa * right / np.maximum(masks, 1))
        return hota.mean(axis=1), assa.mean(axis=1), identities[:, 0] / np.maximum(identities[:, 1], 1)


def resampled(runs: Sequence[VideoScores], *, samples: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """Return (1 + samples, 4), the scores `NAMES` of a method on all videos, and on videos drawn with replacement.

    Args:
        runs: Of the method, all on the same videos; the mean of their scores counts.
        samples: How many times as many videos as there are are drawn.
        seed: Of the draws, which depend on nothing else but the number of videos.
    """
    videos = len(runs[0])
    drawn = np.random.default_rng(seed).integers(videos, size=(samples, videos))
    once = np.ones((1, videos), np.int64)
    chosen = np.concatenate([once, (drawn[..., None] == np.arange(videos)).sum(axis=1)])
    return np.mean([run.scores(chosen) for run in runs], axis=0)


def intervals(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Interval]:
    """Return the difference of the second method to the first by score, with its 95 % interval.

    Both are scored on the same resampled videos (paired bootstrap), so that what makes a video hard for both does not
    widen the interval.

    Args:
        first: What `resampled` returns for one method.
        second: For another one, on the same videos.
    """
    difference = second - first
    low, high = np.percentile(difference[1:], [2.5, 97.5], axis=0)
    return {
        name: Interval(float(difference[0, place]), float(low[place]), float(high[place]))
        for place, name in enumerate(NAMES)
    }


def measure_intervals(
    workspace: "Workspace",
    pairs: Mapping[str, Sequence[Pair]],
    sets: Sequence[str],
    *,
    seeds: Sequence[int],
) -> str:
    """Compare rows of tables with each other, and write the intervals to the results.

    Args:
        workspace: Whose runs have been measured.
        pairs: For each table; those of which a row was not measured are left out. A table without any stays as it was.
        sets: Validation sets.
        seeds: Of the rows that are trained; each row takes those that were measured, and where one network is run in
            two ways, those that were measured in both.

    Returns:
        The comparisons, a line each.

    Raises:
        InputError: If there is nothing to compare.
    """
    scored = cache(partial(_scored, workspace.load_detector().config.categories))
    wanted = dict.fromkeys(seeds)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    said = []
    for table, name in itertools.product(pairs, sets):
        for first, second in pairs[table]:
            one, other = (_measured_seeds(workspace, row, name, wanted) for row in (first, second))
            if first.configuration == second.configuration:
                # The same network run in two ways: only seeds that were run in both.
                one, other = (
                    {seed: path for seed, path in row.items() if seed in one and seed in other} for row in (one, other)
                )
            if not one or not other:
                continue
            scores = intervals(scored(tuple(one.values())), scored(tuple(other.values())))
            document = {score: value._asdict() for score, value in scores.items()}
            found.setdefault(table, {}).setdefault(name, []).append(
                {"first": first.title, "second": second.title, "seeds": [len(one), len(other)], "scores": document}
            )
            parts = (
                f"{score} {value.difference:+.1f} ({value.low:+.1f} to {value.high:+.1f})"
                for score, value in scores.items()
            )
            said.append(f"{name}: {second.title} - {first.title}: {', '.join(parts)}")
    if not said:
        raise InputError(f"Nothing in {workspace.tracked_folder} can be compared: measure the tables first.")
    path = make_folder(workspace.results_folder) / FILE
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, before | found)
    return "\n".join(said)


def _measured_seeds(workspace: "Workspace", row: Measured, set_name: str, seeds: Iterable[int]) -> dict[int, Path]:
    """Return the files of what a row found in a set, by the seed; without those that were not measured."""
    wanted = seeds if row.configuration.is_trained else [0]
    files = {seed: workspace.tracked_file(row.configuration, seed, row.plan(set_name)) for seed in wanted}
    return {seed: path for seed, path in files.items() if path.is_file()}


def _scored(categories: Categories, files: Sequence[Path]) -> NDArray[np.float64]:
    """Return the scores of some runs of a row on all videos and on resampled ones, (1 + samples, 4)."""
    return resampled([_video_scores(path, categories) for path in files])


@cache
def _video_scores(path: Path, categories: Categories) -> VideoScores:
    return VideoScores(TrackedVideos.load(path), categories)


def _videos(records: Sequence[EvaluatedVideo], categories: Categories) -> list[tuple[VideoAnnotations, Results, int]]:
    annotations, found = annotations_and_results(records, categories, name=Path("validation set"))
    results = load_results(found, annotations)
    return [(annotations, results, video) for video in range(len(records))]


def _matches(annotations: VideoAnnotations, results: Results, video: int) -> Mapping[int, Matches]:
    return compare(annotations, results, video, all_pairs=False).matches
