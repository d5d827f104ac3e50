"""Unified Video Label Assignment (paper, section 3.2, Eq. 2 and 3) and the baseline that it is compared with.

An assignment is a vector with one entry per ground-truth object of a video: the index of the instance query that
holds the object, or -1 while no query does. It is carried from clip to clip; a query that occurs in it is *occupied*.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from genvis.errors import TrainingDiverged
from genvis.training.recipe.loss_options import AssignmentMethod

UNASSIGNED = -1
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]
Costs = NDArray[np.float32] | NDArray[np.float64]


class TooManyObjectsWarning(UserWarning):
    """A video has more objects than there are free queries; the worst matching objects are not learned from."""


def match(cost: Costs) -> tuple[Indices, Indices]:
    """Match queries to objects one to one at the least total cost (Hungarian algorithm).

    Args:
        cost: (Q, N) cost of each query for each object.

    Returns:
        Queries and objects of the min(Q, N) pairs. With more objects than queries the worst objects are left out.

    Raises:
        TrainingDiverged: If a cost is not finite, which happens when training diverges.
    """
    if not np.isfinite(cost).all():
        raise TrainingDiverged("The matching cost is not finite: training diverged; lower the learning rate.")
    queries, objects = linear_sum_assignment(cost)
    return queries.astype(np.int64), objects.astype(np.int64)


def match_new_objects(cost: Costs, *, visible: Flags, assigned: Indices) -> Indices:
    """Assign the objects that appear for the first time to queries that are free (UVLA, one clip).

    Objects that have a query keep it for good, in sight or not, and no other object ever gets that query. Removing
    the occupied queries from the matching is Eq. 2 with an infinite alpha.

    Args:
        cost: (Q, N) matching cost in this clip. Entries of occupied queries and of objects that are not new are
            never read and may hold anything.
        visible: (N,) whether the object is in sight in this clip.
        assigned: (N,) the assignment before this clip, -1 where there is none.

    Returns:
        (N,) the assignment after this clip.

    Raises:
        TrainingDiverged: If a cost is not finite.
    """
    free = np.setdiff1d(np.arange(cost.shape[0]), assigned)
    new = np.flatnonzero(visible & (assigned == UNASSIGNED))
    result = assigned.copy()
    if new.size == 0:
        return result
    if new.size > free.size:
        warnings.warn(
            f"{new.size} new objects for {free.size} free queries: {new.size - free.size} are not learned from; "
            "use a model with more instance queries or sample fewer objects.",
            TooManyObjectsWarning,
            stacklevel=2,
        )
    if free.size:
        queries, objects = match(cost[np.ix_(free, new)])
        result[new[objects]] = free[queries]
    return result


def needs_matching(*, visible: Flags, assigned: Sequence[Indices], method: AssignmentMethod, first_clip: bool) -> bool:
    """Return whether a clip has anything to match, so that no cost is computed in vain.

    Args:
        visible: (N,) whether the object is in sight in this clip.
        assigned: The assignments of all supervised layers before this clip.
        method: ``"uvla"``, or ``"correspondence"`` for the baseline of the paper's Table 4, in which the matching of
            clip 1 is kept for all later clips and objects that appear later have no query.
        first_clip: Whether this is the first clip of the video.
    """
    if method == "correspondence" and not first_clip:
        return False
    return any(bool((visible & (layer == UNASSIGNED)).any()) for layer in assigned)


class VideoLabelAssignment:
    """The assignments of one video for all supervised layers, from its first clip to its last.

    Every layer, that is every pair of an object-decoder layer and a detector layer, keeps an assignment of its own.

    Args:
        layers: How many layers are supervised.
        objects: How many objects the video has in all.
        method: See :func:`needs_matching`.

    Attributes:
        assigned: (layers, N) int64, the query of each object, -1 while it has none.
    """

    def __init__(self, *, layers: int, objects: int, method: AssignmentMethod = "uvla") -> None:
        self.assigned: Indices = np.full((layers, objects), UNASSIGNED, dtype=np.int64)
        self._method = method
        self._clips = 0

    def wants_costs(self, visible: Flags) -> bool:
        """Return whether :meth:`update` for a clip with these visible objects (N,) would read its costs."""
        return needs_matching(
            visible=visible, assigned=list(self.assigned), method=self._method, first_clip=self._clips == 0
        )

    def update(self, costs: Costs | None, visible: Flags) -> Indices:
        """Take in the next clip.

        Args:
            costs: (layers, Q, N) matching costs in the clip; may be None if :meth:`wants_costs` says so.
            visible: (N,) whether each object is in sight in the clip.

        Returns:
            (layers, N) the assignment to learn the clip from.

        Raises:
            TrainingDiverged: If a cost is not finite.
            ValueError: If costs are missing that are needed.
        """
        wanted = self.wants_costs(visible)
        self._clips += 1
        if not wanted:
            return self.assigned
        if costs is None:
            raise ValueError("This clip shows new objects, so its matching costs are needed.")
        self.assigned = np.stack(
            [
                match_new_objects(cost, visible=visible, assigned=assigned)
                for cost, assigned in zip(costs, self.assigned, strict=True)
            ]
        )
        return self.assigned
