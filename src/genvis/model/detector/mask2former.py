"""Mask2Former as the frame-level detector, optimized beside its reference."""

import torch
from torch import Tensor, nn
from transformers import Mask2FormerConfig, Mask2FormerModel, ResNetBackbone, SwinBackbone

from genvis.errors import InputError
from genvis.model.detector.base import DetectorSizes, FrameDetector, Implementation
from genvis.model.detector.optimized.pixel_decoder import PixelFeatures, decode_pixels, decoder_geometry
from genvis.model.detector.optimized.query_decoder import decode_queries
from genvis.model.detector.optimized.resnet import resnet_features
from genvis.model.detector.optimized.swin import swin_features
from genvis.model.mask_product import embeddings_before_projection
from genvis.model.outputs import DetectorOutput, FramePrediction, LayerPrediction
from genvis.model.preprocessing import Preprocessing


class Mask2FormerDetector(FrameDetector):
    """Transformers' Mask2Former, opened where a tracker reads it.

    GenVIS needs the pixel decoder's stride-4 map before the mask projection, which transformers does not return; so the
    projection is moved out of the pixel decoder, and is called here.

    Attributes:
        implementation: ``"optimized"`` computes from the parameters of transformers' modules what these compute, in an
            order that takes less time and memory; ``"reference"`` runs the modules themselves, for comparison and
            export.

    Args:
        config: Of transformers' class, with its backbone.
        preprocessing: Way from a frame to ``pixel_values``.
    """

    implementation: Implementation = "optimized"
    names_in_transformers = (
        (r"criterion\.", None),  # Of the loss.
        (r".*\.swin\.layernorm\.", None),  # Of Swin's classifier.
        (r"class_predictor\.", "class_predictor."),
        (r"model\.pixel_level_module\.decoder\.mask_projection\.", "mask_projection."),
        (r"model\.", "mask2former."),
    )

    def __init__(self, config: Mask2FormerConfig, preprocessing: Preprocessing) -> None:
        sizes = DetectorSizes(
            queries=config.num_queries,
            query_dim=config.hidden_dim,
            feature_dim=config.feature_size,
            classes=len(config.id2label or {}),
            layers=config.decoder_layers,
        )
        super().__init__(preprocessing=preprocessing, sizes=sizes)
        self.mask2former = Mask2FormerModel(config)
        pixel_decoder = self.mask2former.pixel_level_module.decoder
        self.mask_projection = pixel_decoder.mask_projection
        pixel_decoder.register_module("mask_projection", nn.Identity())
        backbone = self.mask2former.pixel_level_module.encoder
        if isinstance(backbone, SwinBackbone):  # Its last norm serves classification: unused here, unknown to DDP.
            backbone.swin.register_module("layernorm", nn.Identity())
        self.class_predictor = nn.Linear(config.hidden_dim, len(config.id2label or {}) + 1)

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts of the network by name, for tables of parameters."""
        return {
            "backbone": self.mask2former.pixel_level_module.encoder,
            "pixel decoder": self.mask2former.pixel_level_module.decoder,
            "masked-attention decoder": self.mask2former.transformer_module,
            "detector heads": nn.ModuleList([self.mask_projection, self.class_predictor]),
        }

    @property
    def is_optimized(self) -> bool:
        """Whether the optimized implementation runs: not if the reference is asked for, or for unusual models."""
        config, layers = self.mask2former.config, self.mask2former.transformer_module.decoder.layers
        is_checkpointed = self.training and any(layer.gradient_checkpointing for layer in layers)
        drops_layers = self.training and self.mask2former.transformer_module.decoder.layerdrop > 0
        return self.implementation == "optimized" and not (config.pre_norm or is_checkpointed or drops_layers)

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect.

        Args:
            pixel_values: (F, 3, H, W), as ``preprocessing`` makes them; H and W are multiples of 32.
            layers: L, how many of the last decoder layers to return; ``decoder_layers`` (10 in the published models)
                is all, the first being the learned queries before any layer.

        Returns:
            Frame queries (L, F, Q_f, C) and, as features, the stride-4 map (F, C_f, H/4, W/4).
        """
        pixels = self.decode_pixels(self.backbone_maps(pixel_values))
        queries = self.decode_queries(pixels)
        return DetectorOutput(frame_queries=torch.stack(queries[-layers:]), features=pixels.stride4)

    def backbone_maps(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's maps of stride 4 to 32, each (F, C_l, H_l, W_l)."""
        backbone = self.mask2former.pixel_level_module.encoder
        if self.is_optimized and isinstance(backbone, ResNetBackbone):
            return resnet_features(backbone, pixel_values)
        if self.is_optimized and isinstance(backbone, SwinBackbone):
            return swin_features(backbone, pixel_values)
        maps: tuple[Tensor, ...] = backbone(pixel_values).feature_maps
        return maps

    def decode_pixels(self, maps: tuple[Tensor, ...]) -> PixelFeatures:
        """Decode the backbone's maps to levels of stride 32, 16 and 8, and the stride-4 map."""
        decoder = self.mask2former.pixel_level_module.decoder
        if self.is_optimized:
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
        if self.is_optimized:
            return decode_queries(transformer, self.mask_projection, pixels)
        decoded = transformer(
            multi_scale_features=[
                x.mT.unflatten(2, size) for x, size in zip(pixels.levels, pixels.geometry.sizes, strict=True)
            ],
            mask_features=self.mask_projection(pixels.stride4),
        )
        return [queries.transpose(0, 1) for queries in decoded.intermediate_hidden_states]

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own classes and masks.

        Args:
            output: Of `forward`.
            layer: Which of its layers.
        """
        queries = output.frame_queries[layer]
        embedder = self.mask2former.transformer_module.decoder.mask_predictor.mask_embedder
        # The embeddings are projected instead of the pixels, which are 100 times as many.
        embeddings, bias = embeddings_before_projection(embedder(queries), self.mask_projection)
        return FramePrediction(
            class_scores=self.class_predictor(queries).float().softmax(dim=-1)[..., :-1],
            mask_embeddings=embeddings.to(queries.dtype),  # (F, Q_f, C_f)
            mask_features=output.features,
            mask_bias=None if bias is None else bias.to(queries.dtype),
        )

    def tracker_heads(self) -> dict[str, Tensor]:
        """Return weights of a tracker's heads that predict what this detector does, see `FrameDetector.tracker_heads`.

        A tracker normalises its queries before the heads; frame queries, which are normalised too, have other means and
        deviations through the weights of their norm. The norm of the heads gets these, as they are in the mean.
        """
        decoder = self.mask2former.transformer_module.decoder
        weight, bias = decoder.layernorm.weight.detach(), decoder.layernorm.bias.detach()  # (C,)
        mean = bias.mean()
        deviation = (weight.square().mean() + bias.var(unbiased=False)).sqrt()
        heads = {
            "heads.norm.weight": deviation.expand_as(weight),
            "heads.norm.bias": mean.expand_as(bias),
            **{f"heads.class_predictor.{name}": value for name, value in self.class_predictor.state_dict().items()},
            **{f"mask_features.{name}": value for name, value in self.mask_projection.state_dict().items()},
        }
        linears = [one for one in decoder.mask_predictor.mask_embedder.modules() if isinstance(one, nn.Linear)]
        for place, linear in zip((0, 3, 6), linears, strict=True):  # As in torchvision's MLP.
            heads |= {f"heads.mask_embedder.{place}.{name}": value for name, value in linear.state_dict().items()}
        return heads

    def predict_layers(self, output: DetectorOutput) -> LayerPrediction:
        """Return class logits and masks of all layers, from which the detector is trained.

        Args:
            output: Of `forward`, with L layers.
        """
        embedder = self.mask2former.transformer_module.decoder.mask_predictor.mask_embedder
        return LayerPrediction(
            class_logits=self.class_predictor(output.frame_queries),  # (L, F, Q_f, K + 1)
            mask_embeddings=embedder(output.frame_queries),  # (L, F, Q_f, C_m)
            mask_features=self.mask_projection(output.features),  # (F, C_m, H/4, W/4)
        )


def as_mask2former(detector: FrameDetector) -> Mask2FormerDetector:
    """Return a detector as what it must be to be trained.

    Raises:
        InputError: If it is of another family.
    """
    if not isinstance(detector, Mask2FormerDetector):
        raise InputError(f"Only a Mask2Former detector can be trained, not a {type(detector).__name__}: freeze it.")
    return detector
