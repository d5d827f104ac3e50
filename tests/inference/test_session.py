import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis import InputError, VideoSegmenter
from genvis.inference.mask_geometry import mask_geometry
from genvis.inference.scoring import MEAN_LOGITS, TrackScores
from genvis.inference.session import SCORE_WINDOW
from genvis.video import open_source


def seen(results):
    return [[(one.id, one.label_id, one.score, one.mask.tobytes()) for one in result] for result in results]


@pytest.fixture
def segmenter(tiny_model):
    return VideoSegmenter(tiny_model, resolution=64)


def open_all(segmenter, **options):
    return segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep", **options)


def test_a_frame_s_answer_does_not_depend_on_later_frames(segmenter, golden_frames):
    whole = list(segmenter.segment_stream(golden_frames, session=open_all(segmenter)))
    changed = golden_frames.copy()
    changed[5:] = 255 - changed[5:]
    other = list(segmenter.segment_stream(changed, session=open_all(segmenter)))
    assert seen(whole)[:5] == seen(other)[:5]
    assert seen(whole)[5:] != seen(other)[5:]


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(1, 7))
def test_a_saved_session_continues_exactly(cut, tiny_models, golden_frames, tmp_path_factory):
    segmenter = VideoSegmenter(tiny_models["r50"], resolution=64)
    file = tmp_path_factory.mktemp("session") / "camera.session"
    whole = open_all(segmenter)
    expected = [whole.step(frame) for frame in golden_frames]
    first = open_all(segmenter)
    before = [first.step(frame) for frame in golden_frames[:cut]]
    first.save(file)
    fresh = VideoSegmenter(tiny_models["r50"], resolution=64)
    second = open_all(fresh, resume=file)
    after = [second.step(frame) for frame in golden_frames[cut:]]
    assert seen(before + after) == seen(expected)
    assert [result.stamp for result in before + after] == [result.stamp for result in expected]
    assert second.frames_seen == 8
    assert second.objects == whole.objects


def test_steps_of_one_equal_a_stream_of_clips_of_one(segmenter, golden_frames):
    session = open_all(segmenter)
    stepped = [session.step(frame) for frame in golden_frames]
    assert seen(stepped) == seen(segmenter.segment_stream(golden_frames, session=open_all(segmenter)))


def test_thresholds_hide_what_is_weak_or_absent(segmenter, golden_frames):
    everything = list(segmenter.segment_stream(golden_frames, session=open_all(segmenter)))
    scores = sorted(one.score for one in everything[-1])
    strict = segmenter.open_session(score_threshold=scores[-1], presence_threshold=0, overlaps="keep")
    assert [len(result) for result in segmenter.segment_stream(golden_frames, session=strict)][-1] == 1
    never = segmenter.open_session(score_threshold=0, presence_threshold=1)
    assert all(len(result) == 0 for result in segmenter.segment_stream(golden_frames, session=never))


def test_whole_video_and_session_agree_on_masks(tiny_model, golden_frames):
    segmenter = VideoSegmenter(tiny_model, resolution=64)
    live = list(segmenter.segment_stream(golden_frames, session=open_all(segmenter)))
    whole = segmenter.segment(golden_frames, detections=60, overlaps="keep", one_label_each=True)
    for position in range(8):
        left = {one.mask.tobytes() for one in live[position]}
        right = {one.mask.tobytes() for one in whole.frame(position)}
        assert left == right


def test_frames_of_a_source_keep_their_stamps(segmenter, golden_frames):
    with open_source(golden_frames, start=2, stride=3) as source:
        results = list(segmenter.segment_stream(source, session=open_all(segmenter)))
    assert [result.stamp.index for result in results] == [2, 5]


def test_wrong_frames_and_files_are_answered(segmenter, tiny_models, golden_frames, tmp_path):
    session = open_all(segmenter)
    with pytest.raises(InputError, match="uint8 RGB"):
        session.step(golden_frames[0].astype(np.float32))
    with pytest.raises(InputError, match="one size"):
        session.step_clip([golden_frames[0], golden_frames[0][:50]])
    with pytest.raises(InputError, match="at least one frame"):
        session.step_clip([])
    with pytest.raises(InputError, match="no saved s"):
        open_all(segmenter, resume=tmp_path / "absent")
    (tmp_path / "noise").write_bytes(b"not a session")
    with pytest.raises(InputError, match="no saved s"):
        open_all(segmenter, resume=tmp_path / "noise")
    session.step(golden_frames[0])
    session.save(tmp_path / "r50.session")
    with pytest.raises(InputError, match=r"belongs to another session \(weights was"):
        open_all(VideoSegmenter(tiny_models["swin"]), resume=tmp_path / "r50.session")
    with pytest.raises(InputError, match="no sessions"):
        VideoSegmenter(tiny_models["r50"].as_vita()).open_session()


def test_matching_sessions_continue_too(tiny_models, golden_frames, tmp_path):
    segmenter = VideoSegmenter(tiny_models["r50"].as_minvis(), tracker="queries", resolution=64)
    whole = open_all(segmenter)
    expected = [whole.step(frame) for frame in golden_frames]
    first = open_all(segmenter)
    for frame in golden_frames[:4]:
        first.step(frame)
    first.save(tmp_path / "s")
    second = open_all(segmenter, resume=tmp_path / "s")
    assert seen(second.step(frame) for frame in golden_frames[4:]) == seen(expected[4:])


@pytest.mark.parametrize("size", [(8, 8), (1, 200), (4320, 7680)])
def test_tiny_thin_and_huge_frames(size, tiny_model):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = VideoSegmenter(tiny_model, resolution=32, max_size=256).segment([frame], detections=2)
    assert (result.height, result.width) == size
    assert sum(track.frames_seen for track in result.tracks) > 0


def test_scores_of_an_endless_stream_follow_what_a_query_holds_now():
    scores = TrackScores(MEAN_LOGITS, classes=2, window=SCORE_WINDOW)
    ids, ones = torch.tensor([7]), torch.ones(1)
    for _ in range(10_000):
        scores.add(ids, torch.tensor([[-2.0, -2.0, 4.0]]), ones)
    assert scores.best()[0].item() < 0.01
    for _ in range(SCORE_WINDOW):
        scores.add(ids, torch.tensor([[4.0, -2.0, -2.0]]), ones)
    score, label = scores.best()
    assert (score.item() > 0.5, label.item()) == (True, 0)


def test_sessions_of_different_frame_sizes_do_not_push_out_each_others_geometry(tiny_model, golden_frames):
    segmenter = VideoSegmenter(tiny_model, resolution=64)
    sessions = [segmenter.open_session(score_threshold=0) for _ in range(2)]
    mask_geometry.cache_clear()
    for frame in golden_frames[:3]:
        for session, image in zip(sessions, (frame, frame[:72, :128]), strict=True):
            session.step(image)
    assert mask_geometry.cache_info().misses == 2  # Its matrices take as long as many frames.
