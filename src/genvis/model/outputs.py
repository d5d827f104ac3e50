"""Inputs and outputs of the parts of the network: named tuples of tensors, so that they can be traced and exported.

Symbols: B videos, T frames of a clip, F = B·T frames, Q_f frame queries, Q instance queries, C hidden channels, C_det
and C_f channels of the detector's queries and features, C_m mask channels, K classes, L detector layers, D
object-decoder layers, M past clips in the memory.
"""

from typing import NamedTuple

from torch import Tensor

from genvis.model.mask_product import mask_logits
from genvis.model.tracker.memory_bank import PrototypeMemory


class FramePrediction(NamedTuple):
    """Instances of single frames, as the detector itself predicts them.

    Attributes:
        class_scores: (F, Q_f, K), 0..1: softmax without "no object", or sigmoid where a detector has no such class.
        mask_embeddings: (F, Q_f, C_m).
        mask_features: (F, C_m, h, w); mask logits are their product with the embeddings, plus the bias.
        mask_bias: (F, Q_f), added to the mask logits of a query; None is 0.
    """

    class_scores: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    mask_bias: Tensor | None = None

    def mask_logits(self, frame: int, queries: Tensor | None = None) -> Tensor:
        """Return the mask logits of one frame, (Q, h, w) float32.

        Args:
            frame: Its index, 0..F-1.
            queries: (Q,) int64, the queries that are wanted; None for all Q_f.
        """
        embeddings = self.mask_embeddings[frame]  # (Q_f, C_m)
        bias = None if self.mask_bias is None else self.mask_bias[frame]  # (Q_f,)
        if queries is not None:
            embeddings, bias = embeddings[queries], None if bias is None else bias[queries]
        return mask_logits(embeddings, self.mask_features[frame : frame + 1], bias)[0]


class DetectorOutput(NamedTuple):
    """Per-frame detector outputs, which a tracker reads.

    Attributes:
        frame_queries: (L, F, Q_f, C_det), of the last L decoder layers, normalised; the last layer is at index -1.
        features: (F, C_f, h, w) at stride 4; masks of a tracker are products with a projection of them. GenVIS reads
            Mask2Former's map before the mask projection.
        prediction: The detector's own prediction from the last layer, where it comes with the outputs, as those of
            exported graphs do; None where `FrameDetector.predict` computes it.
    """

    frame_queries: Tensor
    features: Tensor
    prediction: FramePrediction | None = None


class LayerPrediction(NamedTuple):
    """Prediction of each decoder layer of a Mask2Former, from which it is trained.

    Attributes:
        class_logits: (L, F, Q_f, K + 1), the last class is "no object".
        mask_embeddings: (L, F, Q_f, C_m).
        mask_features: (F, C_m, H/4, W/4); mask logits are their product with the embeddings.
    """

    class_logits: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor


class TrackerState(NamedTuple):
    """Everything that the tracker keeps of a video between two clips.

    Attributes:
        instance_queries: (B, Q, C), the raw object-decoder output p of the previous clip (paper, Eq. 1), or what
            ``config.propagation`` makes of it.
        memory: Keys and values of the instance prototypes of the past clips (section 3.3).
    """

    instance_queries: Tensor
    memory: PrototypeMemory


class TrackerOutput(NamedTuple):
    """Tracker outputs of one clip.

    Attributes:
        class_logits: (D, B, Q, K + 1), for each object-decoder layer; the last layer, at index -1, is the prediction.
        mask_embeddings: (D, B, Q, C_m), one embedding for all frames of the clip; `QueryTracker.mask_logits` makes
            masks of it.
        frame_similarity: (B, T, Q_f, C), similarity embeddings of the encoded frame queries.
        query_similarity: (B, Q, C), similarity embeddings of the last layer's instance prototypes. Exported graphs
            leave out both similarities, which only training reads.
        mask_bias: (D, B, Q), added to the mask logits where embeddings are for the detector's features as they are
            (exported graphs); None where the tracker projects them.
    """

    class_logits: Tensor
    mask_embeddings: Tensor
    frame_similarity: Tensor
    query_similarity: Tensor
    mask_bias: Tensor | None = None


class ClipMasks(NamedTuple):
    """Prediction for one clip of one video, masks multiplied out.

    Attributes:
        class_logits: (Q, K + 1), the last class is "no object".
        mask_logits: (T, Q, H/4, W/4) float32, of the padded frames.
    """

    class_logits: Tensor
    mask_logits: Tensor


class ClipPrediction(NamedTuple):
    """Prediction for one clip of each of B videos.

    Attributes:
        class_logits: (B, Q, K + 1), the last class is "no object".
        mask_embeddings: (B, Q, C_m).
        mask_features: (B, T, C_m, H/4, W/4), the tracker's own projection of the features of the padded frames.
        frame_queries: (B, T, Q_f, C) of the detector's last layer.
    """

    class_logits: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    frame_queries: Tensor
