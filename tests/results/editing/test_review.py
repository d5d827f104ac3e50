import numpy as np
import pytest
from hypothesis import given, settings

from genvis.masks import RLEMask, encode_mask
from genvis.results.editing.appearance import TrackAppearance, unit
from genvis.results.editing.merge_suggestions import suggest_merges
from genvis.results.editing.review import doubtful_places
from genvis.results.types import FrameStamp, Track, VideoResult
from tests.results.inference_results_helpers import RESULTS

HEIGHT, WIDTH, FRAMES = 100, 200, 40


def box(left: float, top: float = 40, *, side: int = 20) -> RLEMask:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[int(top) : int(top) + side, int(left) : int(left) + side] = True
    found = encode_mask(mask)
    assert found is not None
    return found


def track(number: int, masks: dict[int, RLEMask], *, label: str = "cat", score: float = 0.9) -> Track:
    return Track(number, label, len(label), len(label), score, tuple(masks.get(frame) for frame in range(FRAMES)))


def video(*tracks: Track) -> VideoResult:
    stamps = tuple(FrameStamp(frame, frame / 25, f"{frame:05d}") for frame in range(FRAMES))
    return VideoResult("made", HEIGHT, WIDTH, stamps, tracks)


def swimming(*, start: int = 0, stop: int = FRAMES, left: float = 10, top: float = 40, speed: float = 2) -> dict:
    return {frame: box(left + speed * (frame - start), top) for frame in range(start, stop)}


def look(vector: list[float], *starts: int) -> TrackAppearance:
    first = np.array(starts or (0,), np.int32)
    vectors = unit(np.tile(np.array(vector, np.float32), (len(first), 1)))
    return TrackAppearance(first, first + 7, np.full(len(first), 8, np.int32), vectors)


def test_calm_tracks_are_not_doubtful():
    assert doubtful_places(video(track(1, swimming()), track(2, swimming(top=5, speed=-0.2, left=60)))) == ()
    assert doubtful_places(video()) == ()


def test_jumps_of_position_are_found_at_their_frame():
    masks = swimming(speed=1) | {frame: box(120 + frame, 60) for frame in range(20, FRAMES)}
    (doubt,) = doubtful_places(video(track(4, masks)))
    assert (doubt.kind, doubt.track_ids, doubt.first, doubt.last) == ("position", (4,), 19, 20)
    assert doubt.severity > 0.8
    assert doubt.reason.endswith("of its size from one frame to the next")


def test_fast_motion_and_the_way_of_an_absence_are_no_jumps():
    masks = {frame: box(5 + 9 * frame) for frame in range(15)}
    assert doubtful_places(video(track(1, masks))) == ()
    away = swimming(stop=10) | {frame: box(10 + 2 * frame) for frame in range(25, FRAMES)}
    assert doubtful_places(video(track(1, away))) == ()


def test_jumps_of_the_area_short_lives_and_low_scores():
    masks = swimming(speed=0) | {frame: box(10, 40, side=50) for frame in range(30, FRAMES)}
    kinds = {doubt.kind: doubt for doubt in doubtful_places(video(track(1, masks)))}
    assert set(kinds) & {"area", "position"}
    grown = swimming(speed=0, left=80) | {frame: box(72, 32, side=36) for frame in range(30, FRAMES)}
    (doubt,) = doubtful_places(video(track(1, grown)))
    assert (doubt.kind, doubt.first, doubt.last) == ("area", 29, 30)
    short, low = track(1, swimming(stop=3)), track(2, swimming(top=5), score=0.2)
    found = doubtful_places(video(short, low))
    assert [(doubt.kind, doubt.track_ids) for doubt in found] == [("short", (1,)), ("score", (2,))]
    assert found[0].reason == "is visible in 3 frames only (0.12 s)"


