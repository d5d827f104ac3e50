"""Where masks are compared: random points instead of all pixels (Mask2Former, section 3.3.1; reference: PointRend)."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genvis.training.recipe.loss_options import PointOptions


def sample_at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Read maps at points, bilinearly.

    Args:
        maps: (M, C, H, W).
        points: (M, P, 2), x and y from 0 to 1 over the whole map; pixel centres are at (i + 0.5) / size.

    Returns:
        (M, C, P). Beyond the outermost pixel centres the map continues as zeros.
    """
    if maps.shape[0] == 0:
        return maps.new_zeros(0, maps.shape[1], points.shape[1])
    grid = (2.0 * points - 1.0).unsqueeze(2)
    return F.grid_sample(maps, grid.to(maps.dtype), mode="bilinear", align_corners=False).squeeze(3)


class PointSource(Protocol):
    """Chooses the points at which masks are compared."""

    def shared(self, device: torch.device) -> Tensor:
        """Return (P, 2) points for the matching, the same for all masks of a frame group."""
        ...

    def uncertain(self, logits: Tensor) -> Tensor:
        """Return (M, P, 2) points for the losses of the mask logits (M, h, w)."""
        ...


@dataclass(frozen=True)
class RandomPoints(PointOptions):
    """Random points; for the losses mostly where the prediction is uncertain.

    Points come from PyTorch's global generator, which training seeds anew in every step.
    """

    def shared(self, device: torch.device) -> Tensor:
        """Return (count, 2) uniform points."""
        return torch.rand(self.count, 2, device=device)

    @torch.no_grad()
    def uncertain(self, logits: Tensor) -> Tensor:
        """Return (M, count, 2) points where the logits (M, h, w) are near zero, and some uniform ones."""
        masks = logits.shape[0]
        candidates = torch.rand(masks, int(self.count * self.oversample_ratio), 2, device=logits.device)
        certainty = sample_at_points(logits.unsqueeze(1), candidates).squeeze(1).abs()
        important = int(self.count * self.importance_ratio)
        chosen = certainty.topk(important, dim=1, largest=False, sorted=False).indices
        picked = candidates.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))
        uniform = torch.rand(masks, self.count - important, 2, device=logits.device)
        return torch.cat([picked, uniform], dim=1)


@dataclass(frozen=True)
class GridPoints:
    """The centres of a regular grid of ``side`` x ``side`` cells, for every mask: comparable from run to run."""

    side: int = 14

    def shared(self, device: torch.device) -> Tensor:
        """Return the (side * side, 2) cell centres, row by row."""
        centres = (torch.arange(self.side, device=device, dtype=torch.float32) + 0.5) / self.side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return torch.stack([x, y], dim=-1).flatten(0, 1)

    def uncertain(self, logits: Tensor) -> Tensor:
        """Return the cell centres once per mask: (M, side * side, 2)."""
        return self.shared(logits.device).expand(logits.shape[0], -1, -1)
