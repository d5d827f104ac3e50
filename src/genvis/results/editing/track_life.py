"""Life of a track: the frames in which it is visible, and where; what reviews look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.results.types import Track


@dataclass(frozen=True, slots=True, eq=False)
class TrackLife:
    """Frames in which a track is visible, and where.

    Attributes:
        track: The track.
        positions: (N,) ascending.
        boxes: (N, 4) left, top, right, bottom.
        areas: (N,) pixels.
    """

    track: Track
    positions: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.int64]

    @classmethod
    def of(cls, track: Track) -> "TrackLife":
        """Return the life of a track."""
        areas = track.areas
        positions = np.flatnonzero(areas)
        return cls(track, positions, track.boxes[positions], areas[positions])

    @property
    def centres(self) -> NDArray[np.float64]:
        """(N, 2) of the boxes, x and y."""
        centres: NDArray[np.float64] = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        return centres

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(N,) side of a square of the same area as the box."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        sizes: NDArray[np.float64] = np.sqrt(np.maximum(sides.prod(axis=1), 1))
        return sizes
