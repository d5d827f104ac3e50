"""Preprocessing gives the sizes and pixels of the published GenVIS and of transformers' image processors."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms
from transformers import EomtImageProcessor, Mask2FormerImageProcessor, RfDetrImageProcessor

from genvis.errors import InputError
from genvis.model.preprocessing import Preprocessing

sides = st.integers(1, 900)


def frames(height: int, width: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 5, 7, generator=generator) * 255
    return F.interpolate(coarse, size=(height, width), mode="bilinear").round().to(torch.uint8)


def pixel_values(preprocessing: Preprocessing, images: Tensor) -> Tensor:
    return preprocessing.normalize(preprocessing.resize(images))


@given(height=sides, width=sides)
def test_the_published_rule_keeps_the_aspect_within_half_a_pixel_and_both_limits(height: int, width: int) -> None:
    resized = Preprocessing(short_side=360, max_size=640).resized_size(height, width)
    scale = min(360 / min(height, width), 640 / max(height, width))
    for side, length in zip(resized, (height, width), strict=True):
        assert side == max(1, math.floor(length * scale + 0.5)) or math.isclose(side, length * scale + 0.5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((720, 1280), (360, 640)), ((1280, 720), (640, 360)), ((100, 1000), (133, 1333)), ((2, 3000), (1, 1333))],
)
def test_known_sizes_of_the_published_rule(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Preprocessing(short_side=360, max_size=1333).resized_size(*size) == expected


def test_published_pixels_are_normalised_then_padded_with_zeros() -> None:
    preprocessing = Preprocessing(short_side=40, max_size=200)
    images = frames(50, 77)
    resized = transforms.resize(images, [40, 62], antialias=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    expected = F.pad((resized.float() - mean) / std, (0, 2, 0, 24))
    assert torch.equal(pixel_values(preprocessing, images), expected)


@given(height=sides, width=sides, divisor=st.integers(1, 40))
def test_padding_reaches_the_next_multiple_and_no_further(height: int, width: int, divisor: int) -> None:
    padded = Preprocessing(short_side=8, divisor=divisor).padded_size(height, width)
    for side, length in zip(padded, (height, width), strict=True):
        assert side % divisor == 0
        assert 0 <= side - length < divisor


def mask2former(size: Any) -> tuple[Preprocessing, Any]:
    processor = Mask2FormerImageProcessor(size=size)
    return Preprocessing.from_image_processor("mask2former", processor.to_dict()), processor


def eomt(side: int) -> tuple[Preprocessing, Any]:
    processor = EomtImageProcessor(size={"shortest_edge": side, "longest_edge": side}, do_pad=True)
    return Preprocessing.from_image_processor("eomt", processor.to_dict(), divisor=16), processor


def rf_detr(side: int) -> tuple[Preprocessing, Any]:
    processor = RfDetrImageProcessor(size={"height": side, "width": side})
    return Preprocessing.from_image_processor("rf_detr", processor.to_dict(), divisor=24), processor


FAMILIES = {
    "mask2former": mask2former({"shortest_edge": 96, "longest_edge": 160}),
    "mask2former-square": mask2former({"height": 64, "width": 64}),
    "eomt": eomt(96),
    "rf_detr": rf_detr(72),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(90, 160), (111, 64), (37, 300), (96, 96), (200, 201)])
def test_pixels_equal_those_of_the_image_processors_of_transformers(family: str, size: tuple[int, int]) -> None:
    preprocessing, processor = FAMILIES[family]
    images = frames(*size)
    expected = processor(images=list(images), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixel_values(preprocessing, images), expected, rtol=0, atol=1e-5)


@given(height=st.integers(8, 900), width=st.integers(8, 900))
def test_inputs_have_the_sizes_of_the_image_processors(height: int, width: int) -> None:
    for preprocessing, processor in FAMILIES.values():
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        expected = processor(images=image, return_tensors="pt", input_data_format="channels_first")["pixel_values"]
        assert preprocessing.padded_size(*preprocessing.resized_size(height, width)) == expected.shape[-2:]


def test_the_users_resolution_replaces_the_short_side_and_lifts_the_limit() -> None:
    preprocessing = Preprocessing(short_side=360, max_size=640)
    assert preprocessing.with_resolution(480).resized_size(480, 600) == (480, 600)
    assert preprocessing.with_resolution(800).max_size == 800
    assert preprocessing.with_resolution(300, 400).resized_size(300, 900) == (133, 400)


def test_a_resolution_of_square_inputs_is_a_multiple_of_what_the_network_needs() -> None:
    assert FAMILIES["eomt"][0].with_resolution(100).padded_size(100, 20) == (112, 112)
    assert FAMILIES["rf_detr"][0].with_resolution(100).resized_size(500, 20) == (120, 120)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"short_side": 0}, "short_side of the preprocessing is 0"),
        ({"short_side": 8, "divisor": 0}, "divisor"),
        ({"short_side": 8, "std": (1.0, 0.0, 1.0)}, "std"),
        ({"short_side": 8, "std": (1.0, float("nan"), 1.0)}, "std"),
        ({"short_side": 8, "rule": "longest"}, "'longest'"),
    ],
)
def test_impossible_settings_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocessing(**fields)


def test_a_limit_below_the_resolution_is_an_error() -> None:
    with pytest.raises(InputError, match="max_size 300 is below the resolution 400"):
        Preprocessing(short_side=360, max_size=640).with_resolution(400, 300)


@pytest.mark.parametrize(
    ("family", "processor", "message"),
    [
        ("videomae", {}, "'videomae'"),
        ("rf_detr", {"resample": 3}, "method 3"),
        ("rf_detr", {"size": {"height": 64, "width": 32}}, "64x32"),
    ],
)
def test_unknown_image_processors_are_refused(family: str, processor: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocessing.from_image_processor(family, processor)
