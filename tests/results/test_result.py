import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from genvis.errors import InputError
from genvis.files import write_json
from genvis.masks import encode_mask
from genvis.results.recorder import ResultRecorder
from genvis.results.types import FrameResult, FrameStamp, Instance, Track, VideoResult
from tests.results.inference_results_helpers import RESULTS, random_result

STAMP = FrameStamp(index=3, time=0.5, name="00003")


def instance(number: int, mask: np.ndarray, *, score: float = 0.5) -> Instance:
    return Instance(id=number, label="cat", label_id=2, score=score, mask=mask)


@settings(max_examples=50, deadline=None)
@given(RESULTS)
def test_json_gives_back_an_equal_result(result: VideoResult) -> None:
    assert VideoResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@settings(max_examples=50, deadline=None)
@given(RESULTS)
def test_frames_and_tracks_tell_the_same(result: VideoResult) -> None:
    frames = list(result)
    assert len(frames) == len(result) == len(result.frames)
    for position, frame in enumerate(frames):
        assert frame.stamp == result.frames[position]
        assert [one.score for one in frame] == sorted((one.score for one in frame), reverse=True)
        seen = {one.id: one for one in frame}
        for track in result.tracks:
            assert track.visible[position] == (track.id in seen)
            if track.id in seen:
                one = seen[track.id]
                assert (one.label, one.label_id, one.score) == (track.label, track.label_id, track.score)
                assert one.area == track.areas[position]
                assert one.box == tuple(track.boxes[position])
            else:
                assert track.areas[position] == 0
                assert not track.boxes[position].any()
    for track in result.tracks:
        assert track.frames_seen == track.visible.sum()
        positions = np.flatnonzero(track.visible)
        assert track.span == ((positions[0], positions[-1]) if len(positions) else None)


@settings(max_examples=50, deadline=None)
@given(RESULTS)
def test_label_maps_give_each_pixel_to_the_best_score(result: VideoResult) -> None:
    for position, frame in enumerate(result):
        expected = np.zeros((result.height, result.width), int)
        best = np.full((result.height, result.width), -1.0)
        for one in frame:
            wins = one.mask & (one.score > best)
            expected[wins], best[wins] = one.id, one.score
        assert (result.label_map(position) == expected).all()


@settings(max_examples=50, deadline=None)
@given(RESULTS)
def test_a_recorded_session_is_the_same_result(result: VideoResult) -> None:
    half = len(result) // 2
    categories = {track.label_id: track.category_id for track in result.tracks}
    recorder = ResultRecorder(name=result.name, category_ids=categories, categories_name=result.categories_name)
    for position, frame in enumerate(result):
        if position == half and position:
            loaded = VideoResult.from_json(recorder.result().to_json())
            recorder = ResultRecorder(
                name=result.name, category_ids=categories, categories_name=result.categories_name, resume=loaded
            )
        recorder.add(frame)
    seen = tuple(track for track in result.tracks if track.frames_seen)
    assert recorder.objects == len(seen)
    assert len(recorder) == len(result)
    assert recorder.result(problem=result.problem) == replace(result, tracks=seen)


def test_the_recorder_keeps_the_latest_label_and_score() -> None:
    recorder = ResultRecorder(name="x")
    mask = np.ones((4, 6), bool)
    for index, (label, score) in enumerate([("cat", 0.3), ("dog", 0.8)]):
        one = Instance(id=5, label=label, label_id=index, score=score, mask=mask)
        recorder.add(FrameResult(stamp=FrameStamp(index, index / 10, str(index)), height=4, width=6, instances=(one,)))
    track = recorder.result().track(5)
    assert (track.label, track.label_id, track.category_id, track.score, track.frames_seen) == ("dog", 1, 1, 0.8, 2)


def test_the_recorder_refuses_what_cannot_follow() -> None:
    recorder = ResultRecorder(name="x")
    with pytest.raises(InputError, match="has no frame"):
        recorder.result()
    recorder.add(FrameResult(stamp=STAMP, height=4, width=6))
    with pytest.raises(InputError, match="cannot follow"):
        recorder.add(FrameResult(stamp=STAMP, height=4, width=6))
    with pytest.raises(InputError, match="cannot join"):
        recorder.add(FrameResult(stamp=replace(STAMP, index=4), height=5, width=6))


