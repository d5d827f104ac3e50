"""RLE and polygons: exact for every mask, one clear error for everything else, and bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from genvis.errors import InputError
from genvis.masks import (
    LARGEST_SIDE,
    LONGEST_OUTLINE,
    LONGEST_RLE,
    MOST_PIXELS,
    MaskError,
    MaskSizeError,
    MaskSumError,
    RLEMask,
    check_frame_size,
    decode_counts,
    draw_polygons,
    encode_mask,
    mask_areas,
    merge_masks,
    overlap_area,
    read_mask,
    read_masks,
    tight_box,
    without,
)

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))


def counts_of(mask: np.ndarray) -> list[int]:
    """Return the uncompressed counts of a mask, from the definition."""
    pixels = mask.ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(pixels, prepend=0))
    return np.diff([0, *changes.tolist(), len(pixels)]).tolist()


@settings(deadline=None)
@given(MASKS)
def test_masks_come_back_exactly(mask: np.ndarray) -> None:
    encoded = RLEMask.encode(mask)
    decoded = encoded.decode()
    assert decoded.dtype == np.bool_
    assert (decoded == mask).all()
    assert encoded.area == mask.sum() == mask_areas([encoded.coco()])[0]
    assert RLEMask.from_coco(encoded.to_coco()) == encoded
    assert (coco_mask.decode(encoded.to_coco()) == mask).all()
    assert encoded.counts == coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))["counts"]


@settings(deadline=None)
@given(MASKS, *[st.integers(0, 3)] * 4)
def test_a_part_of_a_frame_is_encoded_and_decoded_alone(
    inside: np.ndarray, left: int, top: int, right: int, bottom: int
) -> None:
    mask = np.pad(inside, ((top, bottom), (left, right)))
    height, width = mask.shape
    encoded = RLEMask.from_box(inside, left=left, top=top, height=height, width=width)
    assert encoded == RLEMask.encode(mask)
    x, y, columns, rows = encoded.box
    assert tight_box(mask) == (x, y, columns, rows)
    assert np.array_equal(encoded.inside(), mask[y : y + rows, x : x + columns])
    with pytest.raises(InputError, match="exceeds"):
        RLEMask.from_box(inside, left=left, top=bottom + top + 1, height=height, width=width)


@settings(deadline=None)
@given(MASKS)
def test_boxes_are_tight(mask: np.ndarray) -> None:
    left, top, width, height = RLEMask.encode(mask).box
    inside = np.zeros_like(mask)
    inside[top : top + height, left : left + width] = True
    assert not (mask & ~inside).any()
    if mask.any():
        assert mask[top].any()
        assert mask[top + height - 1].any()
        assert mask[:, left].any()
        assert mask[:, left + width - 1].any()


@settings(deadline=None)
@given(st.lists(MASKS, min_size=1, max_size=4))
def test_counts_of_several_masks_are_decoded_exactly(masks: list[np.ndarray]) -> None:
    counts, starts = decode_counts([RLEMask.encode(mask).counts for mask in masks])
    for mask, start, stop in zip(masks, starts[:-1], starts[1:], strict=True):
        assert counts[start:stop].tolist() == counts_of(mask)


@settings(deadline=None)
@given(MASKS)
def test_every_form_of_a_mask_is_read_the_same(mask: np.ndarray) -> None:
    height, width = mask.shape
    expected = encode_mask(mask)
    compressed = RLEMask.encode(mask).counts
    numbers = counts_of(mask)
    forms = [compressed, compressed.decode(), numbers, [float(number) for number in numbers]]
    segmentations = [{"size": [height, width], "counts": form} for form in forms]
    segmentations.append({"size": (float(height), float(width)), "counts": compressed})
    assert read_masks(segmentations, height=height, width=width) == [expected] * 5
    assert all(RLEMask.from_coco(form).decode().tolist() == mask.tolist() for form in segmentations)


@settings(deadline=None)
@given(MASKS, st.integers(0, 1000), st.integers(0, 1000), st.booleans())
def test_runs_of_length_0_are_taken_out(mask: np.ndarray, place: int, share: int, compress: bool) -> None:
    """They made pycocotools 2.0.11 give wrong boxes and overlaps."""
    numbers = counts_of(mask)
    place %= len(numbers)
    part = share % (numbers[place] + 1)
    split = [*numbers[:place], part, 0, numbers[place] - part, *numbers[place + 1 :]]
    height, width = mask.shape
    segmentation = {"size": [height, width], "counts": split}
    if compress:
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    assert read_mask(segmentation, height=height, width=width) == encode_mask(mask)


@settings(deadline=None)
@given(MASKS, MASKS)
def test_merging_is_the_union(first: np.ndarray, second: np.ndarray) -> None:
    second = np.resize(second, first.shape)
    merged = merge_masks([RLEMask.encode(first), RLEMask.encode(second)])
    assert (merged.decode() == (first | second)).all()


@settings(deadline=None)
@given(*[arrays.arrays(np.bool_, (13, 9))] * 2)
def test_what_masks_share_and_what_is_left_is_exact(first: np.ndarray, second: np.ndarray) -> None:
    one, other = RLEMask.encode(first), RLEMask.encode(second)
    assert overlap_area(one, other) == (first & second).sum()
    assert without(one, other) == RLEMask.encode(first & ~second)


def test_masks_of_many_blocks_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genvis.masks._BLOCK", 50)
    random = np.random.default_rng(0)
    masks = [random.random((9, 11)) < share for share in np.linspace(0, 1, 30)]
    segmentations = [RLEMask.encode(mask).to_coco() if index % 7 else None for index, mask in enumerate(masks)]
    expected = [encode_mask(mask) if index % 7 else None for index, mask in enumerate(masks)]
    assert read_masks(segmentations, height=9, width=11) == expected


def test_numbers_other_than_0_are_foreground() -> None:
    mask = np.array([[0, 2], [0.5, -1]])
    assert (RLEMask.encode(mask).decode() == (mask != 0)).all()


def test_a_large_mask_is_small() -> None:
    rows, columns = np.mgrid[:720, :1280]
    mask = (rows - 360) ** 2 + (columns - 640) ** 2 < 300**2
    assert len(RLEMask.encode(mask).counts) < 2000


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5)])
def test_what_is_no_mask_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must be"):
        RLEMask.encode(np.zeros(shape))


@pytest.mark.parametrize("segmentation", [None, [], {"size": [4, 8], "counts": [32]}, [[20, 20, 30, 20, 30, 30]]])
def test_a_mask_without_pixels_is_absent(segmentation: object) -> None:
    assert read_mask(segmentation, height=4, width=8) is None


def test_polygons_cover_what_cocos_rule_says() -> None:
    corners = [4.0, 2.0, 20.5, 3.0, 15.0, 18.2]
    expected = coco_mask.decode(coco_mask.frPyObjects([corners], 24, 30))[..., 0]
    drawn = draw_polygons([np.array(corners).reshape(-1, 2)], height=24, width=30)
    assert drawn is not None
    assert (drawn.decode() == expected).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("\x7f1", "character"),
        ("é", "character"),
        ("\udc80", "character"),
        ("oo", "middle of a number"),
        ("o" * 8 + "0", "too long"),
        ([3, True, 28], "neither a text nor a list"),
        ([3, 4.5, 24.5], "neither a text nor a list"),
        ([3, float("nan")], "neither a text nor a list"),
        ([3, float("inf")], "too long"),
        ([10**30], "too long"),
        ([-(10**30)], "too long"),
        (None, "neither a text nor a list"),
        ([10, 20, 3], "covers 33 pixels instead of 4x8 = 32"),
        ([40, -8], "negative"),
        ([], "has 0 counts"),
        ("", "has no counts"),
        ([2**63 - 1, 2**63 - 1, 34], "too long"),  # sums to 32 where it overflows
    ],
)
def test_damaged_rles_are_named(counts: object, message: str) -> None:
    segmentation = {"size": [4, 8], "counts": counts}
    with pytest.raises(MaskError, match=message):
        read_mask(segmentation, height=4, width=8)
    with pytest.raises(InputError, match="A mask cannot be read: "):
        RLEMask.from_coco(segmentation)
    good = RLEMask.encode(np.eye(4, 8, dtype=bool)).to_coco()
    with pytest.raises(MaskError) as caught:
        read_masks([good, None, segmentation, good], height=4, width=8)
    assert caught.value.position == 2


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[0, 0, 4]], "odd number"),
        ([[0, 0, 4, 4]], "2 corners"),
        ([[0, 0, 4, 4, "x", 1]], "not a number"),
        ([[0, 0, 4, 4, True, 1]], "not a number"),
        ([[0, 0, 4, 4, float("nan"), 1]], "infinite"),
        ([[0, 0, 4, 4, 1e300, 1]], "beyond any image"),
        ([[0, 0, 4, 4, 10**400, 1]], "beyond any image"),
        ([3], "not a list"),
        ("mask", "is a str"),
        ({"size": [8, 4], "counts": [32]}, "8x4 but the frame is 4x8"),
        ({"size": [8], "counts": [32]}, "instead of"),
        ({"size": "48", "counts": [32]}, "instead of"),
        ({"size": [4, True], "counts": [32]}, "instead of"),
        ({"size": [4, 8.5], "counts": [32]}, "instead of"),
        ({"counts": [32]}, "instead of"),
    ],
)
def test_damaged_masks_are_named(segmentation: object, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        read_mask(segmentation, height=4, width=8)


def test_sizes_and_sums_have_errors_of_their_own() -> None:
    with pytest.raises(MaskSizeError):
        read_mask({"size": [8, 4], "counts": [32]}, height=4, width=8)
    with pytest.raises(MaskSumError):
        read_mask({"size": [4, 8], "counts": [33]}, height=4, width=8)


@pytest.mark.parametrize(
    "size", [(0, 4), (4, -1), (1 << 32, 4), (LARGEST_SIDE + 1, 1), (1 << 14, (1 << 13) + 1), (10**5000, 1)]
)
def test_sizes_beyond_the_bound_are_refused_before_anything_is_allocated(size: tuple[int, int]) -> None:
    height, width = size
    for segmentation in (None, [[1, 1, 9, 1, 9, 9]], {"size": [4, 4], "counts": [16]}):
        with pytest.raises(MaskError, match="no possible size"):
            read_mask(segmentation, height=height, width=width)


def test_the_largest_frames_are_read() -> None:
    check_frame_size(8640, 15360)
    height, width = 1 << 13, 1 << 14
    assert height * width == MOST_PIXELS
    mask = read_mask(
        {"size": [height, width], "counts": [height, 1, height * width - height - 1]}, height=height, width=width
    )
    assert mask is not None
    assert (mask.area, mask.box) == (1, (1, 0, 1, 1))


def test_rles_and_outlines_have_a_bound() -> None:
    with pytest.raises(MaskError, match="more than 16,777,216 characters"):
        read_mask({"size": [4, 4], "counts": "0" * (LONGEST_RLE + 1)}, height=4, width=4)
    with pytest.raises(MaskError, match="counts instead of"):
        read_mask({"size": [4, 4], "counts": [0] * (LONGEST_RLE + 1)}, height=4, width=4)
    zigzag = [[0, 0], [LARGEST_SIDE, 1]] * (LONGEST_OUTLINE // LARGEST_SIDE + 1)
    with pytest.raises(MaskError, match="outline of"):
        draw_polygons([np.array(zigzag, float)], height=4, width=4)
    with pytest.raises(MaskError, match="infinite"):
        draw_polygons([np.array([[0, 0], [np.nan, 1], [1, 1]])], height=4, width=4)


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(1, 30), st.integers(1, 30))
def test_random_bytes_are_a_mask_of_that_size_or_an_error(counts: bytes, height: int, width: int) -> None:
    try:
        mask = read_mask({"size": [height, width], "counts": counts}, height=height, width=width)
    except MaskError:
        return
    assert mask is None or mask.decode().shape == (height, width)
    assert mask is None or mask.area == mask.decode().sum() > 0


@settings(deadline=None, max_examples=300)
@given(st.text("0123456789LMNO`abcn", max_size=8), st.integers(1, 5), st.integers(1, 5))
def test_plausible_texts_are_a_mask_of_that_size_or_an_error(counts: str, height: int, width: int) -> None:
    try:
        mask = read_mask({"size": [height, width], "counts": counts}, height=height, width=width)
    except MaskError:
        return
    assert mask is None or (mask.decode().shape == (height, width) and mask.area == mask.decode().sum() > 0)
