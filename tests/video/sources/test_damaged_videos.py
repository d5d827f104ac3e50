"""Undamaged videos of every container are told whole, and damaged ones that lost frames say so."""

from pathlib import Path
from random import Random

import pytest

from genvis.errors import InputError
from genvis.video import open_source
from tests.robustness.mutations import damage
from tests.robustness.sample_videos import FRAMES, KINDS, VideoKind, write_video

# Without a container there are cuts that no reader can see.
CANNOT_TELL_ALL = (".h264", ".hevc", ".mjpeg")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_undamaged_videos_of_every_container(tmp_path: Path, kind: VideoKind) -> None:
    with open_source(write_video(kind, tmp_path)) as source:
        frames = list(source)
    rate = 25 if kind.name in ("stream.mjpeg", "mpeg1.mpeg", "mpeg2.mxf") else 10
    assert (source.problem, source.notes) == (None, ())
    assert [frame.time for frame in frames] == pytest.approx([number / rate for number in range(FRAMES)], abs=2e-3)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_videos_tell_lost_frames(tmp_path: Path, kind: VideoKind) -> None:
    lost, silent = lost_and_silent(kind, tmp_path, count=20)
    assert len(silent) <= (lost / 3 if kind.name.endswith(CANNOT_TELL_ALL) else 1), silent


@pytest.mark.slow
def test_many_damaged_videos_tell_lost_frames(tmp_path: Path) -> None:
    results = {kind.name: lost_and_silent(kind, tmp_path, count=400, first=1000) for kind in KINDS}
    for name, (lost, silent) in results.items():
        print(f"{name}: {lost} lost frames, {len(silent)} of them silently")
        assert len(silent) <= (lost / 6 if name.endswith(CANNOT_TELL_ALL) else 1 + lost / 100), silent


def lost_and_silent(kind: VideoKind, folder: Path, *, count: int, first: int = 0) -> tuple[int, list[str]]:
    """Read damaged copies of a video: how many lost frames, and the damage of those that did not say so."""
    path = write_video(kind, folder)
    whole = path.read_bytes()
    lost, silent = 0, []
    for number in range(first, first + count):
        content, note = damage(whole, Random(number))
        path.write_bytes(content)
        try:
            with open_source(path) as source:
                frames = sum(1 for _ in source)
        except InputError:
            continue
        lost += frames < FRAMES
        if frames < FRAMES and source.problem is None and not source.notes:
            silent.append(f"{number}: {note}")
    return lost, silent


def test_a_file_that_vanishes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = write_video(next(kind for kind in KINDS if kind.name == "h264.mkv"), tmp_path)
    with open_source(path) as source:
        frames = iter(source)
        next(frames)
        path.unlink()
        assert len(list(frames)) == FRAMES - 1
    assert source.problem is not None
    assert "the file cannot be read any more (No such file or directory)" in source.problem
