"""Tracks of a result that may be one object: one begins after the other has ended, and looks the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.results.editing.appearance import Appearance
from genvis.results.editing.track_life import TrackLife
from genvis.results.types import VideoResult

# Suggestions with a lower score are not made: where looks are known, and where they are not.
LEAST_SCORE, LEAST_SCORE_UNSEEN = 0.5, 0.4
# Usual similarities of one object with itself and of two objects, and how many observations these are worth: a short
# result tells little of its own.
_SAME, _OTHER, _WORTH = 0.95, 0.3, 10
# From this share of the way from two objects to one on, looks are the same.
_ALIKE = 0.5
# Frames after which a look, and a place, say less (by a factor of e).
_LOOK_LASTS, _PLACE_LASTS = 300, 50
# Frames with a mask from which on the two ends of a life are two looks.
_LASTING = 16
# What speaks against two classes.
_OTHER_CLASS = 0.6


@dataclass(frozen=True, slots=True)
class MergeSuggestion:
    """Two tracks that may be one object: the second begins after the first has ended.

    Attributes:
        first_id: The earlier track, which goes on if they are merged.
        second_id: The later one.
        score: How likely, 0..1.
        last: Last position of the earlier track.
        first: First position of the later one.
        similarity: Of their looks, -1..1; None where these are unknown.
        reason: The score in words.
    """

    first_id: int
    second_id: int
    score: float
    last: int
    first: int
    similarity: float | None
    reason: str


def suggest_merges(result: VideoResult, appearance: Appearance | None = None) -> tuple[MergeSuggestion, ...]:
    """Return pairs of tracks that may be one object, the likeliest first; a track has one successor at most.

    The score is the product of what speaks for one object, each 0..1: the same look, the same size, a place that can
    be reached in the time between, the same class, and a short absence. Which similarity is that of one object depends
    on the model; it is learned from the result itself, as far as this is long enough: tracks that are visible together
    are different objects, and the two ends of one track are the same. Without ``appearance``, place, size and class
    must do, and say little after some 50 frames.

    Objects that really look alike, of one species or make, are told apart by their place alone.

    Args:
        result: The result, corrected or not.
        appearance: The looks of its tracks: `load_appearance`, and for a corrected result `edited_appearance`.
    """
    lives = [life for life in map(TrackLife.of, result.tracks) if len(life.positions)]
    if len(lives) < 2:
        return ()
    ends = _Ends.of(lives, appearance or {})
    judged = _judged(ends, _look_scale(lives, ends, frames=len(result)))
    least = np.where(np.isfinite(judged.similarity), LEAST_SCORE, LEAST_SCORE_UNSEEN)
    found = [
        (-float(judged.score[one, other]), int(judged.gap[one, other]), ends.ids[one], ends.ids[other], one, other)
        for one, other in np.argwhere((judged.gap > 0) & (judged.score >= least)).tolist()
    ]
    chosen: list[MergeSuggestion] = []
    ended, begun = set(), set()
    for _, _, _, _, one, other in sorted(found):
        if one not in ended and other not in begun:
            ended.add(one)
            begun.add(other)
            chosen.append(_suggestion(ends, judged, one, other))
    return tuple(chosen)


class _LookScale(NamedTuple):
    """Cosine similarities of two objects, and of one with itself."""

    other: float
    same: float


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """Both ends of N lives: frames, places, sizes, and looks.

    Attributes:
        ids: N track ids.
        classes: (N,) number of the class.
        frames: (N, 2) first and last position.
        centres: (N, 2, 2) of the box at both ends, x and y.
        sizes: (N, 2) of the box, the mean over five frames.
        areas: (N, 2) pixels, the median over five frames.
        looks: (N, 2, C) of length 1; not a number where a look is not known.
    """

    ids: list[int]
    classes: NDArray[np.int64]
    frames: NDArray[np.int64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    areas: NDArray[np.float64]
    looks: NDArray[np.float32]

    @classmethod
    def of(cls, lives: Sequence[TrackLife], looks: Appearance) -> "_Ends":
        labels = {life.track.label: number for number, life in enumerate(lives)}
        known = [looks.get(life.track.id) for life in lives]
        channels = next((look.vectors.shape[1] for look in known if look is not None), 1)
        unknown = np.full((2, channels), np.nan, np.float32)
        return cls(
            ids=[life.track.id for life in lives],
            classes=np.array([labels[life.track.label] for life in lives]),
            frames=np.array([life.positions[[0, -1]] for life in lives]),
            centres=np.array([life.centres[[0, -1]] for life in lives]),
            sizes=np.array([(life.sizes[:5].mean(), life.sizes[-5:].mean()) for life in lives]),
            areas=np.array([(np.median(life.areas[:5]), np.median(life.areas[-5:])) for life in lives]),
            looks=np.stack([unknown if look is None else np.stack([look.at_start(), look.at_end()]) for look in known]),
        )


class _Judged(NamedTuple):
    """All pairs of an earlier and a later track, each (N, N), the earlier first.

    Attributes:
        gap: Frames from the end of the one to the begin of the other; below 1 where these overlap.
        distance: Of their places, in sizes.
        growth: How many times as large the later one is.
        similarity: Of their looks; not a number where these are not known.
        score: 0..1.
    """

    gap: NDArray[np.int64]
    distance: NDArray[np.float64]
    growth: NDArray[np.float64]
    similarity: NDArray[np.float64]
    score: NDArray[np.float64]


def _look_scale(lives: Sequence[TrackLife], ends: _Ends, *, frames: int) -> _LookScale:
    """Learn from a result how similar one object is to itself, and how similar two objects are."""
    known = np.flatnonzero(np.isfinite(ends.looks).all(axis=(1, 2)))
    start, end = ends.looks[known, 0], ends.looks[known, 1]
    lasting = np.array([len(lives[row].positions) > _LASTING for row in known.tolist()], bool)
    same = (start * end).sum(axis=1)[lasting]
    most = np.max([one @ other.T for one in (start, end) for other in (start, end)], axis=0)  # (K, K)
    visible = np.zeros((len(known), frames), bool)
    for place, row in enumerate(known.tolist()):
        visible[place, lives[row].positions] = True
    other = [
        most[one, earlier]
        for one in range(len(known))
        for earlier in range(one)
        if (visible[one] & visible[earlier]).any()
    ]
    usual_other, usual_same = _tempered(other, _OTHER), _tempered(same.tolist(), _SAME)
    return _LookScale(usual_other, max(usual_same, usual_other + 0.1))


def _tempered(observed: Sequence[float], usual: float) -> float:
    """Return the median of what was observed, drawn to what is usual where that is little."""
    count = len(observed)
    return (float(np.median(observed)) * count + usual * _WORTH) / (count + _WORTH) if count else usual


def _judged(ends: _Ends, scale: _LookScale) -> _Judged:
    gap = ends.frames[None, :, 0] - ends.frames[:, None, 1]  # (N, N), earlier before later
    size = np.sqrt(ends.sizes[:, None, 1] * ends.sizes[None, :, 0])
    distance = np.linalg.norm(ends.centres[None, :, 0] - ends.centres[:, None, 1], axis=2) / size
    growth = ends.areas[None, :, 0] / ends.areas[:, None, 1]
    similarity = (ends.looks[:, 1] @ ends.looks[:, 0].T).astype(np.float64)
    # A step of half its size a frame is a fast object; after an absence it may have gone anywhere in the frame.
    reachable = np.exp(-np.maximum(distance - 0.5 * np.sqrt(np.maximum(gap, 0)), 0) / 2)
    same_size = np.exp(-np.abs(np.log(growth)) / 2)
    alike = np.clip((similarity - scale.other) / (_ALIKE * (scale.same - scale.other)), 0, 1)
    later = np.maximum(gap, 0)
    by_look = alike * np.exp(-later / _LOOK_LASTS) * np.sqrt(reachable * same_size)
    by_place = np.exp(-later / _PLACE_LASTS) * reachable * same_size
    same_class = np.where(ends.classes[:, None] == ends.classes[None], 1.0, _OTHER_CLASS)
    score = np.where(np.isfinite(similarity), by_look, by_place) * same_class
    return _Judged(gap, distance, growth, similarity, score)


def _suggestion(ends: _Ends, judged: _Judged, one: int, other: int) -> MergeSuggestion:
    similarity = float(judged.similarity[one, other])
    is_known = np.isfinite(similarity)
    gap = int(judged.gap[one, other])
    look = f"they look alike ({similarity:.2f})" if is_known else "their looks are not known"
    apart = f"{gap} frame{'s' * (gap > 1)} and {judged.distance[one, other]:.1f} sizes apart"
    words = [look, apart, f"{judged.growth[one, other]:.1f} times as large"]
    if ends.classes[one] != ends.classes[other]:
        words.append("of different classes")
    return MergeSuggestion(
        first_id=ends.ids[one],
        second_id=ends.ids[other],
        score=float(judged.score[one, other]),
        last=int(ends.frames[one, 1]),
        first=int(ends.frames[other, 0]),
        similarity=similarity if is_known else None,
        reason=", ".join(words),
    )
