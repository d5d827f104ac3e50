"""EoMT (CVPR 2025): a plain ViT as the frame-level detector; its last blocks also see the frame queries."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import EomtConfig, EomtForUniversalSegmentation

from genvis.model.detector.base import DetectorSizes, FrameDetector, Implementation
from genvis.model.eomt_blocks import Grid, check_pixel_values, embed_patches, patch_side, run_blocks, upscaled_patches
from genvis.model.outputs import DetectorOutput, FramePrediction
from genvis.model.preprocessing import Preprocessing


class EoMTDetector(FrameDetector):
    """Transformers' EoMT, opened where a tracker reads it.

    The attention of the queries to the patches is masked only in blocks whose probability is above 0, as in training;
    published models have annealed it to 0 and need no masks.

    Attributes:
        implementation: ``"optimized"`` or ``"reference"``, as of
            `genvis.model.detector.mask2former.Mask2FormerDetector`.

    Args:
        config: Of transformers' class.
        preprocessing: Way from a frame to ``pixel_values``.
    """

    implementation: Implementation = "optimized"
    names_in_transformers = ((r"criterion\.", None), (r"", "eomt."))

    def __init__(self, config: EomtConfig, preprocessing: Preprocessing) -> None:
        patch_side(config)
        sizes = DetectorSizes(
            queries=config.num_queries,
            query_dim=config.hidden_size,
            feature_dim=config.hidden_size,
            classes=len(config.id2label or {}),
            layers=config.num_blocks + 1,
        )
        super().__init__(preprocessing=preprocessing, sizes=sizes)
        self.config = config
        self.eomt = EomtForUniversalSegmentation(config)
        self.eomt.register_module("criterion", nn.Identity())  # Of the loss, with a buffer.
        self._masked_blocks = [True] * config.num_blocks
        self._state_read: tuple[int, int] | None = None

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation."""
        self._masked_blocks = self.masked_blocks()
        return super().train(mode)

    def masked_blocks(self) -> list[bool]:
        """Return for each of the last blocks whether the attention of its queries is masked; read from the device."""
        probabilities = self.eomt.attn_mask_probs
        if torch.compiler.is_compiling():  # A graph cannot depend on values: those of the last call count.
            return self._masked_blocks
        state = None if probabilities.is_inference() else (probabilities.data_ptr(), probabilities._version)
        if state is None or state != self._state_read:  # They are read again only after they were written.
            self._masked_blocks = [probability > 0 for probability in probabilities.tolist()]
            self._state_read = state
        return self._masked_blocks

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Detect.

        Args:
            pixel_values: (F, 3, H, W), as ``preprocessing`` makes them; H and W are multiples of the patch size.
            layers: L, how many of the last layers to return; the first of all are the queries before any block.

        Returns:
            Frame queries (L, F, Q_f, C) and features (F, C, 4·gh, 4·gw), stride 4 for patches of 16 pixels.

        Raises:
            InputError: If the pixel values have another shape.
        """
        grid = check_pixel_values(self.config, pixel_values)
        hidden = embed_patches(self.eomt.embeddings, pixel_values)  # (F, S, C)
        first = len(self.eomt.layers) - self.config.num_blocks
        hidden = run_blocks(self.eomt.layers[:first], hidden, optimized=self._is_optimized)
        queries = self.eomt.query.weight.expand(hidden.shape[0], -1, -1)  # (F, Q_f, C)
        hidden = torch.cat([queries, hidden], dim=1)  # (F, Q_f + S, C)
        normalised = [self.eomt.layernorm(hidden)]
        mask = None
        for block, is_masked in zip(self.eomt.layers[first:], self.masked_blocks(), strict=True):
            if is_masked or self.training:
                mask = self._attention_mask(normalised[-1], grid)
            hidden = run_blocks([block], hidden, mask=mask, optimized=self._is_optimized)
            normalised.append(self.eomt.layernorm(hidden))
        frame_queries = [x[:, : self.sizes.queries] for x in normalised[-layers:]]
        features = upscaled_patches(self.eomt, normalised[-1], grid, optimized=self._is_optimized)
        return DetectorOutput(torch.stack(frame_queries), features)

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own classes and masks.

        Args:
            output: Of `forward`.
            layer: Which of its layers; the mask features are those of the last one.
        """
        queries = output.frame_queries[layer]
        return FramePrediction(
            class_scores=self.eomt.class_predictor(queries).float().softmax(dim=-1)[..., :-1],
            mask_embeddings=self.eomt.mask_head(queries),
            mask_features=output.features,
        )

    @property
    def _is_optimized(self) -> bool:
        return self.implementation == "optimized"

    def _attention_mask(self, normalised: Tensor, grid: Grid) -> Tensor:
        """Return (F, 1, N, N), added to the attention: a query sees only the patches inside its mask so far.

        Args:
            normalised: (F, N, C), the block's input after the final LayerNorm.
            grid: (gh, gw) patches.
        """
        queries = self.sizes.queries
        # Resizing is linear, so the map is resized instead of every query's mask.
        features = upscaled_patches(self.eomt, normalised, grid, optimized=self._is_optimized)
        features = F.interpolate(features, size=grid, mode="bilinear")
        embeddings = self.eomt.mask_head(normalised[:, :queries])  # (F, Q_f, C)
        inside = embeddings @ features.flatten(2) > 0  # (F, Q_f, gh·gw)
        frames, tokens, _ = normalised.shape
        mask = normalised.new_zeros(frames, tokens, tokens)
        mask[:, :queries, -grid[0] * grid[1] :].masked_fill_(~inside, torch.finfo(mask.dtype).min / 2)
        return mask[:, None]
