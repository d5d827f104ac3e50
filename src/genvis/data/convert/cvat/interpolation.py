"""Polygons between two keyframes, as CVAT's server moves them.

Corners correspond that lie at nearest shares of the way around, from the first corner back to it. A corner that none
corresponds to goes with the nearest one of the other polygon. So a corner can move to several places, or several to
one; of these, those that come closer to the one before than half their mean distance are left out.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(P, 2) corners of a polygon, x and y in pixels."""


def polygons_between(first: Points, second: Points, shares: Sequence[float]) -> list[Points]:
    """Return the polygon at each share of the way from one keyframe to the next.

    Args:
        first: (P, 2) corners of the first polygon.
        second: (Q, 2) corners of the second polygon.
        shares: How far on the way, 0 to 1.
    """
    closed_first, closed_second = np.concatenate([first, first[:1]]), np.concatenate([second, second[:1]])
    pairs = _corresponding(_way(closed_first), _way(closed_second))
    groups = list(_groups(pairs))
    polygons = []
    for share in shares:
        corners: list[NDArray[np.float64]] = []
        for group in groups:
            starts, ends = closed_first[[one for one, _ in group]], closed_second[[other for _, other in group]]
            moved = (1 - share) * starts + share * ends
            # All from one corner, so that the way of the second polygon counts, or else that of the first.
            fanned = ends if len({one for one, _ in group}) == 1 else starts
            corners += [moved[0]] if len(group) == 1 else _thinned(moved, fanned)
        polygons.append(np.array(corners[:-1]))
    return polygons


def _way(closed: Points) -> NDArray[np.float64]:
    """Return the share of the way around at each corner, from 0 at the first to 1 back at it."""
    way = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))))
    return way / way[-1] if way[-1] > 0 else np.linspace(0, 1, len(way))


def _corresponding(first: NDArray[np.float64], second: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs of corners that correspond, in order."""
    distances = np.abs(first[:, None] - second[None])
    nearest = distances.argmin(axis=1)
    pairs = list(enumerate(nearest.tolist()))
    left = np.setdiff1d(np.arange(len(second)), nearest)
    pairs += zip(distances[:, left].argmin(axis=0).tolist(), left.tolist(), strict=True)
    return sorted(pairs)


def _groups(pairs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yield the pairs of one corner of the first polygon, or those that lead to one corner of the second alone."""
    partners: dict[int, list[int]] = {}
    for one, other in pairs:
        partners.setdefault(one, []).append(other)
    group: list[tuple[int, int]] = []
    for one, others in partners.items():
        if group and (len(others) > 1 or group[-1][1] != others[0]):
            yield group
            group = []
        group += [(one, other) for other in others]
        if len(others) > 1:
            yield group
            group = []
    if group:
        yield group


def _thinned(moved: Points, way: Points) -> list[NDArray[np.float64]]:
    """Return moved corners without those that are closer to the one before than half the mean distance on the way."""
    threshold = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum()) / (2 * len(way))
    kept = [moved[0]]
    for corner in moved[1:-1]:
        if np.linalg.norm(corner - kept[-1]) >= threshold:
            kept.append(corner)
    if len(kept) == 1 and np.linalg.norm(moved[-1] - kept[0]) < threshold:
        return [(kept[0] + moved[-1]) / 2]
    return [*kept, moved[-1]]