@pytest.mark.parametrize(("label", "kind"), [("cat", "duplicate"), ("dog", "class")])
def test_two_tracks_at_one_place(label: str, kind: str):
    inner = {frame: box(12 + 2 * frame, 42, side=14) for frame in range(10, 20)}
    (doubt,) = doubtful_places(video(track(1, swimming()), track(2, inner, label=label)))
    assert (doubt.kind, doubt.track_ids, doubt.first, doubt.last) == (kind, (1, 2), 10, 19)


def test_jumps_of_look_need_looks():
    one = track(1, swimming())
    changing = TrackAppearance(
        np.arange(0, 40, 8, dtype=np.int32),
        np.arange(7, 40, 8, dtype=np.int32),
        np.full(5, 8, np.int32),
        np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1]],
    )
    (doubt,) = doubtful_places(video(one), {1: changing})
    assert (doubt.kind, doubt.first, doubt.last) == ("look", 16, 31)
    assert doubtful_places(video(one)) == ()


@settings(max_examples=20, deadline=None)
@given(RESULTS)
def test_any_result_can_be_reviewed(result: VideoResult):
    doubts = doubtful_places(result)
    assert [doubt.severity for doubt in doubts] == sorted((doubt.severity for doubt in doubts), reverse=True)
    for doubt in doubts:
        assert 0 <= doubt.severity <= 1
        assert 0 <= doubt.first <= doubt.last < len(result)
        for number in doubt.track_ids:
            span = result.track(number).span
            assert span is not None
            assert span[0] <= doubt.first
            assert doubt.last <= span[1]
    ends = {one.id: one.span for one in result.tracks}
    suggestions = suggest_merges(result)
    for one in suggestions:
        assert (ends[one.first_id][1], ends[one.second_id][0]) == (one.last, one.first)
        assert one.last < one.first
    assert len({one.first_id for one in suggestions}) == len(suggestions)
    assert len({one.second_id for one in suggestions}) == len(suggestions)


def broken() -> VideoResult:
    """Two cats that hide and come back, each elsewhere, as other tracks."""
    return video(
        track(1, swimming(stop=15)),
        track(2, swimming(stop=15, top=5, speed=1)),
        track(3, swimming(start=25, top=10, left=60)),
        track(4, swimming(start=25, top=70, left=40, speed=1)),
    )


def test_what_looks_the_same_after_an_absence_is_one_object():
    brown, grey = [1, 0, 0.2], [0, 1, 0.2]
    looks = {1: look(brown), 2: look(grey), 3: look(grey, 24), 4: look(brown, 24)}
    found = suggest_merges(broken(), looks)
    assert {(one.first_id, one.second_id) for one in found} == {(1, 4), (2, 3)}
    assert all(one.similarity is not None and one.similarity > 0.9 for one in found)
    assert found[0].reason.startswith("they look alike (")


def test_without_looks_the_place_decides_and_the_reason_says_so():
    result = video(
        track(1, swimming(stop=15)), track(2, swimming(start=18, left=44)), track(3, swimming(start=18, top=5))
    )
    (one,) = suggest_merges(result)
    assert (one.first_id, one.second_id, one.similarity) == (1, 2, None)
    assert one.reason.startswith("their looks are not known, 4 frames and")


def test_an_hour_is_reviewed_without_decoding_a_mask(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("genvis.masks.RLEMask.decode", None)
    monkeypatch.setattr("pycocotools.mask.decode", None)
    frames = 9_000
    masks = [box(place % 150, side=10) for place in range(300)]
    life = tuple(masks[frame % 150] for frame in range(frames))
    stamps = tuple(FrameStamp(frame, frame / 25, str(frame)) for frame in range(frames))
    tracks = (Track(1, "cat", 0, 1, 0.9, life), Track(2, "cat", 0, 1, 0.9, (None,) * 60 + life[60:]))
    found = doubtful_places(VideoResult("long", HEIGHT, WIDTH, stamps, tracks))
    assert {doubt.kind for doubt in found} == {"position", "duplicate"}
