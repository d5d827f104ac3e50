"""Files, decoders and threads of a source are gone when its block is left, however it is left."""

import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from genvis.video import open_source, prefetch
from tests.video.video_helpers import MakeVideo

WAYS = ("to the end", "stopped", "ranged", "failed")


def held(folder: Path) -> tuple[int, int]:
    """How many files of a folder, and how many threads, this process has."""
    process = psutil.Process()
    files = [file for file in process.open_files() if Path(file.path).is_relative_to(folder)]
    return len(files), process.num_threads()


def read(path: Path, way: str, *, ahead: bool) -> None:
    stop = 7 if way == "ranged" else None
    with open_source(path, stop=stop) as opened, prefetch(opened) if ahead else opened as source:
        for frame in source:
            if way == "stopped" and frame.index == 5:
                break
            if way == "failed" and frame.index == 5:
                raise RuntimeError("the consumer failed")


@pytest.mark.parametrize("ahead", [False, True], ids=["", "ahead"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_nothing_stays_open(make_video: MakeVideo, name: str, way: str, ahead: bool) -> None:
    codec, pixel_format = {"a.webm": ("libvpx-vp9", "yuva420p"), "a.gif": ("gif", "rgb8")}.get(
        name, ("libx264", "yuv420p")
    )
    images = list(np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8))
    path = make_video(name, images=images, codec=codec, pixel_format=pixel_format)
    before = held(path.parent)
    errors = []
    for _ in range(3):
        try:
            read(path, way, ahead=ahead)
        except RuntimeError as error:
            errors.append(error)  # Its traceback keeps the iterators alive: closing must not wait for their end.
    assert len(errors) == (3 if way == "failed" else 0)
    # The system counts a thread for a moment after it was joined.
    until = time.monotonic() + 2
    while held(path.parent) != before and time.monotonic() < until:
        time.sleep(0.01)
    assert held(path.parent) == before
