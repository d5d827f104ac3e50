"""How much scores depend on the choice of the videos: differences of two methods, by resampling a set's videos."""

import itertools
import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation import ONE_CLASS, SURE, TrackedVideos
from experiments.tables import Measured, Pair
from genvis.categories import Categories
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.errors import InputError
from genvis.evaluation.evaluated_videos import EvaluatedVideo, annotations_and_results
from genvis.evaluation.metrics.average_precision import mean, score_class
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
        self._matches = [_matches(*one) for one in _videos(tracked.records, categories)]
        self._metrics = TrackingMetrics(SURE)
        self._tracking = [self._examined(*one) for one in _videos(tracked.objects, ONE_CLASS)]

    def __len__(self) -> int:
        return len(self._matches)

    def scores(self, chosen: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (4,), the scores `NAMES` in percent of some videos, of which each may be chosen more than once."""
        by_class: dict[int, list[Matches]] = {}
        metrics = TrackingMetrics(SURE)
        for video in chosen:
            for label, found in self._matches[video].items():
                by_class.setdefault(label, []).append(found)
            metrics.add(self._tracking[video])
        precision = [score_class(found, subsets=1, limits=()).average_precision[0] for found in by_class.values()]
        tracking = metrics.scores()
        ap = mean(np.array(precision)) if precision else None
        return 100 * np.array([ap or 0.0, tracking.hota, tracking.assa, tracking.idf1])

    def _examined(self, annotations: VideoAnnotations, results: Results, video: int) -> Mapping[int, ClassResults]:
        return self._metrics.examine(compare(annotations, results, video, all_pairs=True))


def resampled(runs: Sequence[VideoScores], *, samples: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """Return (1 + samples, 4), the scores `NAMES` of a method on all videos, and on videos drawn with replacement.

    Args:
        runs: Of the method, all on the same videos; the mean of their scores counts.
        samples: How many times as many videos as there are are drawn.
        seed: Of the draws, which depend on nothing else but the number of videos.
    """
    videos = len(runs[0])
    drawn = np.random.default_rng(seed).integers(videos, size=(samples, videos))
    return np.array([np.mean([run.scores(one) for run in runs], axis=0) for one in (np.arange(videos), *drawn)])


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
        seeds: Of the rows that are trained; each row takes those that were measured.

    Returns:
        The comparisons, a line each.

    Raises:
        InputError: If there is nothing to compare.
    """
    measured = cache(partial(_measured, workspace, workspace.load_detector().config.categories, tuple(seeds)))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    said = []
    for table, name in itertools.product(pairs, sets):
        for first, second in pairs[table]:
            one, other = measured(first, name), measured(second, name)
            if not one or not other:
                continue
            scores = intervals(one.scores, other.scores)
            document = {score: value._asdict() for score, value in scores.items()}
            found.setdefault(table, {}).setdefault(name, []).append(
                {"first": first.title, "second": second.title, "seeds": [one.seeds, other.seeds], "scores": document}
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


class _MeasuredRow(NamedTuple):
    seeds: int
    scores: NDArray[np.float64]


def _measured(
    workspace: "Workspace", categories: Categories, seeds: Sequence[int], row: Measured, set_name: str
) -> _MeasuredRow | None:
    """Return the scores of the runs of a row that were measured on a set; None if there is none."""
    wanted = dict.fromkeys(seeds if row.configuration.is_trained else [0])
    files = [workspace.tracked_file(row.configuration, seed, row.plan(set_name)) for seed in wanted]
    runs = [VideoScores(TrackedVideos.load(path), categories) for path in files if path.is_file()]
    return _MeasuredRow(len(runs), resampled(runs)) if runs else None


def _videos(records: Sequence[EvaluatedVideo], categories: Categories) -> list[tuple[VideoAnnotations, Results, int]]:
    annotations, found = annotations_and_results(records, categories, name=Path("validation set"))
    results = load_results(found, annotations)
    return [(annotations, results, video) for video in range(len(records))]


def _matches(annotations: VideoAnnotations, results: Results, video: int) -> Mapping[int, Matches]:
    return compare(annotations, results, video, all_pairs=False).matches
