import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import SwinBackbone, SwinConfig
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from genvis.checkpoints.load import load_genvis
from genvis.model.config import GenVISConfig
from genvis.model.detector.mask2former import Mask2FormerDetector
from genvis.model.detector.optimized import linear as linear_module
from genvis.model.detector.optimized.resnet import FoldingBuffers, fold
from genvis.model.detector.optimized.swin import swin_features, window_layout
from genvis.model.published_models import recipe_fields

STAGES = ["stage1", "stage2", "stage3", "stage4"]
RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [2, 1, 1, 1],
    "layer_type": "bottleneck",
    "out_features": STAGES,
}
BASIC_RESNET = RESNET | {"layer_type": "basic"}
SWIN = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [2, 2, 2, 2],
    "num_heads": [1, 1, 2, 2],
    "window_size": 5,
    "drop_path_rate": 0.3,
    "out_features": STAGES,
}
BACKBONES = {"resnet": RESNET, "basic resnet": BASIC_RESNET, "swin": SWIN}


def detector(backbone: dict[str, Any], **fields: Any) -> Mask2FormerDetector:
    """A small detector whose parameters are all random, as if it had been trained."""
    sizes = {"feature_size": 32, "mask_feature_size": 16, "hidden_dim": 32, "encoder_feedforward_dim": 48}
    depths = {"encoder_layers": 2, "decoder_layers": 4, "dim_feedforward": 40, "num_queries": 7}
    config = GenVISConfig(
        detector={"backbone_config": backbone, "num_attention_heads": 4, **sizes, **depths, **fields},
        hidden_dim=32,
        id2label={0: "cat", 1: "dog"},
        num_attention_heads=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Mask2FormerDetector(config.detector_config, config.preprocessing).eval()
        for name, tensor in (*made.named_parameters(), *made.named_buffers()):
            if tensor.ndim <= 2 and tensor.dtype.is_floating_point:
                noise = torch.randn(tensor.shape) * (0.1 if tensor.ndim == 2 else 0.3)
                tensor.data += noise.abs() if "running_var" in name else noise
    return made


def run(model: Mask2FormerDetector, pixels: Tensor, implementation: str, *, layers: int = 5) -> list[Tensor]:
    """Queries, stride-4 map, and the detector's own prediction."""
    model.implementation = implementation  # type: ignore[assignment]
    output = model(pixels, layers=layers)
    return [output.frame_queries, output.features, *model.predict_layers(output)]


def pixels(*shape: int) -> Tensor:
    return torch.randn(shape[0], 3, *shape[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("shape", [(1, 64, 96), (3, 96, 64), (1, 160, 224), (2, 32, 64)])
def test_inference_gives_the_numbers_of_the_reference(backbone: str, shape: tuple[int, int, int]) -> None:
    model = detector(BACKBONES[backbone]).double()  # In which rounding cannot hide a mistake.
    with torch.inference_mode():
        expected = run(model, pixels(*shape).double(), "reference")
        for actual, wanted in zip(run(model, pixels(*shape).double(), "optimized"), expected, strict=True):
            assert actual.shape == wanted.shape
            torch.testing.assert_close(actual, wanted, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("backbone", ["resnet", "swin"])
def test_training_gives_the_gradients_of_the_reference(backbone: str) -> None:
    gradients = []
    for implementation in ("reference", "optimized"):
        model = detector(BACKBONES[backbone]).double().train()
        torch.manual_seed(0)  # Drop path.
        values = run(model, pixels(2, 64, 96).double(), implementation)
        weighted = [value * torch.linspace(-1, 1, value.shape[-1], dtype=value.dtype) for value in values]
        torch.stack([value.sum() for value in weighted]).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    reference, optimized = gradients
    assert reference.keys() == optimized.keys()
    for name, wanted in reference.items():
        scale = max(1.0, float(wanted.abs().max()))
        assert (optimized[name] - wanted).abs().max() < 1e-9 * scale, name


def test_published_weights_agree_on_a_real_video() -> None:
    frames = torch.from_numpy(np.load("tests/golden/inference/video.npz")["frames"]).permute(0, 3, 1, 2)[None]
    for name in ("r50", "swin"):
        model = load_genvis(f"tests/golden/inference/genvis_{name}_tiny.pth")
        with torch.inference_mode():
            prepared = model.prepare_frames(frames)
            expected = run(model.detector, prepared, "reference", layers=4)
            for actual, wanted in zip(run(model.detector, prepared, "optimized", layers=4), expected, strict=True):
                torch.testing.assert_close(actual, wanted, atol=2e-5, rtol=1e-4)


def test_optimized_is_the_default_and_unusual_models_take_the_reference() -> None:
    model = detector(RESNET)
    assert model.is_optimized
    model.implementation = "reference"
    assert not model.is_optimized
    pre_norm = detector(RESNET, pre_norm=True)
    assert not pre_norm.is_optimized
    with torch.inference_mode():
        first, second = (
            run(pre_norm, pixels(1, 64, 64), implementation) for implementation in ("reference", "optimized")
        )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def change_by_optimizer(model: Mask2FormerDetector) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)


def change_by_loading(model: Mask2FormerDetector) -> None:
    model.load_state_dict({name: tensor * 1.1 for name, tensor in model.state_dict().items()})


def change_statistics(model: Mask2FormerDetector) -> None:
    model.train()
    model(pixels(2, 64, 64))
    model.eval()


def change_behind_its_back(model: Mask2FormerDetector) -> None:
    """As scripts write the moving average of weights into a model that is evaluated."""
    for parameter in model.parameters():
        parameter.data.mul_(1.1)


def change_by_swapping_tensors(model: Mask2FormerDetector) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data = module.weight.data * 1.1
            module.running_var = module.running_var * 0.9


@pytest.mark.parametrize(
    "change",
    [change_by_optimizer, change_by_loading, change_statistics, change_behind_its_back, change_by_swapping_tensors],
)
def test_changed_weights_count_in_the_next_call(change: Any) -> None:
    model = detector(RESNET)
    with torch.inference_mode():
        before = run(model, pixels(1, 64, 64), "optimized")
    change(model)
    with torch.inference_mode():
        expected, actual = run(model, pixels(1, 64, 64), "reference"), run(model, pixels(1, 64, 64), "optimized")
    assert not torch.allclose(before[1], actual[1])
    for a, wanted in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, wanted, atol=1e-4, rtol=1e-4)


def test_a_reduced_dtype() -> None:
    model = detector(RESNET)
    with torch.inference_mode():
        expected = run(model, pixels(1, 64, 64), "optimized")
        model.to(torch.bfloat16)
        reduced = run(model, pixels(1, 64, 64).bfloat16(), "optimized")
    assert reduced[0].dtype == torch.bfloat16
    assert (reduced[1].float() - expected[1]).abs().mean() < 0.1 * expected[1].abs().mean()


def test_copies_and_pickles_hold_nothing_derived() -> None:
    model = detector(RESNET)
    model.implementation = "optimized"
    size = len(pickle.dumps(model))
    with torch.inference_mode():
        expected = run(model, pixels(1, 64, 64), "optimized")
        assert len(pickle.dumps(model)) < size + 200  # no weights: only the name of the buffers' class
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert all(
                torch.equal(a, b) for a, b in zip(run(other, pixels(1, 64, 64), "optimized"), expected, strict=True)
            )


def test_folding_against_the_definition() -> None:
    unit = ResNetConvLayer(3, 4, kernel_size=3, activation="linear").eval()
    norm = unit.normalization
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.data = torch.rand(4) + 0.5
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        weight, bias = fold([unit], FoldingBuffers())[unit]
        torch.testing.assert_close(nn.functional.conv2d(x, weight, bias, padding=1), unit(x))


@pytest.mark.parametrize("backbone", ["resnet", "basic resnet"])
@torch.inference_mode()
def test_fused_and_single_operations_agree(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = detector(BACKBONES[backbone])
    image = pixels(2, 64, 96)
    fused = model.backbone_maps(image)
    monkeypatch.setattr(linear_module, "_has_onednn", lambda dtype: False)
    for actual, single in zip(fused, model.backbone_maps(image), strict=True):
        assert actual.stride() == single.stride()
        torch.testing.assert_close(actual, single, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(3, 4), (10, 10), (11, 7), (5, 23)])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_swin_with_maps_of_any_size(height: int, width: int, qkv_bias: bool) -> None:
    torch.manual_seed(0)
    config = SwinConfig(embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4, qkv_bias=qkv_bias)
    config.out_features = ["stage1", "stage2"]
    backbone = SwinBackbone(config).eval()
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.3)
    image = torch.randn(2, 3, 4 * height, 4 * width)
    with torch.no_grad():
        expected = backbone(image).feature_maps
        for actual, wanted in zip(swin_features(backbone, image), expected, strict=True):
            torch.testing.assert_close(actual, wanted, atol=2e-5, rtol=1e-4)


def test_every_pixel_has_one_slot() -> None:
    layout = window_layout((7, 10), window=4, shift=2, like=torch.zeros(1))
    assert torch.equal(layout.pixel_of_slot[layout.slot_of_pixel], torch.arange(70))
    assert len(layout.pixel_of_slot) == 8 * 12 == 70 + len(layout.empty_slots)
    assert layout.windows_inside + len(layout.border_mask) == 6


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet", "swin"])
@pytest.mark.parametrize("implementation", ["reference", "optimized"])
def test_a_graph_of_the_detector_can_be_exported(backbone: str, implementation: str) -> None:
    model = detector(BACKBONES[backbone], decoder_layers=2, encoder_layers=1)
    with torch.no_grad():
        expected = run(model, pixels(1, 64, 64), implementation)
        exported = torch.export.export(model, (pixels(1, 64, 64),), strict=False).module()
        # A traced Swin takes transformers' modules; on maps this small, group norm enlarges the last digits.
        tolerance = 1e-3 if backbone == "swin" else 1e-4
        torch.testing.assert_close(exported(pixels(1, 64, 64))[1], expected[1], atol=tolerance, rtol=tolerance)
        # What was remembered before or after must be real tensors.
        torch.testing.assert_close(run(model, pixels(1, 64, 64), implementation)[0], expected[0])


def test_published_models_run_optimized() -> None:
    assert not GenVISConfig(detector=recipe_fields("ovis-r50-online")["detector"]).detector_config.pre_norm
