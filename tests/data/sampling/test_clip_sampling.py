from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genvis.data.sampling.clip_sampling import ClipSampling
from genvis.data.sampling.random_key import RandomKey
from genvis.errors import InputError

SAMPLING = st.builds(
    ClipSampling, clips=st.integers(1, 6), frames_per_clip=st.integers(1, 4), frame_range=st.integers(0, 30)
)
EVEN = st.builds(replace, SAMPLING, is_even=st.just(True))


@given(sampling=SAMPLING, length=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_frames_are_sorted_near_one_reference_and_inside_the_video(
    sampling: ClipSampling, length: int, seed: int
) -> None:
    frames = sampling.sample(length, np.random.default_rng(seed))

    assert len(frames) == sampling.clips * sampling.frames_per_clip
    assert list(frames) == sorted(frames)
    assert frames[0] >= 0
    assert frames[-1] < length
    # Some frame is a reference that has all the others within its range.
    assert any(max(reference - frames[0], frames[-1] - reference) <= sampling.frame_range for reference in frames)


def test_the_reference_frame_is_drawn_once_only_and_all_frames_equally() -> None:
    sampling = ClipSampling(clips=2, frames_per_clip=1, frame_range=3)
    random = np.random.default_rng(0)
    pairs = [sampling.sample(10, random) for _ in range(4000)]

    assert all(first != second for first, second in pairs)
    counts = Counter(frame for pair in pairs for frame in pair)
    assert set(counts) == set(range(10))
    assert max(second - first for first, second in pairs) == 3


@given(sampling=EVEN, length=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_even_frames_have_one_distance_and_reach_no_further_than_others(
    sampling: ClipSampling, length: int, seed: int
) -> None:
    frames = sampling.sample(length, np.random.default_rng(seed))

    assert len(frames) == sampling.frames
    assert frames[0] >= 0
    assert frames[-1] < length
    distances = set(np.diff(frames).tolist())
    if length >= sampling.frames:
        assert len(distances) <= 1
        assert 0 not in distances
        assert frames[-1] - frames[0] < max(sampling.frames, 2 * sampling.frame_range + 1)
    else:
        assert distances <= {0, 1}, "all frames of a short video, some twice"


def test_all_distances_and_places_of_even_frames_are_drawn() -> None:
    sampling = ClipSampling(clips=4, frame_range=6, is_even=True)
    random = np.random.default_rng(0)
    drawn = {sampling.sample(14, random) for _ in range(2000)}

    assert {frames[1] - frames[0] for frames in drawn} == {1, 2, 3, 4}
    assert {frames[0] for frames in drawn if frames[1] - frames[0] == 4} == {0, 1}
    assert {frames[0] for frames in drawn if frames[1] - frames[0] == 1} == set(range(11))
    assert {ClipSampling(clips=1, is_even=True).sample(3, random) for _ in range(50)} == {(0,), (1,), (2,)}


def test_a_single_frame_is_repeated() -> None:
    assert ClipSampling(clips=5).sample(1, np.random.default_rng(0)) == (0,) * 5


def test_impossible_values_are_refused() -> None:
    with pytest.raises(InputError, match="clips of at least 1, not 0"):
        ClipSampling(clips=0)
    with pytest.raises(InputError, match="frame_range of at least 0, not -1"):
        ClipSampling(frame_range=-1)
    with pytest.raises(InputError, match="without frames"):
        ClipSampling().sample(0, np.random.default_rng(0))


@given(length=st.integers(1, 50), seed=st.integers(0, 2**63), epoch=st.integers(0, 5))
def test_a_key_goes_through_all_videos_once_per_epoch(length: int, seed: int, epoch: int) -> None:
    chosen = [RandomKey(seed, epoch * length + position).choose(length) for position in range(length)]
    assert sorted(chosen) == list(range(length))


def test_a_key_is_a_pure_function_of_seed_index_and_attempt() -> None:
    key = RandomKey(3, 41)
    values = [key, RandomKey(3, 42), RandomKey(4, 41), key.next_attempt()]
    numbers = [tuple(value.generator().integers(2**62, size=2)) for value in values]

    assert len(set(numbers)) == 4
    assert tuple(RandomKey(3, 41).generator().integers(2**62, size=2)) == numbers[0]
    assert key.next_attempt().choose(1000) == RandomKey(3, 41, 1).choose(1000)
    assert 0 <= key.next_attempt().choose(3) < 3
