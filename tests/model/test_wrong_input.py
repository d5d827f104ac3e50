"""Frames and states that the network cannot take are answered with one sentence."""

import pytest
import torch

from genvis.errors import InputError
from tests.model.tiny_models import assert_close, random_frames, shared_model


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 4, 32, 64), (1, 1, 1, 32, 64), (1, 2, 32, 64, 3), (3, 32, 64), (1, 3, 32, 64), (1, 1, 1, 3, 32, 64)],
)
def test_another_shape_is_named(shape):
    with pytest.raises(InputError, match=r"\(B, T, 3, H, W\) RGB, not \(" + ", ".join(map(str, shape))):
        shared_model("resnet")(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(1, 0, 3, 32, 64), (0, 1, 3, 32, 64), (1, 1, 3, 0, 64)])
def test_an_empty_clip_is_refused(shape):
    with pytest.raises(InputError, match="at least one frame"):
        shared_model("resnet")(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("method", ["forward", "predict_frames", "prepare_frames"])
@pytest.mark.parametrize("value", [-0.5, 255.5, float("nan"), float("inf")])
def test_values_outside_0_to_255_are_refused(method, value):
    frames = random_frames(1, 1, 32, 64).float()
    frames[0, 0, 1, 3, 4] = value
    with pytest.raises(InputError, match=r"within 0\.\.255"):
        getattr(shared_model("resnet"), method)(frames)


def test_wide_integers_outside_0_to_255_are_refused():
    with pytest.raises(InputError, match=r"within 0\.\.255"):
        shared_model("resnet").prepare_frames(torch.full((1, 1, 3, 32, 64), 256, dtype=torch.int64))


def test_frames_that_look_like_0_to_1_are_warned_of():
    with pytest.warns(UserWarning, match=r"within 0\.\.1"):
        shared_model("resnet").prepare_frames(torch.rand(1, 1, 3, 32, 64))


@pytest.mark.parametrize("sizes", [((32, 64), (32, 96)), ((32, 64), (32, 64))])
def test_a_list_of_frames_is_answered_with_the_way_to_stack_them(sizes):
    clip = [torch.zeros(3, *size, dtype=torch.uint8) for size in sizes]
    with pytest.raises(InputError, match=r"not a list: bring them to one size and stack"):
        shared_model("resnet")(clip)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_state_of_other_videos_is_refused(batch):
    model = shared_model("resnet")
    with torch.no_grad():
        _, state = model(random_frames(2, 1, 32, 64))
        with pytest.raises(InputError, match=r"\(2, 6, 32\) instead of \(\d, 6, 32\)"):
            model(random_frames(batch, 1, 32, 64), state)


def test_float_and_uint8_frames_are_the_same():
    frames = random_frames(1, 2, 33, 65)
    model = shared_model("resnet")
    assert torch.equal(model.prepare_frames(frames), model.prepare_frames(frames.float()))


def test_frames_are_normalised_then_padded_with_zeros():
    model = shared_model("resnet")
    frames = random_frames(2, 2, 33, 65)
    prepared = model.prepare_frames(frames)
    assert prepared.shape == (4, 3, 64, 96)
    assert not prepared[:, :, 33:].any()
    assert not prepared[:, :, :, 65:].any()
    red = (frames[1, 0, 0].float() - 123.675) / 58.395
    assert_close(prepared[2, 0, :33, :65], red)
