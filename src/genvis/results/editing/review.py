"""Review of a result: the places that a person should look at, the most doubtful first.

What is looked at is where a track is, how large, for how long and of which class, and, if the looks of the tracks are
there (`genvis.results.editing.appearance`), how it looks. No mask is decoded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genvis.results.editing.appearance import Appearance
from genvis.results.editing.track_life import TrackLife
from genvis.results.types import Track, VideoResult

DoubtKind = Literal["position", "area", "look", "score", "short", "duplicate", "class"]
"""``position``, ``area`` and ``look``: a jump, which may be an id switch; ``score``: a low one; ``short``: a short
life; ``duplicate``: two tracks of one class at one place; ``class``: two classes at one place."""

# A jump of position is doubtful from this share of the object's size on, beyond what its motion explains.
_JUMP = 0.8
# Frames that the motion of an object is judged by.
_MOTION = 5
# A jump of the area is doubtful from this factor on.
_AREA_FACTOR = 2.5
# Neighbouring samples of a look are doubtful below this cosine similarity, and by so much less than usual.
_LOOK, _LESS_THAN_USUAL = 0.7, 0.2
_LOW_SCORE = 0.5
# A life is short below so many frames with a mask, or so many seconds, whatever is more.
_SHORT_FRAMES, _SHORT_SECONDS = 5, 0.3
# Two tracks are at one place where their boxes share this much of the smaller one, for so many frames.
_SAME_PLACE, _SAME_PLACE_FRAMES = 0.8, 3


@dataclass(frozen=True, slots=True)
class Doubt:
    """A place that a person should look at.

    Attributes:
        kind: What is doubtful.
        track_ids: The track; two where they are compared.
        first: First position of the stretch to look at.
        last: Last position of it.
        severity: How doubtful, 0..1.
        reason: The same in words.
    """

    kind: DoubtKind
    track_ids: tuple[int, ...]
    first: int
    last: int
    severity: float
    reason: str


def doubtful_places(result: VideoResult, appearance: Appearance | None = None) -> tuple[Doubt, ...]:
    """Return the places of a result that a person should look at, the most doubtful first.

    - ``position``: a step between two frames in which a track is visible that is larger than its motion explains, in
      units of its size.
    - ``area``: its mask grows or shrinks by a factor of 2.5 or more from one frame to the next.
    - ``look``: it looks different from one sample of its look to the next; needs ``appearance``.
    - ``score``: the score of the track is below 0.5. A result holds one score a track, so the stretch is its life.
    - ``short``: fewer than 5 frames with a mask, or less than 0.3 s.
    - ``duplicate`` and ``class``: for 3 frames or more, a box lies in that of another track, of the same class or
      another one.

    Args:
        result: The result, corrected or not.
        appearance: The looks of its tracks: `load_appearance`, and for a corrected result `edited_appearance`.
    """
    doubts: list[Doubt] = []
    lives = [TrackLife.of(track) for track in result.tracks]
    for life in lives:
        if not len(life.positions):
            continue
        doubts += _jumps(life, result)
        doubts += _whole_life(life, result)
        if appearance is not None:
            doubts += _look_jumps(life.track, appearance)
    doubts += _same_places(lives)
    return tuple(sorted(doubts, key=lambda doubt: (-doubt.severity, doubt.first, doubt.track_ids)))


def _jumps(life: TrackLife, result: VideoResult) -> Iterator[Doubt]:
    """Yield the jumps of position and area of a track."""
    positions = life.positions
    if len(positions) < 2:
        return
    gaps = np.diff(positions)  # (N - 1,)
    steps = np.diff(life.centres, axis=0)  # (N - 1, 2)
    sizes = np.minimum(life.sizes[1:], life.sizes[:-1])
    velocity, usual = _motion_before(steps / gaps[:, None])
    expected = velocity * np.minimum(gaps, _MOTION)[:, None]
    # After an absence an object may be anywhere that it can go: the allowance grows with the gap.
    missed = np.linalg.norm(steps - expected, axis=1)
    plain = np.linalg.norm(steps, axis=1)
    excess = (np.minimum(missed, plain) - 2 * usual) / (sizes * np.sqrt(gaps))
    at_edge = _touches_edge(life.boxes, result)
    factor = np.maximum(life.areas[1:], life.areas[:-1]) / np.maximum(np.minimum(life.areas[1:], life.areas[:-1]), 1)
    for place in range(len(steps)):
        first, last = int(positions[place]), int(positions[place + 1])
        edge = bool(at_edge[place] or at_edge[place + 1])
        if excess[place] >= _JUMP:
            within = "from one frame to the next" if last - first == 1 else f"within {last - first} frames"
            reason = f"moves by {plain[place] / sizes[place]:.1f} of its size {within}"
            yield Doubt("position", (life.track.id,), first, last, _grade(excess[place] / _JUMP), reason)
        elif gaps[place] == 1 and factor[place] >= _AREA_FACTOR and not edge:
            reason = f"its area changes by a factor of {factor[place]:.1f} from one frame to the next"
            severity = 0.7 * _grade(np.log(factor[place]) / np.log(_AREA_FACTOR))
            yield Doubt("area", (life.track.id,), first, last, severity, reason)


def _motion_before(speeds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the usual velocity before each step, (N, 2), and how far single steps were from it, (N,)."""
    before = np.concatenate([np.repeat(speeds[:1], _MOTION, axis=0), speeds[:-1]])  # (N + 4, 2)
    recent = np.lib.stride_tricks.sliding_window_view(before, _MOTION, axis=0)  # (N, 2, 5)
    velocity = np.median(recent, axis=2)
    usual = np.linalg.norm(recent - velocity[:, :, None], axis=1).max(axis=1)
    velocity[0], usual[0] = 0, 0
    return velocity, usual


