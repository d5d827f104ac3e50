"""Places: where the masks of frame queries are, on a coarse grid, so that queries can compare them as they do looks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import normalize

from genvis.model.config import PLACE_GRID, PLACE_MOTION
from genvis.model.outputs import FramePrediction

# Cells a clip: whatever claims to be faster has been taken for another object.
_FASTEST = 3.0
# The length of a place below which a query had no object.
_NOWHERE = 0.3


@torch.no_grad()
def places_of(prediction: FramePrediction) -> Tensor:
    """Return where the masks of frame queries are: (F, Q_f, P), without a gradient.

    A place is the mean probability of the mask in each cell of a grid over the frame, of unit length: the product of
    two is near 1 where masks lie on one another, and near 0 where they are apart.

    Args:
        prediction: Of a detector for F frames.
    """
    places = [
        F.adaptive_avg_pool2d(prediction.mask_logits(frame).sigmoid()[None], PLACE_GRID)[0].flatten(1)
        for frame in range(len(prediction.class_scores))
    ]  # (Q_f, P) each
    return normalize(torch.stack(places), dim=-1).to(prediction.mask_embeddings.dtype)


def centres_of(places: Tensor) -> Tensor:
    """Return the centres of mass of places (..., P), in cells: (..., 2) of x and y; those of no place are 0."""
    cells = places.unflatten(-1, (PLACE_GRID, PLACE_GRID))  # (..., rows, columns)
    middles = torch.arange(PLACE_GRID, device=places.device, dtype=places.dtype) + 0.5
    x, y = (cells.sum(dim=axis) @ middles for axis in (-2, -1))
    return torch.stack([x, y], dim=-1) / places.sum(dim=-1, keepdim=True).clamp(min=1e-6)


def moved_places(places: Tensor, way: Tensor) -> Tensor:
    """Return places (..., P) moved by (..., 2) cells to the right and down; what leaves the frame is gone."""
    cells = torch.arange(PLACE_GRID, device=places.device, dtype=places.dtype)
    # What a row (column) has of one of before: bilinear interpolation.
    across, down = (
        (1 - (cells[:, None] - cells - way[..., axis, None, None]).abs()).clamp(min=0) for axis in (0, 1)
    )  # (..., new, old)
    moved = down @ places.unflatten(-1, (PLACE_GRID, PLACE_GRID)) @ across.transpose(-1, -2)
    return moved.flatten(-2)


class PlaceMotion(nn.Module):
    """Expects objects where they were seen last, moved on as they moved. Not from the paper.

    As a Kalman filter of constant velocity whose gains are fixed. Two numbers are learned: how far one clip corrects
    the velocity, and how much of it is left after every clip in which the object is not seen. A state has P + 4
    channels: the place where the object was seen last, its velocity (cells a clip), and the way that it went since
    (cells). A velocity means the same only between clips at even distances in time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(-1.0))
        self.damping = nn.Parameter(torch.tensor(2.2))

    @staticmethod
    def parts(state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the place (..., P), the velocity (..., 2) and the way (..., 2) of states (..., P + 4)."""
        place, velocity, way = state.split([state.shape[-1] - PLACE_MOTION, 2, 2], dim=-1)
        return place, velocity, way

    def expected(self, state: Tensor) -> Tensor:
        """Return where objects are to be in this clip, (..., P).

        Args:
            state: (..., P + 4), of the previous clip.
        """
        place, velocity, way = self.parts(state)
        return moved_places(place, way + velocity)

    def unseen(self, state: Tensor) -> Tensor:
        """Return the states after a clip in which no object was seen, (..., P + 4).

        Args:
            state: (..., P + 4), of the previous clip.
        """
        place, velocity, way = self.parts(state)
        return torch.cat([place, self.damping.sigmoid() * velocity, way + velocity], dim=-1)

    def seen(self, state: Tensor, places: Tensor) -> Tensor:
        """Return the states after a clip in which every object was seen, (..., P + 4).

        Args:
            state: (..., P + 4), of the previous clip; a query without a place has no velocity yet.
            places: (..., P), where the objects are now.
        """
        place, velocity, way = self.parts(state)
        error = centres_of(places) - centres_of(place) - way - velocity  # (..., 2)
        was_somewhere = place.norm(dim=-1, keepdim=True) > _NOWHERE
        velocity = (velocity + self.gain.sigmoid() * error * was_somewhere).clamp(-_FASTEST, _FASTEST)
        return torch.cat([places, velocity, torch.zeros_like(way)], dim=-1)
