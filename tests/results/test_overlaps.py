from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.masks import encode_mask
from genvis.results.overlaps import ids_by_appearance, resolve_overlaps, resolve_video
from genvis.results.types import FrameResult, FrameStamp, Instance, Track, VideoResult

STAMP = FrameStamp(index=0, time=0.0, name="0")
HEIGHT, WIDTH = 60, 80


def instance(number, score, rows, columns):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[slice(*rows), slice(*columns)] = True
    return Instance(id=number, label="cat", label_id=0, score=score, mask=mask)


def frame_of(*instances):
    return FrameResult(stamp=STAMP, height=HEIGHT, width=WIDTH, instances=instances)


def test_of_several_tracks_on_one_object_the_best_stays():
    best, copy, other = (
        instance(2, 0.9, (10, 30), (10, 30)),
        instance(1, 0.5, (11, 31), (10, 30)),
        instance(3, 0.4, (10, 30), (50, 70)),
    )
    assert [one.id for one in resolve_overlaps(frame_of(copy, best, other))] == [2, 3]


def test_objects_that_touch_share_no_pixel_but_both_stay():
    front, back = instance(1, 0.9, (10, 30), (10, 30)), instance(2, 0.5, (10, 30), (22, 50))
    found = resolve_overlaps(frame_of(front, back))
    assert [one.id for one in found] == [1, 2]
    assert found[0].area == front.area
    assert found[1].area == back.area - 20 * 8
    assert not (found[0].mask & found[1].mask).any()


def test_equal_scores_go_to_the_lower_id_whatever_the_order():
    one, two = instance(1, 0.5, (10, 30), (10, 30)), instance(2, 0.5, (10, 30), (10, 30))
    assert [found.id for found in resolve_overlaps(frame_of(two, one))] == [1]


@pytest.mark.parametrize("count", [0, 1])
def test_few_instances_stay_as_they_are(count):
    instances = tuple(instance(number + 1, 0.5, (5, 20), (5, 20)) for number in range(count))
    found = resolve_overlaps(frame_of(*instances))
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
    found = resolve_overlaps(frame)
    assert found.masks().sum(axis=0).max(initial=0) <= 1
    if len(found) == sum(one.area > 0 for one in instances):  # None was dropped.
        assert np.array_equal(found.label_map(), frame.label_map())


def columns_of(generator, size=WIDTH + 1):
    return sorted(generator.integers(0, size, 2))


def video_of(*tracks):
    frames = tuple(FrameStamp(index=place, time=place / 10, name=str(place)) for place in range(3))
    return VideoResult(name="video", height=HEIGHT, width=WIDTH, frames=frames, tracks=tracks)


def track(number, score, *places):
    masks = (None if place is None else encode_mask(instance(number, score, *place).mask) for place in places)
    return Track(id=number, label="cat", label_id=0, category_id=1, score=score, masks=tuple(masks))


def test_a_track_that_is_a_duplicate_in_most_frames_is_dropped_whole():
    left, right = ((10, 30), (10, 30)), ((10, 30), (50, 70))
    video = video_of(
        track(1, 0.9, left, left, None), track(2, 0.5, left, left, right), track(3, 0.4, right, None, right)
    )
    resolved = resolve_video(video)
    assert [one.id for one in resolved.tracks] == [1, 3]
    assert resolved.track(3).masks == video.track(3).masks


def test_masks_of_a_resolved_video_are_disjoint_and_nothing_else_changes():
    video = video_of(
        track(1, 0.9, ((10, 30), (10, 30)), None, ((0, 5), (0, 5))),
        track(2, 0.5, ((10, 30), (22, 50)), ((10, 30), (22, 50)), None),
    )
    resolved = resolve_video(video)
    assert resolved.track(1).masks == video.track(1).masks
    assert resolved.track(2).masks[1:] == video.track(2).masks[1:]
    assert resolved.track(2).masks[0].area == 20 * 20
    assert resolve_video(resolved) == resolved


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(1, 6))
def test_masks_of_a_video_are_what_its_frames_alone_give(seed, count):
    """The video is resolved without decoding; frame by frame is the definition."""
    generator = np.random.default_rng(seed)

    def place():
        return (columns_of(generator, 61), columns_of(generator)) if generator.random() < 0.8 else None

    scores = generator.random(count).round(1).tolist()  # Some are equal.
    video = video_of(*(track(number, score, place(), place(), place()) for number, score in enumerate(scores, start=1)))
    frames = list(map(resolve_overlaps, video))
    left = {one.id: sum(one.id in [each.id for each in frame] for frame in frames) for one in video.tracks}
    stay = tuple(one for one in video.tracks if left[one.id] and left[one.id] >= one.frames_seen / 2)
    expected = [resolve_overlaps(frame) for frame in replace(video, tracks=stay)]
    resolved = resolve_video(video)
    assert {one.id for one in resolved.tracks} == {one.id for frame in expected for one in frame}
    for frame, found in zip(expected, resolved, strict=True):
        assert {one.id: one.mask.tobytes() for one in frame} == {one.id: one.mask.tobytes() for one in found}


def test_ids_follow_the_order_in_which_objects_appear():
    place = ((10, 30), (10, 30))
    tracks = (track(7, 0.9, None, place, place), track(9, 0.5, place, None, None), track(3, 0.7, place, None, None))
    assert ids_by_appearance(tracks) == {3: 1, 9: 2, 7: 3}
