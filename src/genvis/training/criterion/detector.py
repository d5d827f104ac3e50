"""The losses of the frame-level detector (Mask2Former), every frame by itself."""

from collections.abc import Sequence

from genvis.model.outputs import LayerPrediction
from genvis.training.criterion.assignment import Indices
from genvis.training.criterion.points import PointSource
from genvis.training.criterion.set_criterion import SetLosses, frame_set, match_frames, set_losses
from genvis.training.criterion.targets import ObjectTargets
from genvis.training.recipe.loss_options import LossWeights


def detector_losses(
    prediction: LayerPrediction, targets: Sequence[ObjectTargets], *, points: PointSource, weights: LossWeights
) -> tuple[SetLosses, list[Indices]]:
    """Match and score F frames.

    Args:
        prediction: Of F frames.
        targets: Of the same F frames, one frame each.
        points: Chooses where masks are compared.
        weights: Of costs and losses.

    Returns:
        The weighted losses, (L,) each for the L predictions of successive decoder layers, and for every frame the
        matching (L, N): the query of each visible object, -1 for the others.
    """
    predicted = frame_set(prediction)
    assigned = match_frames(predicted, targets, points=points, weights=weights)
    return set_losses(predicted, targets, assigned, points=points, weights=weights), assigned
