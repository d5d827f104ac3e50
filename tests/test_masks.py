import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from genvis.errors import InputError
from genvis.masks import RunLengthMask

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))


@settings(deadline=None)
@given(MASKS)
def test_masks_come_back_exactly(mask: np.ndarray) -> None:
    encoded = RunLengthMask.encode(mask)
    decoded = encoded.decode()
    assert decoded.dtype == np.bool_
    assert (decoded == mask).all()
    assert encoded.area == mask.sum()
    assert RunLengthMask.from_coco(encoded.to_coco()) == encoded
    assert (coco_mask.decode(encoded.to_coco()) == mask).all()


@settings(deadline=None)
@given(MASKS)
def test_boxes_are_tight(mask: np.ndarray) -> None:
    left, top, width, height = RunLengthMask.encode(mask).box
    inside = np.zeros_like(mask)
    inside[top : top + height, left : left + width] = True
    assert not (mask & ~inside).any()
    if mask.any():
        assert mask[top].any()
        assert mask[top + height - 1].any()
        assert mask[:, left].any()
        assert mask[:, left + width - 1].any()


@settings(deadline=None)
@given(MASKS)
def test_uncompressed_run_lengths_are_read(mask: np.ndarray) -> None:
    pixels = mask.ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(pixels, prepend=0))
    counts = np.diff([0, *changes.tolist(), len(pixels)]).tolist()
    segmentation = {"size": list(mask.shape), "counts": counts}
    assert (RunLengthMask.from_coco(segmentation).decode() == mask).all()


def test_numbers_other_than_0_are_foreground() -> None:
    mask = np.array([[0, 2], [0.5, -1]])
    assert (RunLengthMask.encode(mask).decode() == (mask != 0)).all()


def test_a_large_mask_is_small() -> None:
    rows, columns = np.mgrid[:720, :1280]
    mask = (rows - 360) ** 2 + (columns - 640) ** 2 < 300**2
    assert len(RunLengthMask.encode(mask).counts) < 2000


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5)])
def test_what_is_no_mask_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must be"):
        RunLengthMask.encode(np.zeros(shape))


GOOD = RunLengthMask.encode(np.eye(50, dtype=bool)).to_coco()


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        {"size": [50, 50]},
        {"size": [50], "counts": ""},
        {"size": ["a", 50], "counts": ""},
        {"size": [50, 50], "counts": ""},
        {"size": [50, 51], "counts": GOOD["counts"]},
        {"size": [-50, -50], "counts": GOOD["counts"]},
        {"size": [50, 50], "counts": GOOD["counts"][:-2]},
        {"size": [50, 50], "counts": GOOD["counts"] + "11"},
        {"size": [50, 50], "counts": "not run lengths"},
        {"size": [50, 50], "counts": "o" * 30},
        {"size": [50, 50], "counts": "é"},
        {"size": [50, 50], "counts": 2500},
        {"size": [50, 50], "counts": [100, 200]},
        {"size": [50, 50], "counts": [2600, -100]},
        {"size": [50, 50], "counts": ["2500"]},
    ],
)
def test_damaged_run_lengths_never_reach_the_c_library(segmentation: dict[str, object]) -> None:
    with pytest.raises(InputError):
        RunLengthMask.from_coco(segmentation)


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(1, 30), st.integers(1, 30))
def test_random_bytes_are_a_mask_of_that_size_or_an_error(counts: bytes, height: int, width: int) -> None:
    try:
        mask = RunLengthMask.from_coco({"size": [height, width], "counts": counts})
    except InputError:
        return
    assert mask.decode().shape == (height, width)
    assert mask.area == mask.decode().sum()
