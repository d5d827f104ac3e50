"""Smooth random paths: where each sprite is, how large, how turned, and who is in front, frame by frame.

Every sprite visits a turning point every `Difficulty.pace` frames, all at the same times, and a cubic spline joins
them. Two sprites that share a turning point cross there, and hide one another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.data.sprites.difficulty import Difficulty

Floats = NDArray[np.float64]

_TURN_FRAMES = 3  # a sprite that changes direction turns like a page, over this many frames


@dataclass(frozen=True)
class Motion:
    """The paths of N sprites over T frames.

    Attributes:
        centres: (T, N, 2) x and y in pixels; far outside the frame while the sprite is away.
        sizes: (T, N) the longer side in pixels.
        angles: (T, N) radians, clockwise on the screen.
        headings: (T, N) -1..1: the sign is the side that the sprite looks to (positive: right), the magnitude the
            fraction of its width that shows while it turns.
        light: (T, N) 0..1, the brightness of the sprite.
        order: (T, N) sprite indices from the back to the front.
    """

    centres: Floats
    sizes: Floats
    angles: Floats
    headings: Floats
    light: Floats
    order: NDArray[np.int64]


def draw_motion(
    generator: np.random.Generator,
    difficulty: Difficulty,
    *,
    sizes: Floats,
    height: int,
    width: int,
    length: int,
) -> Motion:
    """Draw the paths of a video.

    The first sprite stays: it is in the frame from the first frame to the last.

    Args:
        generator: The random stream.
        difficulty: Pace, meetings, absences and late entries.
        sizes: (N,) the mean size of each sprite, pixels.
        height: Height of the frame, pixels.
        width: Width of the frame, pixels.
        length: T, the number of frames.
    """
    from scipy.interpolate import CubicSpline

    count = len(sizes)
    pace = difficulty.pace
    # Two turning points lie outside the video, so that neither end of it is a standstill.
    knot_times = pace * np.arange(-1, length // pace + 4) - generator.uniform(0.0, pace)
    knots = len(knot_times)
    channels = np.empty((knots, count, 6))
    channels[..., :2] = _turning_points(generator, difficulty, sizes=sizes, height=height, width=width, knots=knots)
    channels[..., 2] = sizes * generator.uniform(0.86, 1.14, (knots, count))
    channels[..., 3] = generator.normal(0.0, 0.16, (knots, count))
    channels[..., 4] = 1.0 - 0.3 * difficulty.lighting * generator.random((knots, count))
    channels[..., 5] = generator.random(count) + generator.normal(0.0, 0.12, (knots, count))

    times = np.arange(length, dtype=np.float64)
    spline = CubicSpline(knot_times, channels, axis=0)
    path = np.asarray(spline(times))
    speed = np.asarray(spline(times, 1))[..., :2]
    centres, mean_sizes = path[..., :2], np.maximum(path[..., 2], 0.5 * sizes)
    # The spline may swing a little beyond its turning points; the first sprite stays in the frame all the same.
    extent = np.array([width, height], dtype=np.float64)
    centres[:, 0] = np.clip(centres[:, 0], 0.06 * extent, 0.94 * extent)
    # A step: the body rocks once every two thirds of its own size of travel.
    travelled = np.cumsum(np.linalg.norm(speed, axis=-1), axis=0) / mean_sizes
    angles = path[..., 3] + 0.09 * np.sin(2.0 * np.pi * (1.5 * travelled + generator.random(count)))
    looks_right = generator.random(count) < 0.5
    return Motion(
        centres=centres,
        sizes=mean_sizes,
        angles=angles,
        headings=_headings(speed[..., 0], looks_right, threshold=0.04 * width / pace),
        light=np.clip(path[..., 4], 0.4, 1.0),
        order=_depth_order(path[..., 5], centres, mean_sizes),
    )


def _turning_points(
    generator: np.random.Generator, difficulty: Difficulty, *, sizes: Floats, height: int, width: int, knots: int
) -> Floats:
    """Return (knots, N, 2) pixels: random walks in the frame, with meetings, absences and late entries."""
    count = len(sizes)
    extent = np.array([width, height], dtype=np.float64)
    margin = 0.12 * extent
    points = generator.uniform(margin, extent - margin, (knots, count, 2))
    # A stride is between a fifth and three fifths of the frame: neither a standstill nor a dash across.
    for knot in range(1, knots):
        stride = points[knot] - points[knot - 1]
        points[knot] = points[knot - 1] + stride * generator.uniform(0.5, 1.0, (count, 1))
    if count > 1:
        seekers = generator.random((knots, count)) < difficulty.occlusion
        partners = (np.arange(count) + generator.integers(1, count, (knots, count))) % count
        offsets = generator.normal(0.0, 0.16, (knots, count, 2)) * sizes[:, None]
        for knot, sprite in zip(*np.nonzero(seekers), strict=True):
            points[knot, sprite] = points[knot, partners[knot, sprite]] + offsets[knot, sprite]
    _send_away(points, generator, difficulty, sizes=sizes, extent=extent)
    return points


def _send_away(
    points: Floats, generator: np.random.Generator, difficulty: Difficulty, *, sizes: Floats, extent: Floats
) -> None:
    """Move turning points outside the frame, in place: late entries and absences of every sprite but the first."""
    knots, count = points.shape[:2]
    lasts = generator.integers(difficulty.out_of_sight[0], difficulty.out_of_sight[1] + 1, (knots, count))
    lasts = np.maximum(1, np.round(lasts / difficulty.pace)).astype(np.int64) + 1
    late = np.less(generator.random(count), difficulty.late)
    leaves = np.less(generator.random((knots, count)), difficulty.leaving)
    axes, far = generator.integers(2, size=(knots, count)), generator.random((knots, count)) < 0.5
    for sprite in range(1, count):
        # The first two turning points lie before the video, or at its very beginning.
        knot = 0 if late[sprite] else 2
        while knot < knots:
            if not (leaves[knot, sprite] or (knot == 0 and late[sprite])):
                knot += 1
                continue
            last = min(knots, knot + int(lasts[knot, sprite]) + (2 if knot == 0 else 0))
            axis = int(axes[knot, sprite])
            away = 1.1 * sizes[sprite]
            points[knot:last, sprite, axis] = extent[axis] + away if far[knot, sprite] else -away
            # A while at home before the next absence.
            knot = last + 2


def _headings(speed: Floats, looks_right: NDArray[np.bool_], *, threshold: float) -> Floats:
    """Return (T, N) headings from the horizontal speed (T, N), pixels per frame; below the threshold none changes."""
    length = len(speed)
    start = np.where(looks_right, 1.0, -1.0)
    signs: Floats = np.concatenate([start[None], np.sign(speed)])
    moves: NDArray[np.bool_] = np.concatenate([np.ones((1, speed.shape[1]), dtype=bool), np.abs(speed) > threshold])
    latest: NDArray[np.int64] = np.maximum.accumulate(np.where(moves, np.arange(length + 1)[:, None], 0), axis=0)
    signs = np.take_along_axis(signs, latest, axis=0)[1:]
    # Whoever moves at once has looked there before.
    first = np.asarray(np.argmax(moves[1:], axis=0))
    before = (np.arange(length)[:, None] <= first[None]) & moves[1:].any(axis=0)
    signs = np.where(before, signs[first, np.arange(signs.shape[1])], signs)
    padded = np.pad(signs, ((_TURN_FRAMES // 2, _TURN_FRAMES // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    return np.asarray((total[_TURN_FRAMES:] - total[:-_TURN_FRAMES]) / _TURN_FRAMES)


def _depth_order(depths: Floats, centres: Floats, sizes: Floats) -> NDArray[np.int64]:
    """Return (T, N) sprite indices from back to front, by depth (T, N); two sprites swap only while they are apart."""
    length, count = depths.shape
    order = np.argsort(depths[0], kind="stable").tolist()
    result = np.empty((length, count), dtype=np.int64)
    # Half the diagonal of a square of that size bounds a sprite in any rotation, with room for its stretch.
    radii = 0.8 * sizes
    for frame in range(length):
        for place in range(count - 1):
            back, front = order[place], order[place + 1]
            if depths[frame, back] > depths[frame, front]:
                gap = centres[frame, back] - centres[frame, front]
                if gap[0] ** 2 + gap[1] ** 2 > (radii[frame, back] + radii[frame, front]) ** 2:
                    order[place], order[place + 1] = front, back
        result[frame] = order
    return result
