"""The frame-level detector: transformers' Mask2Former, opened where the tracker reads it."""

from typing import Literal, Self

import torch
from torch import Tensor, nn
from transformers import Mask2FormerConfig, Mask2FormerModel, ResNetBackbone, SwinBackbone

from genvis.model.detector.optimized.pixel_decoder import PixelFeatures, decode_pixels, decoder_geometry
from genvis.model.detector.optimized.query_decoder import decode_queries
from genvis.model.detector.optimized.resnet import forget_folded, resnet_features
from genvis.model.detector.optimized.swin import swin_features
from genvis.model.outputs import DetectorOutput, FramePrediction

Arithmetic = Literal["fast", "plain"]


class FrameDetector(nn.Module):
    """Find the objects of single frames (Mask2Former), without regard to the other frames.

    The tracker needs the pixel decoder's stride-4 map before the mask projection, which transformers does not
    return; so the projection is moved out of the pixel decoder, and is called here.

    Attributes:
        arithmetic: ``"fast"`` computes from the parameters of transformers' modules what these compute, in an order
            that takes less time and memory; ``"plain"`` runs the modules themselves, for comparison and export.

    Args:
        config: The Mask2Former with its backbone.
    """

    arithmetic: Arithmetic = "fast"

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        self.mask2former = Mask2FormerModel(config)
        pixel_decoder = self.mask2former.pixel_level_module.decoder
        self.mask_projection = pixel_decoder.mask_projection
        pixel_decoder.register_module("mask_projection", nn.Identity())
        backbone = self.mask2former.pixel_level_module.encoder
        if isinstance(backbone, SwinBackbone):  # Its last norm serves classification: unused here, unknown to DDP.
            backbone.swin.register_module("layernorm", nn.Identity())
        self.class_predictor = nn.Linear(config.hidden_dim, len(config.id2label or {}) + 1)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; what was derived from the weights is derived anew."""
        forget_folded(self)
        return super().train(mode)

    @property
    def is_fast(self) -> bool:
        """Whether the fast path is taken: not where it was not asked for, or the model is of an unusual kind."""
        config, layers = self.mask2former.config, self.mask2former.transformer_module.decoder.layers
        is_checkpointed = self.training and any(layer.gradient_checkpointing for layer in layers)
        drops_layers = self.training and self.mask2former.transformer_module.decoder.layerdrop > 0
        return self.arithmetic == "fast" and not (config.pre_norm or is_checkpointed or drops_layers)

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect.

        Args:
            pixel_values: (F, 3, H, W), normalised; H and W are multiples of 32.
            layers: L, how many of the last decoder layers to return; ``decoder_layers`` (10 in the published models)
                is all, the first being the learned queries before any layer.

        Returns:
            Frame queries (L, F, Q_f, C) and the stride-4 map (F, C, H/4, W/4).
        """
        pixels = self.decode_pixels(self.backbone_maps(pixel_values))
        queries = self.decode_queries(pixels)
        return DetectorOutput(frame_queries=torch.stack(queries[-layers:]), stride4_features=pixels.stride4)

    def backbone_maps(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's maps of stride 4 to 32, each (F, C_l, H_l, W_l)."""
        backbone = self.mask2former.pixel_level_module.encoder
        if self.is_fast and isinstance(backbone, ResNetBackbone):
            return resnet_features(backbone, pixel_values)
        if self.is_fast and isinstance(backbone, SwinBackbone):
            return swin_features(backbone, pixel_values)
        maps: tuple[Tensor, ...] = backbone(pixel_values).feature_maps
        return maps

    def decode_pixels(self, maps: tuple[Tensor, ...]) -> PixelFeatures:
        """Return what the pixel decoder makes of the backbone's maps."""
        decoder = self.mask2former.pixel_level_module.decoder
        if self.is_fast:
            return decode_pixels(decoder, maps)
        output = decoder(maps)
        sizes = tuple((int(x.shape[-2]), int(x.shape[-1])) for x in output.multi_scale_features)
        return PixelFeatures(
            levels=tuple(x.flatten(2).mT for x in output.multi_scale_features),
            geometry=decoder_geometry(decoder, sizes, like=output.mask_features),
            stride4=output.mask_features,
        )

    def decode_queries(self, pixels: PixelFeatures) -> list[Tensor]:
        """Return the normalised queries, (F, Q_f, C), before the first decoder layer and after each layer."""
        transformer = self.mask2former.transformer_module
        if self.is_fast:
            return decode_queries(transformer, self.mask_projection, pixels)
        decoded = transformer(
            multi_scale_features=[
                x.mT.unflatten(2, size) for x, size in zip(pixels.levels, pixels.geometry.sizes, strict=True)
            ],
            mask_features=self.mask_projection(pixels.stride4),
        )
        return [queries.transpose(0, 1) for queries in decoded.intermediate_hidden_states]

    def predict(self, output: DetectorOutput) -> FramePrediction:
        """Return the detector's own classes and masks, which the tracker does not need.

        Args:
            output: Of `forward`, with L layers.

        Returns:
            Class logits (L, F, Q_f, K + 1), mask embeddings (L, F, Q_f, C_m), mask features (F, C_m, H/4, W/4).
        """
        embedder = self.mask2former.transformer_module.decoder.mask_predictor.mask_embedder
        return FramePrediction(
            class_logits=self.class_predictor(output.frame_queries),
            mask_embeddings=embedder(output.frame_queries),
            mask_features=self.mask_projection(output.stride4_features),
        )