def test_a_frame_is_a_sequence_of_instances() -> None:
    masks = np.zeros((2, 10, 12), bool)
    masks[0, 2:5, 3:9] = True
    frame = FrameResult(stamp=STAMP, height=10, width=12, instances=(instance(1, masks[0]), instance(2, masks[1])))
    assert (len(frame), frame[1].id, [one.id for one in frame]) == (2, 2, [1, 2])
    assert (frame.masks() == masks).all()
    assert (frame[0].box, frame[0].area) == ((3, 2, 9, 5), 18)
    assert (frame[1].box, frame[1].area) == ((0, 0, 0, 0), 0)
    assert FrameResult(stamp=STAMP, height=10, width=12).masks().shape == (0, 10, 12)
    with pytest.raises(InputError, match="mask of object 1"):
        FrameResult(stamp=STAMP, height=9, width=12, instances=(instance(1, masks[0]),))


def test_frames_draw_themselves_at_any_size() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    frame = FrameResult(stamp=STAMP, height=60, width=80, instances=(instance(1, mask),))
    for scale in (1, 3):
        image = np.zeros((60 * scale, 80 * scale, 3), np.uint8)
        drawn = frame.draw(image)
        assert drawn.shape == image.shape
        assert drawn[30 * scale, 40 * scale].any()
        assert not image.any()


def test_many_frames_take_little_memory() -> None:
    rows, columns = np.mgrid[:720, :1280]
    masks = [(rows - 360) ** 2 + (columns - 640 - shift) ** 2 < 200**2 for shift in range(4)]
    track = Track(
        id=1, label="a", label_id=0, category_id=1, score=1.0, masks=tuple(encode_mask(mask) for mask in masks * 5)
    )
    per_mask = sum(len(mask.counts) for mask in track.masks if mask is not None) / 20
    assert per_mask < 1500, "2,000 frames with 10 objects stay below 30 MB"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 25}, "has masks of"),
        ({"frames": (STAMP,)}, "masks for 1 frames"),
        ({"tracks": (replace(random_result(1).tracks[0], id=0),)}, "different ids from 1"),
        ({"tracks": random_result(1).tracks[:1] * 2}, "different ids from 1"),
    ],
)
def test_what_does_not_fit_together_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(random_result(1), **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has no track 99"):
        random_result(1).track(99)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "instead of a saved result"),
        ('{"format": "other"}', "no saved result"),
        ('{"format": "genvis-video-result", "version": 99}', "version 99"),
        ('{"format": "genvis-video-result", "version": 1}', "lacks 'frames'"),
    ],
)
def test_files_that_are_no_results_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        VideoResult.load(tmp_path)
    assert "result.json" in str(caught.value)
    with pytest.raises(InputError, match="There is no result"):
        VideoResult.load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document["tracks"][0].pop("score"),
        lambda document: document["tracks"][0].update(score="high"),
        lambda document: document["tracks"][0]["segmentations"].pop(),
        lambda document: document["frames"]["time"].pop(),
        lambda document: document["tracks"][0].update(segmentations=[{"size": [24, 32], "counts": "zzz"}] * 5),
        lambda document: document.update(tracks=5),
    ],
)
def test_damaged_results_are_named(tmp_path: Path, damage: object) -> None:
    document = random_result(1).to_json()
    damage(document)  # type: ignore[operator]
    write_json(tmp_path / "result.json", document)
    with pytest.raises(InputError, match=r"result\.json"):
        VideoResult.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(height=10**12), "no possible size"),
        (lambda d: d.update(width=1e400), "damaged"),
        (lambda d: d["frames"].update(index=[1e400] * 5), "damaged"),
        (lambda d: d["tracks"][0].update(id=1e400), "damaged"),
        (lambda d: d["tracks"][0].update(id=2**31), "different ids"),
        (lambda d: d["tracks"][0].update(score=float("nan")), "a score of nan"),
        (lambda d: d["frames"]["index"].__setitem__(0, -1), "cannot follow"),
        (lambda d: d["frames"]["index"].reverse(), "cannot follow"),
        (lambda d: d["frames"]["time"].__setitem__(0, float("nan")), "cannot follow"),
        (lambda d: d.update(width=-3, tracks=[]), "no possible size"),
        (lambda d: d["tracks"][0]["segmentations"].__setitem__(0, {"size": [24, 32], "counts": "4<1"}), "RLE"),
        (
            lambda d: d["tracks"][0]["segmentations"].__setitem__(0, {"size": [1 << 40, 4], "counts": [1]}),
            "no possible",
        ),
    ],
)
def test_hostile_results_are_one_sentence(tmp_path, change, said):
    document = json.loads(json.dumps(random_result(3).to_json()))
    change(document)
    (tmp_path / "result.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=said):
        VideoResult.load(tmp_path)
    (tmp_path / "result.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        VideoResult.load(tmp_path)
