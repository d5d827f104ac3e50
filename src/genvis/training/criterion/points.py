"""Points at which masks are compared, instead of at all pixels (Mask2Former, section 3.3.1; reference: PointRend)."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genvis.training.recipe.loss_options import LossOptions


def sample_at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Read maps at points, bilinearly.

    Args:
        maps: (M, C, H, W).
        points: (M, P, 2), x and y from 0 to 1 over the whole map; pixel centres are at (i + 0.5) / size.

    Returns:
        (M, C, P). Beyond the outermost pixel centres the map continues as zeros.
    """
    if maps.shape[0] == 0:
        return maps[..., 0, :1].expand(-1, -1, points.shape[1])  # Empty, with its gradient.
    grid = (2.0 * points - 1.0).unsqueeze(2)
    return F.grid_sample(maps, grid.to(maps.dtype), mode="bilinear", align_corners=False).squeeze(3)


class PointSource(Protocol):
    """Chooses the points at which masks are compared."""

    def shared(self, videos: int, device: torch.device) -> Tensor:
        """Return (B, P, 2) points for the matching: the same for all masks and frames of a video."""
        ...

    def uncertain(self, logits: Tensor) -> Tensor:
        """Return (M, P, 2) points for the losses of the mask logits (M, h, w)."""
        ...


def point_source(options: LossOptions) -> PointSource:
    """Return the points that the options of the losses ask for."""
    if options.fixed_grid:
        return GridPoints(options.fixed_grid)
    points = options.points
    return RandomPoints(points.count, points.oversample_ratio, points.importance_ratio)


@dataclass(frozen=True)
class RandomPoints:
    """Random points; for the losses mostly where the prediction is uncertain.

    They come from PyTorch's global generator, which training seeds in every step.

    Attributes:
        count: P, points per mask and frame.
        oversample_ratio: Candidates per point, from which the uncertain ones are taken.
        importance_ratio: Share of the points that are the most uncertain candidates; the rest is uniform.
    """

    count: int = 12544
    oversample_ratio: float = 3.0
    importance_ratio: float = 0.75

    def shared(self, videos: int, device: torch.device) -> Tensor:
        """Return (B, count, 2) uniform points."""
        return torch.rand(videos, self.count, 2, device=device)

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

    def shared(self, videos: int, device: torch.device) -> Tensor:
        """Return the (B, side * side, 2) cell centres, row by row."""
        centres = (torch.arange(self.side, device=device, dtype=torch.float32) + 0.5) / self.side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return torch.stack([x, y], dim=-1).flatten(0, 1).expand(videos, -1, -1)

    def uncertain(self, logits: Tensor) -> Tensor:
        """Return the cell centres once per mask: (M, side * side, 2)."""
        return self.shared(logits.shape[0], logits.device)