def _whole_life(life: TrackLife, result: VideoResult) -> Iterator[Doubt]:
    """Yield what is doubtful of a track as a whole."""
    track = life.track
    first, last = int(life.positions[0]), int(life.positions[-1])
    frames = len(life.positions)
    seconds = result.frames[last].time - result.frames[first].time
    interval = _interval(result)
    if frames < max(_SHORT_FRAMES, _SHORT_SECONDS / interval):
        severity = 0.9 * (1 - frames / (2 * max(_SHORT_FRAMES, _SHORT_SECONDS / interval)))
        reason = f"is visible in {frames} frame{'s' * (frames > 1)} only ({seconds + interval:.2f} s)"
        yield Doubt("short", (track.id,), first, last, severity, reason)
    if track.score < _LOW_SCORE:
        yield Doubt("score", (track.id,), first, last, 0.8 * (1 - track.score), f"has a score of {track.score:.2f}")


def _look_jumps(track: Track, appearance: Appearance) -> Iterator[Doubt]:
    """Yield where a track looks different from one sample to the next."""
    look = appearance.get(track.id)
    if look is None or len(look) < 2:
        return
    similar = (look.vectors[1:] * look.vectors[:-1]).sum(axis=1)  # (S - 1,)
    usual = float(np.median(similar))
    for place, value in enumerate(similar.tolist()):
        if value < _LOOK and value < usual - _LESS_THAN_USUAL:
            first, last = int(look.first_frames[place]), int(look.last_frames[place + 1])
            severity = float(np.clip(0.5 + (_LOOK - value) / 2, 0, 1))
            yield Doubt("look", (track.id,), first, last, severity, f"looks different (similarity {value:.2f})")


def _same_places(lives: Sequence[TrackLife]) -> Iterator[Doubt]:
    """Yield stretches in which one track lies in the place of another."""
    stretches: dict[tuple[int, int], list[int]] = {}
    for position, rows, boxes in _visible_together(lives):
        upper = np.maximum(boxes[:, None, :2], boxes[None, :, :2])  # (N, N, 2)
        lower = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        shared = np.maximum(lower - upper, 0).prod(axis=2)
        near = np.triu(shared >= _SAME_PLACE * np.minimum(areas[:, None], areas[None]), 1)
        for one, other in np.argwhere(near).tolist():
            stretches.setdefault((int(rows[one]), int(rows[other])), []).append(position)
    for (one, other), positions in stretches.items():
        first_track, second_track = sorted((lives[one].track, lives[other].track), key=lambda track: track.id)
        ids = (first_track.id, second_track.id)
        same = first_track.label == second_track.label
        shorter = min(len(lives[one].positions), len(lives[other].positions))
        for first, last in _runs(positions):
            frames = last - first + 1
            if frames < min(_SAME_PLACE_FRAMES, shorter):
                continue
            share_of_life = min(frames / shorter, 1.0)
            what = f"are both {first_track.label}" if same else f"are {first_track.label} and {second_track.label}"
            reason = f"{what} at one place for {frames} frame{'s' * (frames > 1)}"
            kind: DoubtKind = "duplicate" if same else "class"
            yield Doubt(kind, ids, first, last, (0.3 + 0.6 * share_of_life) * (1.0 if same else 0.8), reason)


def _visible_together(
    lives: Sequence[TrackLife],
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    """Yield the frames in which two tracks or more are visible: the rows of these, (N,), and their boxes, (N, 4)."""
    if not lives:
        return
    rows = np.concatenate([np.full(len(life.positions), row) for row, life in enumerate(lives)])
    boxes = np.concatenate([life.boxes for life in lives])
    positions = np.concatenate([life.positions for life in lives])
    order = np.argsort(positions, kind="stable")
    rows, boxes, positions = rows[order], boxes[order], positions[order]
    starts = np.flatnonzero(np.diff(positions, prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(order)]):
        if stop - start > 1:
            yield int(positions[start]), rows[start:stop], boxes[start:stop]


def _runs(positions: list[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of the stretches of positions that follow one another, single gaps included."""
    first = previous = positions[0]
    for position in positions[1:]:
        if position > previous + 2:
            yield first, previous
            first = position
        previous = position
    yield first, previous


def _interval(result: VideoResult) -> float:
    """Return the seconds from one frame of a result to the next, the median."""
    times = np.array([stamp.time for stamp in result.frames])
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def _touches_edge(boxes: NDArray[np.float64], result: VideoResult) -> NDArray[np.bool_]:
    touches: NDArray[np.bool_] = (
        (boxes[:, 0] <= 1) | (boxes[:, 1] <= 1) | (boxes[:, 2] >= result.width - 1) | (boxes[:, 3] >= result.height - 1)
    )
    return touches


def _grade(ratio: float) -> float:
    """Return a severity in 0.5..1 for what is this many times the threshold."""
    return float(1 - 0.5 / max(ratio, 1.0))
