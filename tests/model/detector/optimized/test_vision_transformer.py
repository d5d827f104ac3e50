"""Optimized vision transformers (EoMT, VidEoMT) give the numbers of transformers' modules, whatever the pieces."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import EomtConfig

from genvis.model.detector.eomt import EoMTDetector
from genvis.model.detector.optimized import token_attention as attention_module
from genvis.model.detector.optimized import upscaling as upscaling_module
from genvis.model.detector.optimized.token_attention import token_attention
from genvis.model.detector.optimized.upscaling import upscaled_map, upscaled_mask_logits
from genvis.model.detector.optimized.vision_transformer import vit_block
from genvis.model.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig
from tests.tiny_families import tiny_family

EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(autouse=True)
def always_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """These networks are so small that PyTorch's attention would be faster."""
    monkeypatch.setattr(attention_module, "_FEWEST_SCORES", 0)
    monkeypatch.setattr(attention_module, "_SCORES_AT_ONCE", 300)


@pytest.fixture
def whole_attentions(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Queries of the calls of PyTorch's attention."""
    calls: list[Tensor] = []
    original = F.scaled_dot_product_attention

    def noted(query: Tensor, *arguments: Any, **fields: Any) -> Tensor:
        calls.append(query)
        return original(query, *arguments, **fields)

    monkeypatch.setattr(attention_module.F, "scaled_dot_product_attention", noted)
    return calls


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(family: str, **fields: Any) -> Any:
    return tiny_family(family, **fields).double()


@pytest.mark.parametrize("at_once", [1, 100, 10**6])
@pytest.mark.parametrize("sizes", [(1, 13, 13), (3, 5, 17)])
def test_attention_in_pieces_is_attention(
    at_once: int, sizes: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch, whole_attentions: list[Tensor]
) -> None:
    frames, queries, keys = sizes
    monkeypatch.setattr(attention_module, "_SCORES_AT_ONCE", at_once)
    query, key, value = random(frames, queries, 12), *random(2, frames, keys, 12, seed=1)
    q, k, v = (x.unflatten(-1, (3, 4)).transpose(1, 2) for x in (query, key, value))
    with torch.no_grad():
        expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        whole_attentions.clear()
        torch.testing.assert_close(token_attention(query, key, value, heads=3), expected, **EXACT)
    assert not whole_attentions


def test_attention_with_a_mask_with_a_gradient_or_of_few_tokens_is_pytorchs(
    monkeypatch: pytest.MonkeyPatch, whole_attentions: list[Tensor]
) -> None:
    query, key, value = (x.requires_grad_() for x in random(3, 1, 5, 4))
    assert torch.autograd.gradcheck(lambda *qkv: token_attention(*qkv, heads=2), (query, key, value))
    assert whole_attentions
    whole_attentions.clear()
    with torch.no_grad():
        mask = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
        mask[..., 0] = -torch.inf
        masked = token_attention(query, key, value, heads=2, mask=mask)
        torch.testing.assert_close(masked, token_attention(query, key[:, 1:], value[:, 1:], heads=2), **EXACT)
        assert len(whole_attentions) == 1
        monkeypatch.setattr(attention_module, "_FEWEST_SCORES", 26)
        token_attention(query, key, value, heads=2)
    assert len(whole_attentions) == 2


def test_attention_in_half_precision_is_as_exact_as_its_numbers() -> None:
    query, key, value = random(3, 1, 40, 32)
    with torch.no_grad():
        expected = token_attention(query, key, value, heads=2)
        half = token_attention(query.bfloat16(), key.bfloat16(), value.bfloat16(), heads=2)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("family", ["eomt", "videomt"])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("is_masked", [False, True])
def test_a_block_is_the_block_of_transformers(family: str, gated: bool, is_masked: bool) -> None:
    block = model(family, use_swiglu_ffn=gated).layers[0]
    tokens = random(2, 19, 48)
    given = tokens.clone()
    mask = random(2, 1, 19, 19, seed=1) if is_masked else None
    with torch.no_grad():
        torch.testing.assert_close(vit_block(block, tokens, mask), block(tokens, mask), **EXACT)
    assert torch.equal(tokens, given)  # It works in place, but not on what it was given.


def test_a_block_has_the_gradients_and_the_dropped_paths_of_transformers() -> None:
    block = model("eomt", drop_path_rate=0.5).layers[0].train()
    tokens = random(6, 5, 48).requires_grad_()
    gradients = []
    for way in (block, lambda x: vit_block(block, x)):
        torch.manual_seed(0)
        (gradient,) = torch.autograd.grad((way(tokens) * random(6, 5, 48, seed=1)).sum(), tokens)
        gradients.append(gradient)
    torch.testing.assert_close(*gradients, **EXACT)
    with torch.no_grad():
        torch.manual_seed(0)
        expected = block(tokens)
        torch.manual_seed(0)
        torch.testing.assert_close(vit_block(block, tokens), expected, **EXACT)


@pytest.mark.parametrize("family", ["eomt", "videomt"])
@pytest.mark.parametrize("at_once", [1, 3000, 10**7])
@pytest.mark.parametrize("grid", [(1, 1), (2, 7), (5, 3)])
def test_strips_give_the_map_and_the_masks_of_the_whole(
    family: str, at_once: int, grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaling_module, "_NUMBERS_AT_ONCE", at_once)
    block, patches, embeddings = model(family).upscale_block, random(2, *grid, 48), random(2, 5, 48, seed=1)
    with torch.no_grad():
        expected = block(patches.permute(0, 3, 1, 2))
        actual = upscaled_map(block, patches)
        masks = upscaled_mask_logits(block, patches, embeddings)
    torch.testing.assert_close(actual, expected, **EXACT)
    assert actual.is_contiguous(memory_format=torch.channels_last)
    assert masks.is_contiguous()
    torch.testing.assert_close(masks, torch.einsum("fqc,fchw->fqhw", embeddings, expected).float())


def videomt() -> VidEoMT:
    source = tiny_family("videomt")
    network = VidEoMT(VidEoMTConfig.from_dict(source.config.to_dict()))
    network.load_state_dict(source.state_dict())
    return network.eval()


def outputs_of_videomt(network: VidEoMT, pixels: Tensor, clips: list[int], implementation: str) -> list[Tensor]:
    network.implementation = implementation  # type: ignore[assignment]
    state: Tensor | None = None
    outputs = []
    for clip in pixels.split(clips):
        class_logits, mask_logits, state = network.step(clip, state)
        outputs += [class_logits, mask_logits, state]
    heads, state = network.frame_step(pixels[:1], outputs[2], torch.ones(1, dtype=pixels.dtype))
    return [*outputs, *heads, state]


@pytest.mark.parametrize("size", [(96, 96), (48, 112), (16, 16), (80, 32)])
@pytest.mark.parametrize("clips", [[1, 3], [4]])
def test_videomt_gives_the_numbers_of_its_reference(size: tuple[int, int], clips: list[int]) -> None:
    network, pixels = videomt().double(), random(4, 3, *size)
    with torch.inference_mode():
        expected = outputs_of_videomt(network, pixels, clips, "reference")
        actual = outputs_of_videomt(network, pixels, clips, "optimized")
    for ours, wanted in zip(actual, expected, strict=True):
        assert ours.shape == wanted.shape
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if wanted.dtype == torch.float32 else EXACT  # Masks are float32.
        torch.testing.assert_close(ours, wanted, **tolerance)


@pytest.mark.parametrize("are_masked", [False, True])
@pytest.mark.parametrize(("frames", "size"), [(1, (96, 96)), (3, (48, 112))])
def test_eomt_gives_the_numbers_of_its_reference(are_masked: bool, frames: int, size: tuple[int, int]) -> None:
    source = tiny_family("eomt")
    preprocessing = Preprocessing(short_side=96, max_size=96, divisor=16, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    detector = EoMTDetector(EomtConfig.from_dict(source.config.to_dict()), preprocessing).double().eval()
    detector.load_state_dict(EoMTDetector.renamed(source.state_dict()))
    nn.init.constant_(detector.eomt.attn_mask_probs, float(are_masked))
    pixels = random(frames, 3, *size)
    found = []
    with torch.inference_mode():
        for implementation in ("reference", "optimized"):
            detector.implementation = implementation  # type: ignore[assignment]
            output = detector(pixels, layers=3)
            prediction = detector.predict(output)
            found.append([output.frame_queries, output.features, prediction.class_scores, prediction.mask_embeddings])
    for wanted, ours in zip(*found, strict=True):
        # Scores are float32.
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if wanted.dtype == torch.float32 else EXACT
        torch.testing.assert_close(ours, wanted, **tolerance)


def test_half_precision_stays_near_single_precision() -> None:
    network, pixels = videomt(), random(2, 3, 64, 96).float()
    with torch.inference_mode():
        expected = outputs_of_videomt(network, pixels, [1, 1], "reference")
        half = nn.Module.to(network, dtype=torch.bfloat16)
        errors = {
            implementation: [
                float((ours.float() - wanted).abs().mean() / wanted.abs().mean())
                for ours, wanted in zip(
                    outputs_of_videomt(half, pixels.bfloat16(), [1, 1], implementation), expected, strict=True
                )
            ]
            for implementation in ("reference", "optimized")
        }
    for optimized, reference in zip(errors["optimized"], errors["reference"], strict=True):
        assert optimized < 1.5 * reference + 0.01
