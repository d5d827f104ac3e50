"""The frame-level detector as all trackers see it: single frames in, frame queries and features out."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from genvis.model.fresh_memory import keep_freed_memory
from genvis.model.outputs import DetectorOutput, FramePrediction
from genvis.model.preprocessing import Preprocessing

Implementation = Literal["optimized", "reference"]
"""From the parameters of transformers' modules in an order of our own, or by the modules themselves."""


@dataclass(frozen=True, kw_only=True)
class DetectorSizes:
    """Sizes of what a detector returns.

    Attributes:
        queries: Q_f, frame queries of a frame.
        query_dim: C_det, channels of a frame query.
        feature_dim: C_f, channels of the features.
        classes: K, without "no object".
        layers: How many decoder layers `FrameDetector.forward` can return at most.
        query_index_has_meaning: Whether query q comes from the same learned query in every frame. False where the
            queries are the best of many proposals, so that positions learned per index would mean nothing.
    """

    queries: int
    query_dim: int
    feature_dim: int
    classes: int
    layers: int
    query_index_has_meaning: bool = True


class FrameDetector(nn.Module, ABC):
    """Find and segment the objects of single frames, without regard to the other frames.

    Args:
        preprocessing: Way from a frame to ``pixel_values``.
        sizes: Of the outputs.

    Attributes:
        depends_on_input_alone: Whether the same frames always give the same outputs. Where they do not, every call must
            be a call: what it did once is not recorded and launched again (CUDA graphs).
    """

    depends_on_input_alone: ClassVar[bool] = True

    # Names of transformers' class of the family -> ours: patterns that match at the start, the first that does counts;
    # None is a tensor without a place here.
    names_in_transformers: ClassVar[tuple[tuple[str, str | None], ...]] = ()

    def __init__(self, *, preprocessing: Preprocessing, sizes: DetectorSizes) -> None:
        super().__init__()
        keep_freed_memory()
        self.preprocessing = preprocessing
        self.sizes = sizes

    @classmethod
    def renamed(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of transformers' own class of the family by our names.

        Args:
            state: Its state dict.
        """
        tensors = {}
        for name, tensor in state.items():
            for pattern, ours in cls.names_in_transformers:
                if re.match(pattern, name):
                    if ours is not None:
                        tensors[re.sub(pattern, ours, name, count=1)] = tensor
                    break
        return tensors

    @abstractmethod
    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect.

        Args:
            pixel_values: (F, 3, H, W), as ``preprocessing`` makes them.
            layers: L, how many of the last decoder layers to return.

        Returns:
            Frame queries (L, F, Q_f, C_det) and features (F, C_f, h, w).
        """

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts of the network by name, for tables of parameters."""
        return {"detector": self}

    def tracker_heads(self) -> dict[str, Tensor]:
        """Return weights of a tracker's heads that predict of a frame query what this detector predicts of it.

        Returns:
            Tensors by their names in `Tracker`; empty if heads of the tracker's form cannot do it.
        """
        return {}

    @abstractmethod
    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own classes and masks: what matching trackers need and GenVIS does not.

        Args:
            output: Of `forward`.
            layer: Which of its layers.

        Returns:
            Class scores (F, Q_f, K), mask embeddings (F, Q_f, C_m) and mask features (F, C_m, h, w).
        """
