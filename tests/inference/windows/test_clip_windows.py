import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis import InputError
from genvis.inference.windows.clip_windows import AdaptiveWindows, FixedWindows, Window

COLOURS = st.lists(st.sampled_from([0, 90, 200]), min_size=1, max_size=30)


def images_of(colours):
    return [np.full((8, 8, 3), colour, np.uint8) for colour in colours]


def divided(windows, colours, chunks):
    """Windows of a whole video that arrives in chunks, by the places in the video."""
    images, start, found = images_of(colours), 0, []
    for length in chunks:
        here = images[start : start + length]
        if here:
            found += [Window(start + a, start + b, scene) for a, b, scene in windows.divide(here)]
        start += length
    return found


def assert_division(found, colours, longest):
    assert [place for one in found for place in range(one.start, one.stop)] == list(range(len(colours)))
    assert all(1 <= one.stop - one.start <= longest for one in found)
    cuts = {place for place in range(1, len(colours)) if colours[place] != colours[place - 1]}
    assert {one.start for one in found if one.starts_scene} == cuts


@settings(max_examples=200, deadline=None)
@given(colours=COLOURS, longest=st.integers(1, 9), chunks=st.lists(st.integers(1, 12), min_size=30, max_size=30))
def test_every_frame_is_in_one_clip_in_order_and_a_cut_ends_it(colours, longest, chunks):
    assert_division(divided(AdaptiveWindows(longest), colours, chunks), colours, longest)


@settings(max_examples=100, deadline=None)
@given(colour=st.integers(0, 255), frames=st.integers(1, 40), longest=st.integers(1, 9))
def test_one_scene_has_the_clips_of_a_fixed_length(colour, frames, longest):
    chunks = [longest] * frames
    adaptive = divided(AdaptiveWindows(longest), [colour] * frames, chunks)
    assert adaptive == divided(FixedWindows(), [colour] * frames, chunks)


@settings(max_examples=100, deadline=None)
@given(colours=COLOURS, longest=st.integers(1, 9), saved_after=st.integers(0, 30))
def test_what_is_saved_and_restored_goes_on_as_if_nothing_happened(colours, longest, saved_after):
    whole = divided(AdaptiveWindows(longest), colours, [longest] * 30)
    first, second = AdaptiveWindows(longest), AdaptiveWindows(longest)
    chunks = min(saved_after, len(colours) // longest)
    before = divided(first, colours[: chunks * longest], [longest] * chunks)
    second.restore({name: tensor.clone() for name, tensor in first.tensors().items()})
    done = chunks * longest
    after = [Window(a + done, b + done, scene) for a, b, scene in divided(second, colours[done:], [longest] * 30)]
    assert before + after == whole


def test_a_damaged_thumbnail_is_refused():
    for damaged in (torch.zeros(3), torch.zeros(18, 32, 3), torch.zeros(18, 32, 3, 1, dtype=torch.uint8)):
        with pytest.raises(InputError, match="thumbnail"):
            AdaptiveWindows(3).restore({"last_frame": damaged})
