"""The arithmetic that runtimes are compared with is that of the network, whatever computes it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genvis.benchmarking.runtime_comparison import gigaflop_of, network_step
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig


def test_attention_counts_as_two_products() -> None:
    def step(query: Tensor, state: object) -> tuple[Tensor, object]:
        return F.scaled_dot_product_attention(query, query, query), state

    assert gigaflop_of(step, torch.randn(2, 3, 50, 8)) == pytest.approx(1e-9 * 2 * 3 * (2 * 2 * 50 * 50 * 8))


def test_both_implementations_have_the_same_arithmetic() -> None:
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "num_blocks": 1, "num_queries": 5}
    network = VidEoMT(VidEoMTConfig(**sizes, image_size=96)).eval()
    pixels = torch.randn(1, 3, 480, 480)  # So many tokens that the attention runs in pieces.
    counts = []
    for implementation in ("reference", "optimized"):
        network.implementation = implementation  # type: ignore[assignment]
        counts.append(gigaflop_of(network_step(network), pixels))
    assert counts[0] == pytest.approx(counts[1], rel=2e-3)  # But for the resampling of positions.
