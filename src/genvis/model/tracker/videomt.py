"""VidEoMT (CVPR 2026): a plain ViT that segments and tracks; the queries of a frame start from those of the last one.

The whole state between two frames is one tensor (B, Q, C), for videos of any length, and query q is one object.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import VideomtConfig
from transformers.models.videomt.modeling_videomt import VideomtForUniversalSegmentation

from genvis.categories import known_categories
from genvis.errors import InputError
from genvis.model.config import CategoryFields
from genvis.model.detector.base import Implementation
from genvis.model.eomt_blocks import (
    EoMTHeads,
    check_pixel_values,
    embed_patches,
    mask_logits_of_patches,
    patch_side,
    read_heads,
    run_blocks,
)
from genvis.model.fresh_memory import keep_freed_memory
from genvis.model.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from genvis.model.tracker.occupancy import occupancy_mixture


class VidEoMTConfig(CategoryFields, VideomtConfig):
    """Configuration of transformers' class and what inference needs besides; reads its folders as they are.

    Attributes:
        min_size_test: Inference resizes a frame's shorter side to this many pixels; None takes the published 544 for
            the categories of OVIS and 448 for all others.
        max_size_test: Inference keeps the longer side within this many pixels.
        detections_per_video: How many (query, class) pairs a whole-video result holds at most.
        clip_length: How many frames go through the first blocks together; it does not change the results.
        categories_name: Name of the categories, for example ``"ovis"``.
        category_ids: The data set's category id of each class.
    """

    min_size_test: int | None = None
    max_size_test: int = 1333
    detections_per_video: int = 20
    clip_length: int = 1
    categories_name: str = ""
    category_ids: list[int] | tuple[int, ...] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        patch_side(self)  # Checks the sizes.
        self.check_categories()
        if self.min_size_test is None:
            self.min_size_test = 544 if _plain(self.categories.names) == _plain(known_categories("ovis").names) else 448

    @property
    def preprocessing(self) -> Preprocessing:
        """The published geometry: shorter side 448 or 544, aspect kept, zeros on the right and bottom to 32s."""
        return Preprocessing(
            short_side=self.min_size_test or 448,
            max_size=self.max_size_test,
            divisor=2 * patch_side(self),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        )


def _plain(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label.lower().replace("_", " ") for label in labels)


class VidEoMTOutput(NamedTuple):
    """Prediction for the frames of one clip of one video; row q is one object in all frames and clips.

    Attributes:
        class_logits: (T, Q, K + 1), the last class is "no object".
        mask_logits: (T, Q, H/4, W/4) float32, of the padded frames.
        state: (1, Q, C), for the next clip of the same video.
    """

    class_logits: Tensor
    mask_logits: Tensor
    state: Tensor


class VidEoMT(VideomtForUniversalSegmentation):
    """Transformers' VidEoMT as a streaming tracker: any frame size, any number of calls, one state.

    It fails where a query switches to another object while its own is hidden: there is no memory beyond the last frame.

    Attributes:
        implementation: ``"optimized"`` or ``"reference"``, as of
            `genvis.model.detector.mask2former.Mask2FormerDetector`.
    """

    config_class = VidEoMTConfig
    implementation: Implementation = "optimized"

    def __init__(self, config: VidEoMTConfig) -> None:
        super().__init__(config)
        keep_freed_memory()

    @property
    def preprocessing(self) -> Preprocessing:
        """Way from a frame to ``pixel_values``."""
        return self.config.preprocessing

    def step(
        self, pixel_values: Tensor, state: Tensor | None = None, *, occupancy_weighted: bool = False
    ) -> VidEoMTOutput:
        """Segment and track one clip of one video.

        Args:
            pixel_values: (T, 3, H, W), normalised; H and W are multiples of the patch size, any T from 1 up.
            state: (1, Q, C), what the previous clip of the same video left; None for the first. A row of zeros is a
                query without a past: it starts from its learned embedding alone, as all do in the first frame.
            occupancy_weighted: Renew a query only as far as it holds an object, see `occupancy_mixture`. Off, as
                published.

        Raises:
            InputError: If the frames or the state have another shape.
        """
        grid = check_pixel_values(self.config, pixel_values)
        expected = (1, self.config.num_queries, self.config.hidden_size)
        if state is not None and state.shape != expected:
            raise InputError(
                f"The state is {tuple(state.shape)} instead of {expected}: give what the previous clip of the same "
                "video left, or None for its first clip."
            )
        normalised, state = self._propagate(self._encode(pixel_values), state, occupancy_weighted=occupancy_weighted)
        queries = normalised[:, : self.config.num_queries]  # (T, Q, C)
        embeddings = self.mask_head(queries)  # (T, Q, C)
        mask_logits = mask_logits_of_patches(self, normalised, grid, embeddings, optimized=self._is_optimized)
        return VidEoMTOutput(self.class_predictor(queries), mask_logits, state)

    @property
    def empty_state(self) -> Tensor:
        """Zeros with the shape, device and dtype of a state, (1, Q, C)."""
        return torch.zeros_like(self.query.weight)[None]

    def frame_step(self, pixel_values: Tensor, state: Tensor, has_state: Tensor) -> tuple[EoMTHeads, Tensor]:
        """Compute one frame of each of B videos as a pure function of tensors.

        Args:
            pixel_values: (B, 3, H, W), as in `step`.
            state: (B, Q, C), what the previous frames left; anything finite for first frames.
            has_state: (B,), 1 for videos with a previous frame and 0 for those without.

        Returns:
            The outputs of the heads, and the state for the next frame, (B, Q, C).
        """
        grid = check_pixel_values(self.config, pixel_values)
        queries = self.query.weight + has_state[:, None, None] * self._update(state)  # (B, Q, C)
        normalised, state = self._last_blocks(self._encode(pixel_values), queries)
        return read_heads(self, normalised, grid, optimized=self._is_optimized), state

    @property
    def _is_optimized(self) -> bool:
        return self.implementation == "optimized"

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Run the first blocks, which see a frame alone, on all frames together: (T, 3, H, W) to (T, S, C)."""
        tokens = embed_patches(self.embeddings, pixel_values)
        return run_blocks(self.layers[: -self.config.num_blocks], tokens, optimized=self._is_optimized)

    def _propagate(self, tokens: Tensor, state: Tensor | None, *, occupancy_weighted: bool) -> tuple[Tensor, Tensor]:
        """Run the last blocks frame after frame, each with the queries that the frame before left.

        Args:
            tokens: (T, S, C), of the first blocks.
            state: (1, Q, C), the queries after the last block and before the final LayerNorm, of the previous frame.
            occupancy_weighted: As in `step`.

        Returns:
            The normalised output, (T, Q + S, C), and the state after the last frame.
        """
        outputs = []
        for frame in tokens.split(1):  # (1, S, C)
            queries = self.query.weight[None]  # (1, Q, C)
            if state is not None:
                queries = queries + self._update(state)
            normalised, new = self._last_blocks(frame, queries)
            outputs.append(normalised)
            if occupancy_weighted and state is not None:
                class_logits = self.class_predictor(outputs[-1][:, : self.config.num_queries])
                new = occupancy_mixture(new, state, class_logits)
            state = new
        assert state is not None
        return torch.cat(outputs), state

    def _update(self, state: Tensor) -> Tensor:
        """Return what the previous frame adds to the learned queries, (B, Q, C): nothing for those without a past."""
        return torch.where(state.any(dim=-1, keepdim=True), self.query_updater(state), 0.0)

    def _last_blocks(self, tokens: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Run the blocks that see the queries.

        Args:
            tokens: (B, S, C), of the first blocks.
            queries: (B, Q, C).

        Returns:
            The normalised output, (B, Q + S, C), and the queries before the final LayerNorm, (B, Q, C).
        """
        hidden = torch.cat([queries, tokens], dim=1)  # (B, Q + S, C)
        hidden = run_blocks(self.layers[-self.config.num_blocks :], hidden, optimized=self._is_optimized)
        return self.layernorm(hidden), hidden[:, : self.config.num_queries]
