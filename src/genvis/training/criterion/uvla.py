"""Unified Video Label Assignment (paper, section 3.2, Eq. 2 and 3), and the baseline of the paper's Table 4.

An assignment has one entry per ground-truth object: the instance query that holds the object, or -1 while none does.
It is carried from clip to clip; a query that occurs in it is *occupied* (in the paper's set Omega).
"""

import warnings

import numpy as np

from genvis.training.criterion.hungarian_matching import UNASSIGNED, Costs, match
from genvis.training.criterion.targets import Flags, Indices
from genvis.training.recipe.loss_options import AssignmentMethod


class TooManyObjectsWarning(UserWarning):
    """A video has more objects than there are free queries; the worst matching objects are not learned from."""


def assign_new_objects(cost: Costs, *, new: Indices, assigned: Indices) -> Indices:
    """Assign the objects that appear for the first time to queries that are free: one clip of one video.

    Objects that have a query keep it for good, visible or not, and no other object ever gets that query.

    Args:
        cost: (Q, K) the matching cost L_match of each query for each of the K new objects.
        new: (K,) which objects are new.
        assigned: (N,) the assignment before this clip, -1 where there is none.

    Returns:
        (N,) the assignment after this clip.

    Raises:
        TrainingDiverged: If a cost is not finite.
    """
    result = assigned.copy()
    occupied = assigned[assigned != UNASSIGNED]
    # Eq. 2 with an infinite alpha: occupied queries take no part in the matching.
    free = np.setdiff1d(np.arange(cost.shape[0]), occupied)
    if new.size > free.size:
        warnings.warn(
            f"{new.size} new objects for {free.size} free queries: {new.size - free.size} are not learned from; "
            "use a model with more instance queries or sample fewer objects.",
            TooManyObjectsWarning,
            stacklevel=2,
        )
    queries, objects = match(cost[free])
    # Eq. 3: the queries that were matched are occupied from now on.
    result[new[objects]] = free[queries]
    return result


class VideoLabelAssignment:
    """The assignments of a batch of videos, from their first clip to their last.

    Every supervised layer, that is every pair of an object-decoder layer and a detector layer, has one of its own.

    Args:
        videos: (N,) the video of each object of the batch.
        layers: How many layers are supervised.
        method: ``"uvla"``, or ``"correspondence"`` for the baseline of Table 4, in which the matching of clip 1 is
            kept for all later clips and objects that appear later have no query.

    Attributes:
        assigned: (layers, N) int64, the query of each object, -1 while it has none.
    """

    def __init__(self, videos: Indices, *, layers: int, method: AssignmentMethod = "uvla") -> None:
        self.assigned: Indices = np.full((layers, len(videos)), UNASSIGNED, dtype=np.int64)
        self._videos = videos
        self._method = method
        self._is_first_clip = True

    def unmatched(self, visible: Flags) -> Indices:
        """Return (K,) the objects whose costs the next clip needs: visible (N,), and in some layer without a query."""
        if self._method == "correspondence" and not self._is_first_clip:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(visible & (self.assigned == UNASSIGNED).any(axis=0))

    def update(self, costs: Costs, objects: Indices) -> Indices:
        """Take in the next clip.

        Args:
            costs: (layers, Q, K) matching costs in the clip.
            objects: (K,) the objects that they are of, as `unmatched` names them.

        Returns:
            (layers, N) the assignment to learn the clip from.

        Raises:
            TrainingDiverged: If a cost is not finite.
        """
        self._is_first_clip = False
        self.assigned = self.assigned.copy()
        for video in np.unique(self._videos[objects]):
            members = np.flatnonzero(self._videos == video)
            for cost, assigned in zip(costs, self.assigned, strict=True):
                is_new = (self._videos[objects] == video) & (assigned[objects] == UNASSIGNED)
                new = np.searchsorted(members, objects[is_new])
                assigned[members] = assign_new_objects(cost[:, is_new], new=new, assigned=assigned[members])
        return self.assigned
