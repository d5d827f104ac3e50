"""Tracks of a result that may be one object: one begins after the other has ended, and looks the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.results.editing.appearance import Appearance, TrackAppearance
from genvis.results.editing.track_life import TrackLife
from genvis.results.types import VideoResult

# Suggestions with a lower score are not made.
LEAST_SCORE = 0.4
# Similarities of one object with itself and of two objects, where a result is too small to tell.
_SAME, _OTHER = 0.9, 0.4
_FEW = 3


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
    be reached in the time between, and the same class. Which similarity is that of one object depends on the model; it
    is learned from the result itself: tracks that are visible together are different objects, and the two ends of one
    track are the same. Without ``appearance``, place, size and class must do, and say less the longer the absence.

    Args:
        result: The result, corrected or not.
        appearance: The looks of its tracks: `load_appearance`, and for a corrected result `edited_appearance`.
    """
    lives = [life for life in map(TrackLife.of, result.tracks) if len(life.positions)]
    looks = appearance or {}
    scale = _look_scale(lives, looks)
    found = []
    for earlier in lives:
        for later in lives:
            if later.positions[0] > earlier.positions[-1]:
                suggestion = _compared(earlier, later, looks, scale)
                if suggestion.score >= LEAST_SCORE:
                    found.append(suggestion)
    chosen: list[MergeSuggestion] = []
    for one in sorted(found, key=lambda one: (-one.score, one.first - one.last, one.first_id, one.second_id)):
        if all(one.first_id != other.first_id and one.second_id != other.second_id for other in chosen):
            chosen.append(one)
    return tuple(chosen)


class _LookScale(NamedTuple):
    """Cosine similarities of two objects, and of one with itself."""

    other: float
    same: float


def _look_scale(lives: Sequence[TrackLife], looks: Appearance) -> _LookScale:
    """Learn from a result how similar one object is to itself, and how similar two objects are."""
    same = [float(look.at_start() @ look.at_end()) for look in looks.values() if len(look) > 2]
    known = [(life, looks[life.track.id]) for life in lives if life.track.id in looks]
    ends = [np.stack([look.at_start(), look.at_end()]) for _, look in known]
    other = []
    for place, (life, _) in enumerate(known):
        for before, (earlier, _) in enumerate(known[:place]):
            if life.track.label == earlier.track.label and np.isin(life.positions, earlier.positions).any():
                other.append(float((ends[place] @ ends[before].T).max()))
    usual_other = float(np.median(other)) if len(other) >= _FEW else _OTHER
    usual_same = float(np.median(same)) if len(same) >= _FEW else _SAME
    return _LookScale(min(usual_other, usual_same - 0.1), usual_same)


def _compared(
    earlier: TrackLife, later: TrackLife, looks: Mapping[int, TrackAppearance], scale: _LookScale
) -> MergeSuggestion:
    gap = int(later.positions[0] - earlier.positions[-1])
    size = float(np.sqrt(earlier.sizes[-5:].mean() * later.sizes[:5].mean()))
    distance = float(np.linalg.norm(later.centres[0] - earlier.centres[-1])) / size
    growth = float(np.log(_usual(later.areas[:5]) / _usual(earlier.areas[-5:])))
    same_class = earlier.track.label == later.track.label
    before, after = looks.get(earlier.track.id), looks.get(later.track.id)
    similarity = None if before is None or after is None else float(before.at_end() @ after.at_start())
    # A step of half its size a frame is a fast object; after an absence it may have gone anywhere in the frame.
    reachable = float(np.exp(-max(distance - 0.5 * np.sqrt(gap), 0) / 2))
    same_size = float(np.exp(-abs(growth) / 2))
    if similarity is None:
        look = float(np.exp(-gap / 50))
    else:
        look = float(np.clip((similarity - scale.other) / (scale.same - scale.other), 0, 1))
        reachable, same_size = np.sqrt(reachable), np.sqrt(same_size)
    score = look * reachable * same_size * (1.0 if same_class else 0.6)
    return MergeSuggestion(
        first_id=earlier.track.id,
        second_id=later.track.id,
        score=float(score),
        last=int(earlier.positions[-1]),
        first=int(later.positions[0]),
        similarity=similarity,
        reason=_reason(gap, distance, growth, similarity, same_class=same_class),
    )


def _reason(gap: int, distance: float, growth: float, similarity: float | None, *, same_class: bool) -> str:
    look = "their looks are not known" if similarity is None else f"they look alike ({similarity:.2f})"
    words = [
        look,
        f"{gap} frame{'s' * (gap > 1)} and {distance:.1f} sizes apart",
        f"{np.exp(growth):.1f} times as large",
    ]
    return ", ".join([*words, *([] if same_class else ["of different classes"])])


def _usual(areas: NDArray[np.int64]) -> float:
    return float(np.median(areas))
