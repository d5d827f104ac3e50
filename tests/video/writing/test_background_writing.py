import threading

import av
import numpy as np
import pytest

from genvis.errors import InputError
from genvis.video.writing.background_writer import BackgroundWriter
from genvis.video.writing.video_writer import VideoWriter


def picture(value):
    return np.full((32, 48, 3), value, np.uint8)


def test_frames_arrive_in_order_from_another_thread(tmp_path):
    threads = set()

    def make(value):
        threads.add(threading.current_thread().name)
        return picture(value)

    with BackgroundWriter(VideoWriter(tmp_path / "v.mp4", frame_rate=10), waiting=2) as writer:
        for index in range(9):
            writer.write(lambda value=20 * index: make(value), time=index / 10)
    with av.open(str(tmp_path / "v.mp4")) as container:
        means = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    assert len(means) == 9
    assert means == sorted(means)
    assert threading.current_thread().name not in threads


def test_a_frame_is_drawn_while_the_one_before_is_encoded(tmp_path):
    second_is_drawn = threading.Event()

    class Encoder(VideoWriter):
        def write(self, image, *, time):
            assert second_is_drawn.wait(20), "drawing waits for the encoder"
            super().write(image, time=time)

    def second():
        second_is_drawn.set()
        return picture(2)

    with BackgroundWriter(Encoder(tmp_path / "v.mp4", frame_rate=10)) as writer:
        writer.write(lambda: picture(1), time=0)
        writer.write(second, time=0.1)
    assert (tmp_path / "v.mp4").exists()


def test_an_error_of_the_writer_reaches_the_caller(tmp_path):
    writer = BackgroundWriter(VideoWriter(tmp_path / "v.mp4", frame_rate=10), waiting=1)
    writer.write(lambda: picture(1), time=0)
    writer.write(lambda: np.zeros((16, 16, 3), np.uint8), time=0.1)
    with pytest.raises(InputError, match="cannot join"):
        writer.close()


def test_after_an_error_of_the_caller_no_finished_video_pretends(tmp_path):
    def interrupted():
        with BackgroundWriter(VideoWriter(tmp_path / "v.mp4", frame_rate=10)) as writer:
            writer.write(lambda: picture(1), time=0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (tmp_path / "v.mp4").exists()


def test_at_least_one_frame_waits(tmp_path):
    with pytest.raises(InputError, match="At least 1"):
        BackgroundWriter(VideoWriter(tmp_path / "v.mp4"), waiting=0)


def test_a_late_drawing_error_leaves_no_open_file(tmp_path):
    """The drawing of the last frames may fail when the writer is closed already: the part must be closed too."""

    def broken():
        raise RuntimeError("drawing failed")

    inner = VideoWriter(tmp_path / "v.mp4", frame_rate=10)
    writer = BackgroundWriter(inner)
    for number in range(3):
        writer.write(lambda: picture(1), time=number / 10)
    writer.write(broken, time=0.3)
    with pytest.raises(RuntimeError, match="drawing failed"):
        writer.close()
    assert inner.is_closed
    assert not (tmp_path / "v.mp4").exists()
    with av.open(str(tmp_path / "v.part.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("writer")]
