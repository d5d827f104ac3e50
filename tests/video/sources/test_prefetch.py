import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from genvis.errors import InputError
from genvis.video import Frame, open_source, prefetch


def images(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read ")]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_frames_are_the_same(size: int) -> None:
    with prefetch(open_source(images(20), stride=3, name="x"), size=size) as source:
        assert (source.name, source.size, source.frame_count, source.frame_rate) == ("x", (4, 6), 7, 24)
        assert [frame.index for frame in source] == list(range(0, 20, 3))
        assert [frame.index for frame in source] == list(range(0, 20, 3))
    assert readers() == []


def test_reading_waits_for_the_consumer() -> None:
    taken: list[int] = []

    def counted() -> Iterator[np.ndarray]:
        for number, image in enumerate(images(50)):
            taken.append(number)
            yield image

    with prefetch(open_source(counted()), size=3) as source:
        frames = iter(source)
        next(frames)
        time.sleep(0.1)
        assert len(taken) <= 6


def test_errors_of_the_source_arrive_after_the_frames_before_them() -> None:
    def failing() -> Iterator[np.ndarray]:
        yield from images(3)
        raise OSError("the disk is gone")

    seen: list[Frame] = []
    with prefetch(open_source(failing())) as source, pytest.raises(OSError, match="the disk is gone"):
        seen.extend(source)
    assert len(seen) == 3
    assert readers() == []


@pytest.mark.parametrize("how", ["break", "close", "drop"])
def test_the_thread_ends_when_nobody_reads_on(how: str) -> None:
    source = prefetch(open_source(images(200)), size=2)
    frames = iter(source)
    next(frames)
    assert len(readers()) == 1
    if how == "close":
        source.close()
        assert list(frames) == []
    elif how == "drop":
        del frames
    else:
        for _ in frames:
            break
        source.close()
    assert readers() == []


def test_late_frames_give_way_to_new_ones() -> None:
    started, filled = threading.Event(), threading.Event()

    def live() -> Iterator[np.ndarray]:
        yield images(1)[0]
        assert started.wait(5)
        yield from images(99)
        filled.set()

    with prefetch(open_source(live(), name="camera"), size=2, drop_late=True) as source:
        frames = iter(source)
        first = next(frames)
        started.set()
        assert filled.wait(5)
        rest = [frame.index for frame in frames]
    assert rest == [98, 99]
    assert source.dropped == 100 - len(rest) - 1
    assert source.notes == (f"{source.dropped} frames of 'camera' came too fast and were left out.",)
    assert first.index == 0


def test_at_least_one_frame_waits() -> None:
    with pytest.raises(InputError, match="At least 1 frame"):
        prefetch(open_source(images(2)), size=0)
