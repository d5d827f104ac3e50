import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from genvis.data.annotations.segmentation import (
    SegmentationError,
    check_counts,
    decode_counts,
    decode_mask,
    encode_mask,
    to_run_lengths,
)

MASKS = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda shape: arrays.arrays(bool, shape))


@given(mask=MASKS)
def test_counts_of_any_mask_are_decoded_exactly(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts = decode_counts(encoded["counts"].decode())
    check_counts(counts, *mask.shape)
    pixels = np.repeat(np.arange(len(counts)) % 2, counts).reshape(mask.shape[::-1]).T
    assert np.array_equal(pixels.astype(bool), mask)


@given(mask=MASKS)
def test_every_form_of_a_mask_gives_the_same_run_lengths(mask):
    expected = encode_mask(mask)
    compressed = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    height, width = mask.shape
    text = {"size": [height, width], "counts": compressed["counts"].decode()}
    plain = {"size": [height, width], "counts": decode_counts(compressed["counts"]).tolist()}
    assert to_run_lengths(text, height, width) == expected
    assert to_run_lengths(plain, height, width) == expected
    if expected is None:
        assert not mask.any()
    else:
        assert np.array_equal(decode_mask(expected), mask)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("\x7f1", "character"),
        ("é", "character"),
        ("oo", "middle of a number"),
        ("o" * 13 + "0", "too long"),
        ([3, True, 4], "neither a string nor a list"),
        ([3, 4.5], "neither a string nor a list"),
        ([10**30], "too long"),
        (None, "neither a string nor a list"),
        ([10, 20, 3], "sum to 33 instead of 4x8 = 32"),
        ([40, -8], "negative"),
        ([], "sum to 0"),
        ("", "sum to 0"),
    ],
)
def test_damaged_run_lengths_are_named(counts, message):
    with pytest.raises(SegmentationError, match=message):
        to_run_lengths({"size": [4, 8], "counts": counts}, 4, 8)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[0, 0, 4]], "odd number"),
        ([[0, 0, 4, 4]], "2 corners"),
        ([[0, 0, 4, 4, "x", 1]], "not a number"),
        ([[0, 0, 4, 4, float("nan"), 1]], "infinite"),
        ([[0, 0, 4, 4, 1e300, 1]], "beyond any image"),
        ([3], "not a list"),
        ("mask", "is a str"),
        ({"size": [8, 4], "counts": [32]}, "8x4 but the frame is 4x8"),
        ({"size": [8], "counts": [32]}, "instead of"),
        ({"counts": [32]}, "instead of"),
    ],
)
def test_damaged_masks_are_named(segmentation, message):
    with pytest.raises(SegmentationError, match=message):
        to_run_lengths(segmentation, 4, 8)


def test_a_frame_beyond_run_lengths_is_named():
    with pytest.raises(SegmentationError, match="larger than run lengths can be"):
        to_run_lengths({"size": [1 << 20, 1 << 20], "counts": [1 << 40]}, 1 << 20, 1 << 20)


@pytest.mark.parametrize("segmentation", [None, [], {"size": [4, 8], "counts": [32]}, [[20, 20, 30, 20, 30, 30]]])
def test_a_mask_without_pixels_is_absent(segmentation):
    assert to_run_lengths(segmentation, 4, 8) is None
