"""Frames and sources as people hold them."""

import numpy as np
import pytest
import torch
from PIL import Image

from genvis import InputError, VideoSegmenter
from genvis.video import open_source


@pytest.fixture
def segmenter(tiny_model):
    return VideoSegmenter(tiny_model, resolution=64)


def masks(result):
    return [track.masks for track in result.tracks]


def test_the_same_video_in_every_form(segmenter, golden_frames, tmp_path):
    expected = masks(segmenter.segment(golden_frames))
    assert expected
    tensor = torch.from_numpy(golden_frames)
    forms = [
        tensor,
        tensor.permute(0, 3, 1, 2),
        [Image.fromarray(frame) for frame in golden_frames],
        (frame for frame in tensor),
    ]
    for form in forms:
        assert masks(segmenter.segment(form)) == expected
    assert masks(segmenter.segment(golden_frames[..., ::-1], bgr=True)) == expected


def test_sessions_take_what_segment_takes(segmenter, golden_frames):
    frame = golden_frames[0]
    forms = [(frame, {}), (Image.fromarray(frame), {}), (torch.from_numpy(frame).permute(2, 0, 1), {})]
    forms.append((frame[..., ::-1], {"bgr": True}))
    answers = [
        [one.mask.tobytes() for one in segmenter.open_session(score_threshold=0).step(form, **options)]
        for form, options in forms
    ]
    assert answers[0]
    assert all(answer == answers[0] for answer in answers)


def test_one_image_is_a_video_of_one_frame(segmenter, golden_frames):
    assert len(segmenter.segment(Image.fromarray(golden_frames[0]))) == 1
    grey = Image.fromarray(golden_frames[0]).convert("L")
    assert len(segmenter.segment([grey, grey])) == 2


class VideoCapture:
    """Stands for OpenCV's."""


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (None, "The source is None"),
        (VideoCapture(), "A VideoCapture is no source of frames: give its file name"),
        (np.zeros((8, 8, 3), np.uint8), r"must be \(T, H, W, 3\) uint8 RGB, not \(8, 8, 3\)"),
        ([None], "A frame is None"),
        ([np.zeros((8, 8), np.uint8)], r"must be an array \(H, W, 3\) of uint8 RGB, not \(8, 8\) uint8"),
        (["a.png", "b.png"], "There is no file 'a.png', 'b.png'"),
        (["1.png", "2.png", "3.png", "4.png", "5.png"], "'3.png' and 2 more"),
        ("", "source"),
    ],
)
def test_what_is_no_source_is_named(segmenter, source, sentence):
    with pytest.raises(InputError, match=sentence):
        segmenter.segment(source)


def test_a_frame_of_another_size_in_a_session_is_told(segmenter, golden_frames):
    session = segmenter.open_session()
    session.step(golden_frames[0])
    with pytest.raises(InputError, match="A frame of 100x96 cannot join a session of 144x96"):
        session.step(golden_frames[1][:, :100])


def test_a_stream_gives_frames_with_detections(segmenter, golden_frames):
    session = segmenter.open_session(score_threshold=0)
    found = list(segmenter.stream(golden_frames, session=session))
    assert [frame.index for frame, _ in found] == list(range(8))
    other = segmenter.open_session(score_threshold=0)
    for frame, detections in found:
        expected = other.step(golden_frames[frame.index])
        assert detections.tracker_id.tolist() == [one.id for one in expected]
        assert np.array_equal(detections.mask, expected.masks())


def test_a_stream_of_a_damaged_file_says_so_at_its_end(segmenter, golden_frames, tmp_path):
    for number, image in enumerate(golden_frames[:3]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[:100])
    arrived = []

    def watch():
        for frame, _ in segmenter.stream(tmp_path):
            arrived.append(frame.name)

    with pytest.raises(InputError, match="has 1 damaged frame, left out: 1"):
        watch()
    assert arrived == ["0", "2"]


def test_a_source_in_memory_is_read_twice(golden_frames):
    with open_source(golden_frames) as source:
        assert source.frame_count == len(list(source)) == len(list(source)) == 8
