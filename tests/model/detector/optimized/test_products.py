from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from genvis.checkpoints.load import load_genvis
from genvis.model.detector.optimized import linear as linear_module
from genvis.model.detector.optimized import window_attention as window_module
from genvis.model.detector.optimized.linear import Activation, feedforward, linear
from genvis.model.detector.optimized.window_attention import window_attention
from genvis.model.mask_product import mask_logits, projected_mask_logits

WEIGHTS = "tests/golden/inference/genvis_{}_tiny.pth"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("frames", [1, 3])
def test_mask_logits_are_the_product_over_channels(layout: torch.memory_format, frames: int) -> None:
    embeddings, features = torch.randn(5, 8), torch.randn(frames, 8, 6, 7).contiguous(memory_format=layout)
    logits = mask_logits(embeddings, features)
    assert logits.is_contiguous()
    torch.testing.assert_close(logits, torch.einsum("qc,tchw->tqhw", embeddings, features))


@pytest.mark.parametrize("bias", [True, False])
def test_a_projection_is_carried_over_to_the_embeddings(bias: bool) -> None:
    projection = nn.Conv2d(8, 4, 1, bias=bias).double()
    embeddings, features = torch.randn(5, 4).double(), torch.randn(2, 8, 6, 7).double()
    with torch.no_grad():
        expected = torch.einsum("qc,tchw->tqhw", embeddings, projection(features)).float()
        torch.testing.assert_close(projected_mask_logits(embeddings, projection, features), expected)


def test_mask_logits_of_half_precision_are_single() -> None:
    projection = nn.Conv2d(8, 4, 1).bfloat16()
    embeddings, features = torch.randn(5, 4).bfloat16(), torch.randn(1, 8, 6, 7).bfloat16()
    with torch.no_grad():
        logits = projected_mask_logits(embeddings, projection, features)
        expected = mask_logits(embeddings.float(), projection.float()(features.float()))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("name", ["r50", "swin"])
@torch.inference_mode()
def test_a_segmented_clip_has_the_masks_that_forward_describes(name: str) -> None:
    model = load_genvis(WEIGHTS.format(name))
    clips = torch.randint(0, 256, (2, 3, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    state = described_state = None
    for clip in clips:
        masks, state = model.segment(clip, state)
        described, described_state = model(clip[None], described_state)
        product = torch.einsum("qc,tchw->tqhw", described.mask_embeddings[0], described.mask_features[0])
        torch.testing.assert_close(masks.mask_logits, product, atol=1e-4, rtol=1e-4)
        assert torch.equal(masks.class_logits, described.class_logits[0])
        assert torch.equal(state.instance_queries, described_state.instance_queries)


@given(frames=st.integers(1, 3), length=st.integers(1, 40), at_once=st.integers(1, 2000))
@settings(deadline=None, max_examples=30)
def test_pieces_of_rows_give_what_all_rows_give(frames: int, length: int, at_once: int) -> None:
    first, second = nn.Linear(6, 16).double(), nn.Linear(16, 6).double()
    x = torch.randn(frames, length, 6).double()
    sizes: list[int] = []

    def activation(hidden: Tensor) -> Tensor:
        sizes.append(hidden.numel())
        return hidden.relu_()

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(linear_module, "_NUMBERS_AT_ONCE", at_once)
        actual = feedforward(first, activation, second, x)
        torch.testing.assert_close(actual, second(first(x).relu()))
    assert sum(sizes) == frames * length * 16
    assert max(sizes) <= max(at_once, 16) + 16


@pytest.mark.parametrize("activation", [None, F.relu, nn.ReLU(), F.gelu, nn.GELU("tanh"), torch.tanh])
@pytest.mark.parametrize("rows", [1, 100, 3000])  # by a product, and by a convolution
@pytest.mark.parametrize("has_onednn", [True, False])
@torch.inference_mode()
def test_linear_is_the_product(
    activation: Activation | None, rows: int, has_onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_onednn:
        monkeypatch.setattr(linear_module, "_has_onednn", lambda dtype: False)
    x, weight, bias = torch.randn(2, rows, 8), torch.randn(8, 12).T, torch.randn(12)
    for part in (x, x[:, : (rows + 1) // 2], x[:, ::2]):  # Not all of them contiguous, nor the weight.
        for of_part in (bias, None):
            product = F.linear(part.double(), weight.double(), None if of_part is None else of_part.double())
            expected = product if activation is None else activation(product)
            torch.testing.assert_close(
                linear(part, weight, of_part, activation), expected.float(), atol=1e-5, rtol=1e-5
            )


@torch.inference_mode()
def test_linear_of_no_rows() -> None:
    assert linear(torch.randn(1, 0, 8), torch.randn(6, 8), None, F.relu).shape == (1, 0, 6)


@torch.inference_mode()
def test_linear_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = linear(torch.randn(1, 5, 8).bfloat16(), torch.randn(6, 8), torch.randn(6), F.relu)
    assert product.dtype == torch.bfloat16


def test_a_gradient_passes_through_linear() -> None:
    x, weight = torch.randn(1, 5, 3).double().requires_grad_(), torch.randn(4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, weight: linear(x, weight, None, F.gelu), (x, weight))


def test_feedforward_has_its_gradient() -> None:
    first, second = nn.Linear(3, 4).double(), nn.Linear(4, 3).double()
    x = torch.randn(1, 5, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: feedforward(first, torch.tanh, second, x), x)


@pytest.mark.parametrize("of_all", [True, False])
@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_window_attention_is_attention(of_all: bool, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "_SCORES_AT_ONCE", at_once)
    query, key, value = torch.randn(3, 5, 9, 2, 4).transpose(2, 3).double()
    mask = torch.randn(1 if of_all else 5, 2, 9, 9).double()
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)
    torch.testing.assert_close(window_attention(query, key, value, mask=mask, scale=0.3), expected)


@torch.inference_mode()
def test_the_stride_4_map_is_channels_last_for_any_number_of_frames() -> None:
    model = load_genvis(WEIGHTS.format("r50"))
    for frames in (1, 2):
        features = model.detector(torch.randn(frames, 3, 64, 96)).features
        assert features.is_contiguous(memory_format=torch.channels_last)
        assert features.stride(1) == 1


@torch.inference_mode()
def test_parts_of_matrices_are_arranged_before_onednn_multiplies_them() -> None:
    """Of strided inputs oneDNN's product takes a thousand times as long, so it must never see any."""
    products = []

    class Watched(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "_linear_pointwise" in str(function):
                products.append([one.is_contiguous() for one in args[:2]])
            return function(*args, **(kwargs or {}))

    queries, keys = torch.randn(1, 1200, 96), torch.randn(1500, 96)
    with Watched():
        scores = linear(queries[..., 8:40], keys[:, 8:40], None)
        linear(scores, keys[:, 8:40].mT, None)
    assert products == [[True, True], [True, True]]
    torch.testing.assert_close(scores, queries[..., 8:40] @ keys[:, 8:40].mT, rtol=1e-4, atol=1e-4)
