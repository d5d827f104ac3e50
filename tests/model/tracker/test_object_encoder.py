"""The object encoder's windows: who sees whom, and that padding is never seen."""

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genvis.model.tracker.object_encoder import ObjectEncoder
from tests.model.tiny_models import assert_close, random_queries

few = settings(max_examples=25, deadline=None)
LAYERS = 4


@cache
def encoder(window_size: int) -> ObjectEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = ObjectEncoder(
            hidden_dim=8, num_heads=2, dim_feedforward=16, num_layers=LAYERS, window_size=window_size
        )
    return module.double().eval()


def windows(length: int, window_size: int, *, is_shifted: bool) -> list[list[int]]:
    """The frames that attend to one another, written down directly: shifted windows begin half a window earlier."""
    start = -((window_size + 1) // 2) if is_shifted else 0
    ranges = [range(first, first + window_size) for first in range(start, length, window_size)]
    return [inside for one in ranges if (inside := [frame for frame in one if 0 <= frame < length])]


def encode_window_by_window(module: ObjectEncoder, queries: Tensor, *, shifts: bool) -> Tensor:
    """What the encoder is to compute, without any padding."""
    batch, length, _, width = queries.shape
    for index, layer in enumerate(module.layers):
        encoded = torch.empty_like(queries)
        for frames in windows(length, module.window_size, is_shifted=shifts and index % 2 == 1):
            tokens = queries[:, frames].reshape(batch, -1, width)
            encoded[:, frames] = layer(tokens).reshape(batch, len(frames), -1, width)
        queries = encoded
    return queries


@few
@given(window_size=st.integers(1, 5), length=st.integers(1, 11), batch=st.integers(1, 2), seed=st.integers(0, 99))
@pytest.mark.parametrize("training", [False, True])
def test_windows_with_padding_equal_windows_without(training, window_size, length, batch, seed):
    module = encoder(window_size).train(training)
    queries = random_queries(batch, length, 3, 8, seed=seed)
    with torch.no_grad():
        assert_close(module(queries), encode_window_by_window(module, queries, shifts=not training))


@few
@given(window_size=st.integers(1, 5), length=st.integers(1, 11), changed=st.integers(0, 10))
def test_a_change_reaches_just_the_frames_whose_windows_touch(window_size, length, changed):
    changed %= length
    module = encoder(window_size).eval()
    queries = random_queries(1, length, 3, 8)
    other = queries.clone()
    other[:, changed] += 1.0
    reached = {changed}
    for index in range(LAYERS):
        for frames in windows(length, window_size, is_shifted=index % 2 == 1):
            if reached & set(frames):
                reached |= set(frames)
    with torch.no_grad():
        differs = (module(queries) != module(other)).flatten(2).any(dim=-1)[0]
    assert set(differs.nonzero().flatten().tolist()) == reached


def test_the_first_and_the_last_frame_of_a_long_video_never_meet():
    module = encoder(2).eval()
    queries = random_queries(1, 12, 3, 8)
    other = queries.clone()
    other[:, -1] += 1.0
    with torch.no_grad():
        assert torch.equal(module(queries)[:, 0], module(other)[:, 0])
        assert not torch.equal(module(queries)[:, -1], module(other)[:, -1])


@pytest.mark.parametrize("length", [1, 4])
def test_global_attention_joins_all_frames_and_forgets_their_order(length):
    module = encoder(0).eval()
    queries = random_queries(2, length, 3, 8)
    order = torch.arange(length).flip(0)
    with torch.no_grad():
        assert_close(module(queries)[:, order], module(queries[:, order]))
        other = queries.clone()
        other[:, -1] += 1.0
        assert (module(queries) != module(other)).flatten(2).any(dim=-1).all()


def test_one_window_over_the_whole_clip_is_global_attention_where_nothing_is_shifted():
    whole, windowed = encoder(0).train(), encoder(5).train()
    queries = random_queries(1, 5, 3, 8)
    with torch.no_grad():
        assert_close(whole(queries), windowed(queries))
