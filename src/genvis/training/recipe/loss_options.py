"""Options of the losses; light to import, so that the help of `genvis train` answers at once."""

from dataclasses import dataclass, field
from typing import Literal

AssignmentMethod = Literal["uvla", "correspondence"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of the matching cost and of the losses.

    Attributes:
        classification: Of the class probability (matching) and of the cross-entropy (loss).
        mask: Of the binary cross-entropy on points.
        dice: Of the dice loss on points.
        similarity: Of the loss between frame and instance embeddings.
        no_object: Of the class "no object" inside the cross-entropy.
    """

    classification: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    similarity: float = 0.5
    no_object: float = 0.1


@dataclass(frozen=True)
class PointOptions:
    """Random points at which masks are compared, instead of at all pixels.

    Attributes:
        count: Points per mask and frame.
        oversample_ratio: How many times more candidates are drawn from which the uncertain ones are taken.
        importance_ratio: Share of the points that are the most uncertain candidates; the rest is uniform.
    """

    count: int = 12544
    oversample_ratio: float = 3.0
    importance_ratio: float = 0.75


@dataclass
class LossOptions:
    """Losses, matching, and what is to be learned beside the samples as they are.

    Args:
        assignment: `uvla`, or `correspondence` for the baseline that keeps the matching of the first clip (Table 4).
        detector_layers: How many of the detector's last layers feed the tracker; each counts as further videos.
        weights: Of the parts of the losses and of the matching cost.
        points: Random points at which masks are compared.
        fixed_grid: Compare masks at the cell centres of a grid of this many rows and columns instead, always the
            same; 0 takes random points.
        clip_lengths: Lengths of clips (stage `genvis`) of which every step draws one, for models whose clips adapt at
            inference. The frames of a sample and the weight of a step stay the same. Empty: data.frames_per_clip.
        disappearance: Probability of each object to be taken out of some clips in a row (stage `genvis`), so that the
            tracker learns to wait for it and to let nothing else take its query. 0, as published, takes none out.
        identity: Weight of a contrastive loss between an object and itself at another time of a sample, against all
            other objects. Stage `detector` compares frame queries of two frames, so that a tracker can tell by them who
            an object is; stage `genvis` the similarity embeddings of clips and frames with those of all clips before.
            0, as published, is none.
        query_noise: Probability of the query of each object to be mixed with that of another between two clips (stage
            `genvis`), so that the tracker learns to recover from drift. 0, as published, leaves queries as they are.
    """

    assignment: AssignmentMethod = "uvla"
    detector_layers: int = 3
    weights: LossWeights = field(default_factory=LossWeights)
    points: PointOptions = field(default_factory=PointOptions)
    fixed_grid: int = 0
    clip_lengths: list[int] = field(default_factory=list)
    disappearance: float = 0.0
    identity: float = 0.0
    query_noise: float = 0.0
