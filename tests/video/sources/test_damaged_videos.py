"""Undamaged videos of every container are told whole, and damaged ones that lost frames always say so."""

from pathlib import Path

import pytest

from genvis.errors import InputError
from genvis.video import open_source
from tests.video.damaged_videos import FRAMES, KINDS, Kind, damaged_copies, write_video

# Without a container, or in one that says nothing of its frames, there are cuts that no reader can see.
CANNOT_TELL_ALL = {"plain.h264", "plain.hevc", "plain.mjpeg", "plain.nut", "plain.mpg", "mpeg2.ts"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_undamaged_videos_of_every_container(tmp_path: Path, kind: Kind) -> None:
    with open_source(write_video(tmp_path, kind)) as source:
        frames = list(source)
    step = 1 / (25 if kind.name == "plain.mjpeg" else kind.rate)
    assert (source.problem, source.notes) == (None, ())
    assert [frame.time for frame in frames] == pytest.approx([step * number for number in range(FRAMES)], abs=1e-3)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_videos_tell_lost_frames(tmp_path: Path, kind: Kind) -> None:
    tried, silent = lost_and_silent(write_video(tmp_path, kind), each=4)
    assert len(silent) <= (tried / 3 if kind.name in CANNOT_TELL_ALL else 2), silent


def test_a_file_that_vanishes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path, next(kind for kind in KINDS if kind.name == "plain.mkv"))
    with open_source(path) as source:
        frames = iter(source)
        next(frames)
        path.unlink()
        assert len(list(frames)) == FRAMES - 1
    assert source.problem is not None
    assert "the file cannot be read any more (No such file or directory)" in source.problem


@pytest.mark.slow
def test_many_damaged_videos_tell_lost_frames(tmp_path: Path) -> None:
    results = {kind.name: lost_and_silent(write_video(tmp_path, kind), each=100, seed=1) for kind in KINDS}
    for name, (tried, silent) in results.items():
        print(f"{name}: {tried} lost frames, {len(silent)} of them silently")
        assert len(silent) <= (tried / 4 if name in CANNOT_TELL_ALL else tried / 15), silent


def lost_and_silent(path: Path, *, each: int, seed: int = 0) -> tuple[int, list[str]]:
    """Read damaged copies of a video: how many lost frames, and the names of those that did not say so."""
    lost, silent = 0, []
    for copy in damaged_copies(path, each=each, seed=seed):
        try:
            with open_source(copy) as source:
                frames = sum(1 for _ in source)
        except InputError:
            continue
        lost += frames < FRAMES
        if frames < FRAMES and source.problem is None and not source.notes:
            silent.append(copy.name)
    return lost, silent
