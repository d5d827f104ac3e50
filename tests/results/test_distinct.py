import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.results.overlaps import distinct, shown
from genvis.results.types import FrameResult, FrameStamp, Instance

STAMP = FrameStamp(index=0, time=0.0, name="0")
HEIGHT, WIDTH = 60, 80


def instance(number, score, rows, columns):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[slice(*rows), slice(*columns)] = True
    return Instance(id=number, label="cat", label_id=0, score=score, mask=mask)


def frame_of(*instances):
    return FrameResult(stamp=STAMP, height=HEIGHT, width=WIDTH, instances=instances)


def test_of_several_identities_on_one_object_the_best_is_drawn():
    best, copy, other = (
        instance(2, 0.9, (10, 30), (10, 30)),
        instance(1, 0.5, (11, 31), (10, 30)),
        instance(3, 0.4, (10, 30), (50, 70)),
    )
    assert [one.id for one in distinct(frame_of(copy, best, other))] == [2, 3]
    assert [one.id for one in shown(frame_of(copy, best, other), "all")] == [1, 2, 3]


def test_objects_that_touch_share_no_pixel_but_both_stay():
    front, back = instance(1, 0.9, (10, 30), (10, 30)), instance(2, 0.5, (10, 30), (22, 50))
    found = distinct(frame_of(front, back))
    assert [one.id for one in found] == [1, 2]
    assert found[0].area == front.area
    assert found[1].area == back.area - 20 * 8
    assert not (found[0].mask & found[1].mask).any()


def test_specks_are_left_out():
    mask = np.zeros((720, 1280), bool)
    mask[:13, :14] = True  # 182 pixels of 921,600.
    speck = Instance(id=1, label="cat", label_id=0, score=0.9, mask=mask)
    frame = FrameResult(stamp=STAMP, height=720, width=1280, instances=(speck,))
    assert len(distinct(frame)) == 0
    # In a tiny frame one pixel is no speck.
    assert len(distinct(frame_of(instance(1, 0.9, (0, 1), (0, 1))))) == 1


def test_equal_scores_go_to_the_lower_id_whatever_the_order():
    one, two = instance(1, 0.5, (10, 30), (10, 30)), instance(2, 0.5, (10, 30), (10, 30))
    assert [found.id for found in distinct(frame_of(two, one))] == [1]


@pytest.mark.parametrize("count", [0, 1])
def test_few_instances_stay_as_they_are(count):
    instances = tuple(instance(number + 1, 0.5, (5, 20), (5, 20)) for number in range(count))
    found = distinct(frame_of(*instances))
    assert [one.id for one in found] == [one.id for one in instances]
    assert all(np.array_equal(left.mask, right.mask) for left, right in zip(found, instances, strict=True))


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(1, 8))
def test_no_pixel_has_two_owners_and_the_owner_is_the_label_map_s(seed, count):
    generator = np.random.default_rng(seed)
    instances = [
        instance(
            number + 1,
            float(generator.random()),
            sorted(generator.integers(0, 61, 2)),
            sorted(generator.integers(0, 81, 2)),
        )
        for number in range(count)
    ]
    frame = frame_of(*instances)
    found = distinct(frame)
    assert found.masks().sum(axis=0).max(initial=0) <= 1
    if len(found) == sum(one.area > 0 for one in instances):  # Nobody was left out.
        assert np.array_equal(found.label_map(), frame.label_map())


def columns_of(generator):
    return sorted(generator.integers(0, WIDTH + 1, 2))
