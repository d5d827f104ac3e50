"""Noised queries: what is propagated is disturbed between two clips of a sample, so that a tracker learns to recover.

At inference, errors add up over hundreds of clips: a query that took in something of another object passes it on. The
few clips of a sample, in which the truth assigns the queries, hardly show that (in spirit of the noise of DVIS).
"""

from dataclasses import dataclass

import numpy as np
import torch

from genvis.model.outputs import TrackerState
from genvis.training.criterion.hungarian_matching import UNASSIGNED
from genvis.training.criterion.targets import Indices

_MOST = 0.5
"""Share of the other query at most: the greater part always says whom to follow."""


@dataclass(frozen=True)
class QueryNoise:
    """Mixes the queries of objects with those of others.

    Attributes:
        probability: Of the query of each object to be disturbed between two clips, 0..1.
        random: Draws the objects, the other queries and their shares.
    """

    probability: float
    random: np.random.Generator

    def disturb(self, state: TrackerState, held: Indices, videos: Indices) -> TrackerState:
        """Return a state in which some objects' queries are mixed with others; the memory stays.

        The other query is that of another object of the video, or any one where there is no other object.

        Args:
            state: Of L·B videos, the detector layer being the slower index.
            held: (L, N) the query of each object, -1 while it has none.
            videos: (N,) the video of each object, 0 to B - 1.
        """
        queries = state.instance_queries  # (L·B, Q, C)
        B = len(queries) // len(held)
        places, others, shares = [], [], []
        for layer, thing in np.argwhere(held != UNASSIGNED):
            if self.random.random() >= self.probability:
                continue
            own, of_video = held[layer, thing], held[layer, videos == videos[thing]]
            choice = np.setdiff1d(of_video, [UNASSIGNED, own])
            if not choice.size:
                choice = np.setdiff1d(np.arange(queries.shape[1]), [own])
            if not choice.size:
                continue
            places.append((layer * B + videos[thing], own))
            others.append(self.random.choice(choice))
            shares.append(self.random.uniform(0, _MOST))
        if not places:
            return state
        rows, own_slots = torch.tensor(np.array(places).T, device=queries.device)  # (P,) each
        other_slots = torch.tensor(np.array(others), device=queries.device)
        share = torch.tensor(shares, dtype=queries.dtype, device=queries.device)[:, None]  # (P, 1)
        mixed = torch.lerp(queries[rows, own_slots], queries[rows, other_slots], share)  # (P, C)
        return state._replace(instance_queries=queries.index_put((rows, own_slots), mixed))
