from pathlib import Path

import numpy as np
import pytest

from genvis.errors import InputError
from genvis.results.editing.appearance import (
    TrackAppearance,
    edited_appearance,
    load_appearance,
    save_appearance,
    unit,
)
from genvis.results.editing.edits import (
    DeleteFrames,
    DeleteTrack,
    MergeTracks,
    SetCategory,
    SplitTrack,
    SwapTracks,
    TrimTrack,
)
from tests.results.inference_results_helpers import random_result


def look(*starts: int, seed: int = 0) -> TrackAppearance:
    """Samples of two frames each."""
    first = np.array(starts, np.int32)
    vectors = unit(np.random.default_rng(seed).normal(size=(len(starts), 6)).astype(np.float32))
    return TrackAppearance(first, first + 1, np.full(len(starts), 2, np.int32), vectors)


def frames(looks: dict[int, TrackAppearance]) -> dict[int, list[int]]:
    return {number: one.first_frames.tolist() for number, one in sorted(looks.items())}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random_result(3).save(tmp_path, outputs=["result"])
    return tmp_path


def test_looks_are_written_beside_the_result_and_read_again(folder: Path):
    looks = {7: look(0, 2, seed=1), 2: look(4, seed=2)}
    path = save_appearance(looks, folder)
    assert path.stat().st_size < 2000
    again = load_appearance(folder)
    assert again is not None
    assert frames(again) == {2: [4], 7: [0, 2]}
    for number, one in again.items():
        assert np.allclose(one.vectors, looks[number].vectors, atol=1e-3)
        assert np.allclose(np.linalg.norm(one.vectors, axis=1), 1, atol=1e-5)
    assert load_appearance(folder / "result.json") is not None


def test_looks_of_another_result_are_as_if_there_were_none(folder: Path):
    assert load_appearance(folder) is None
    save_appearance({7: look(0)}, folder)
    random_result(4).save(folder, outputs=["result"])
    assert load_appearance(folder) is None
    save_appearance({}, folder)
    assert load_appearance(folder) == {}


@pytest.mark.parametrize("content", [b"", b"garbage" * 9, b"\xff" * 100])
def test_a_damaged_file_is_named(folder: Path, content: bytes):
    (folder / "appearance.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"appearance\.safetensors' is damaged"):
        load_appearance(folder)


def test_tensors_that_do_not_fit_are_refused(folder: Path):
    from safetensors.numpy import save_file

    path = save_appearance({7: look(0)}, folder)
    good = {"track_ids": np.ones(2, np.int32), "vectors": np.ones((2, 3), np.float16)}
    good |= {name: np.ones(2, np.int32) for name in ("first_frames", "last_frames", "counts")}
    for name, wrong in (
        ("counts", np.ones(3, np.int32)),
        ("track_ids", np.ones(2, np.int64)),
        ("vectors", np.full((2, 3), np.nan, np.float16)),
        ("vectors", np.ones(2, np.float16)),
    ):
        save_file(good | {name: wrong}, path, {"format": "genvis-appearance 1"})
        with pytest.raises(InputError, match="its tensors do not fit"):
            load_appearance(folder)


def test_looks_follow_the_edits():
    looks = {1: look(0, 2, 4, 6), 2: look(1, 3), 3: look(8)}
    assert frames(edited_appearance(looks, [MergeTracks(track_ids=(3, 1))])) == {2: [1, 3], 3: [0, 2, 4, 6, 8]}
    assert frames(edited_appearance(looks, [SplitTrack(track_id=1, frame=3, new_id=9)])) == {
        1: [0, 2],
        2: [1, 3],
        3: [8],
        9: [4, 6],
    }
    assert frames(edited_appearance(looks, [SwapTracks(first_id=1, second_id=2, frame=3)])) == {
        1: [0, 2, 3],
        2: [1, 4, 6],
        3: [8],
    }
    assert frames(edited_appearance(looks, [DeleteTrack(track_id=1), SetCategory(track_id=2, label="x")])) == {
        2: [1, 3],
        3: [8],
    }
    assert frames(edited_appearance(looks, [DeleteFrames(track_id=1, first=2, last=5)]))[1] == [0, 6]
    assert frames(edited_appearance(looks, [TrimTrack(track_id=1, first=2, last=5)]))[1] == [2, 4]
    assert frames(edited_appearance(looks, [TrimTrack(track_id=3, first=0, last=5)])) == {1: [0, 2, 4, 6], 2: [1, 3]}
    assert frames(looks)[1] == [0, 2, 4, 6]


def test_both_ends_are_means_of_about_eight_observations():
    vectors = np.eye(6, dtype=np.float32)
    counts = np.array([3, 6, 50, 50, 7, 2], np.int32)
    one = TrackAppearance(np.arange(6, dtype=np.int32), np.arange(6, dtype=np.int32), counts, vectors)
    assert np.allclose(one.at_start(), np.array([3, 6, 0, 0, 0, 0]) / np.hypot(3, 6))
    assert np.allclose(one.at_end(), np.array([0, 0, 0, 0, 7, 2]) / np.hypot(7, 2))
