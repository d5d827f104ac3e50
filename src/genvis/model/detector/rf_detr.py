"""RF-DETR segmentation as the frame-level detector: real-time, square input, frame queries from the best proposals."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import RfDetrConfig, RfDetrModel
from transformers.models.rf_detr.modeling_rf_detr import RfDetrSegmentationBlock, RfDetrSegmentationMLPBlock

from genvis.errors import InputError
from genvis.model.detector.base import DetectorSizes, FrameDetector
from genvis.model.outputs import DetectorOutput, FramePrediction
from genvis.model.preprocessing import Preprocessing


def input_divisor(config: RfDetrConfig) -> int:
    """Return the multiple that the sides of an input need: a patch for each window."""
    backbone = config.backbone_config
    return int(getattr(backbone, "patch_size", 1)) * int(getattr(backbone, "num_windows", 1))


class ProposalDecoder(RfDetrModel):
    """Transformers' RF-DETR without heads.

    It is a class of our own because transformers renames the tensors of its own class when models are saved and loaded,
    which fails inside of another model.
    """


class RFDETRDetector(FrameDetector):
    """RF-DETR segmentation from transformers' modules, opened where a tracker reads it.

    The frame queries belong to the best proposals of a frame, in their order: a query's index means nothing. Classes
    are independent (sigmoid), without "no object".

    Args:
        config: Of transformers' class.
        preprocessing: Way from a frame to ``pixel_values``.
    """

    names_in_transformers = (
        (r"model\.bbox_embed\.", None),  # Boxes are not used.
        (r"model\.class_embed\.", "class_embed."),
        (r"model\.model\.", "model."),
        (r"", ""),
    )

    def __init__(self, config: RfDetrConfig, preprocessing: Preprocessing) -> None:
        sizes = DetectorSizes(
            queries=config.num_queries,
            query_dim=config.d_model,
            feature_dim=config.d_model,
            classes=len(config.id2label or {}),
            layers=config.decoder_layers,
            query_index_has_meaning=False,
        )
        super().__init__(preprocessing=preprocessing, sizes=sizes)
        self.config = config
        width = config.d_model
        self.model = ProposalDecoder(config)
        self.class_embed = nn.Linear(width, sizes.classes)
        self.blocks = nn.ModuleList(RfDetrSegmentationBlock(config) for _ in range(config.decoder_layers))
        self.spatial_features_proj = nn.Conv2d(width, width, kernel_size=1)
        self.query_features_block = RfDetrSegmentationMLPBlock(config)
        self.query_features_proj = nn.Linear(width, width)
        self.segmentation_bias = nn.Parameter(torch.zeros(1))

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect.

        Args:
            pixel_values: (F, 3, H, W), as ``preprocessing`` makes them.
            layers: L, how many of the last decoder layers to return.

        Returns:
            Frame queries (L, F, Q_f, C) and features (F, C, H/4, W/4).

        Raises:
            InputError: If the sides are no multiple of patch size times windows.
        """
        height, width = (int(side) for side in pixel_values.shape[-2:])
        divisor = input_divisor(self.config)
        if height % divisor or width % divisor:
            raise InputError(f"Pixel values of {height}x{width} are no multiple of {divisor}: resize them.")
        decoded = self.model(pixel_values)
        ratio = self.config.mask_downsample_ratio
        maps = F.interpolate(
            decoded.backbone_features, size=(height // ratio, width // ratio), mode="bilinear", align_corners=False
        )  # (F, C, H/4, W/4)
        for block in self.blocks:
            maps = block(maps)
        return DetectorOutput(
            frame_queries=decoded.intermediate_hidden_states[-layers:],
            features=self.spatial_features_proj(maps),
        )

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own classes and masks.

        Args:
            output: Of `forward`.
            layer: Which of its layers; the mask features are those of the last one.
        """
        queries = output.frame_queries[layer]
        return FramePrediction(
            class_scores=self.class_embed(queries).float().sigmoid(),
            mask_embeddings=self.query_features_proj(self.query_features_block(queries)),
            mask_features=output.features,
            mask_bias=self.segmentation_bias.expand(queries.shape[:2]),
        )
