"""The index of masks, and corrections that move no masks: always the same as the corrected result itself."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from genvis.app.reviewing.corrected_result import CorrectedResult
from genvis.app.reviewing.mask_index import MaskIndex, build_index, open_index, runs_of
from genvis.errors import InputError
from genvis.masks import RLEMask, merge_masks
from genvis.results.editing.edit_log import replay
from genvis.results.editing.edits import (
    DeleteFrames,
    DeleteTrack,
    Edit,
    MergeTracks,
    SetCategory,
    SplitTrack,
    SwapTracks,
    TrimTrack,
)
from genvis.results.types import FrameStamp, Track, VideoResult
from tests.app.app_helpers import HEIGHT, WIDTH, small_result


def saved(folder: Path, result: VideoResult) -> Path:
    result.save(folder / "result", outputs=("result",))
    return folder / "result" / "result.json"


def opened(folder: Path, result: VideoResult) -> CorrectedResult:
    file = saved(folder, result)
    build_index(file, folder / "index")
    return CorrectedResult(MaskIndex(folder / "index"), file)


def test_the_index_holds_the_result(tmp_path):
    result = small_result(frames=30, tracks=5)
    file = saved(tmp_path, result)
    build_index(file, tmp_path / "index")
    index = open_index(file, tmp_path / "index")
    assert index is not None
    assert index.result() == result
    assert len(index) == 30
    for position in range(30):
        expected = [
            (row, mask.counts) for row, track in enumerate(result.tracks) if (mask := track.masks[position]) is not None
        ]
        assert list(index.frame(position)) == expected
    for track, indexed in zip(result.tracks, index.tracks, strict=True):
        seen = np.zeros(30, np.bool_)
        for first, stop in indexed.runs:
            seen[first:stop] = True
        assert np.array_equal(seen, track.visible)


def test_results_without_tracks_without_masks_and_with_names_of_images(tmp_path):
    stamps = (FrameStamp(0, 0.0, "a"), FrameStamp(5, 0.5, "b c"))
    empty = RLEMask.encode(np.zeros((HEIGHT, WIDTH), np.bool_))
    for number, tracks in enumerate(((), (Track(4, "x", 0, 1, 0.5, (empty, None)),))):
        result = VideoResult("v", HEIGHT, WIDTH, stamps, tracks, problem="broke off")
        file = saved(tmp_path / str(number), result)
        build_index(file, tmp_path / str(number) / "index")
        index = MaskIndex(tmp_path / str(number) / "index")
        assert index.result().frames == stamps
        assert index.problem == "broke off"
        assert [track.runs for track in index.tracks] == [()] * len(tracks)
        assert CorrectedResult(index, file).masks(0, 2) == [[], []]


def test_an_index_belongs_to_its_file(tmp_path):
    file = saved(tmp_path, small_result())
    assert open_index(file, tmp_path / "index") is None
    build_index(file, tmp_path / "index")
    assert open_index(file, tmp_path / "index") is not None
    saved(tmp_path, small_result(frames=13))
    assert open_index(file, tmp_path / "index") is None
    build_index(file, tmp_path / "index")
    again = open_index(file, tmp_path / "index")
    assert again is not None
    assert len(again) == 13


@pytest.mark.parametrize("name", ["index.json", "masks.bin", "rows.npy"])
def test_a_damaged_index_is_one_sentence(tmp_path, name):
    file = saved(tmp_path, small_result())
    build_index(file, tmp_path / "index")
    (tmp_path / "index" / name).unlink()
    with pytest.raises(InputError, match=r"index|There is no file"):
        open_index(file, tmp_path / "index")


def test_runs():
    assert runs_of(np.array([0, 1, 1, 0, 1], bool)) == ((1, 3), (4, 5))
    assert runs_of(np.ones(3, bool)) == ((0, 3),)
    assert runs_of(np.zeros(0, bool)) == ()


def shown(corrected: CorrectedResult, state: dict) -> dict[int, list[bytes | None]]:
    """What the page draws of every track: the union of the masks of the rows that it is told of."""
    length = len(corrected.index)
    frames = [dict(masks) for masks in corrected.masks(0, length)]
    drawn = {}
    for track in state["tracks"]:
        masks: list[bytes | None] = []
        for position in range(length):
            rows = [row for row, first, stop in track["parts"] if first <= position < stop]
            own = [RLEMask(HEIGHT, WIDTH, frames[position][row].encode()) for row in rows]
            masks.append(merge_masks(own).counts if own else None)
        drawn[track["id"]] = masks
    return drawn


def random_edit(rng: random.Random, result: VideoResult, next_id: int) -> Edit:
    ids = [track.id for track in result.tracks]
    one, two = rng.choice(ids), rng.choice(ids)
    first, last = sorted(rng.choices(range(len(result)), k=2))
    return rng.choice(
        [
            MergeTracks(track_ids=tuple(rng.sample(ids, min(len(ids), rng.choice([2, 2, 3]))))),
            SplitTrack(track_id=one, frame=first, new_id=next_id),
            SwapTracks(first_id=one, second_id=two, frame=first),
            SetCategory(track_id=one, label=rng.choice(["Cat", "Dog", "Cow"])),
            DeleteTrack(track_id=one),
            DeleteFrames(track_id=one, first=first, last=last),
            TrimTrack(track_id=one, first=first, last=last),
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_page_shows_what_the_edits_make_of_the_result(tmp_path, seed):
    rng = random.Random(seed)
    corrected = opened(tmp_path, small_result(frames=20, tracks=7, seed=seed))
    file = tmp_path / "result" / "result.json"
    assert not (tmp_path / "result" / "edits.jsonl").exists()
    state = corrected.state()
    made = 0
    for _ in range(40):
        log = corrected._loaded()
        if not log.result.tracks:
            break
        choice = rng.random()
        try:
            if choice < 0.15:
                state = corrected.undo()
            elif choice < 0.25:
                state = corrected.redo()
            else:
                state = corrected.edit(random_edit(rng, log.result, corrected.next_id()))
                made += 1
        except InputError:
            continue
        now = corrected._loaded().result
        expected = {
            track.id: [mask.counts if mask and mask.area else None for mask in track.masks] for track in now.tracks
        }
        assert shown(corrected, state) == expected
        assert [(track["id"], track["label"], track["score"]) for track in state["tracks"]] == [
            (track.id, track.label, track.score) for track in now.tracks
        ]
    assert made > 5
    # Another process, later: from the log alone, rows are found anew.
    again = CorrectedResult(MaskIndex(tmp_path / "index"), file)
    assert shown(again, again.state()) == shown(corrected, state)
    assert again.state()["edits"] == state["edits"]
    assert replay(file, file.with_name("edits.jsonl")) == corrected._loaded().result


def test_edits_are_on_the_disk_at_once_and_the_result_stays(tmp_path):
    corrected = opened(tmp_path, small_result())
    file = tmp_path / "result" / "result.json"
    before = file.read_bytes()
    corrected.edit(MergeTracks(track_ids=(1, 2)))
    corrected.undo()
    corrected.redo()
    steps = [json.loads(line)["edit"] for line in file.with_name("edits.jsonl").read_text().splitlines()[1:]]
    assert steps == ["merge", "undo", "redo"]
    assert file.read_bytes() == before


def test_classes_to_choose_from(tmp_path):
    corrected = opened(tmp_path, small_result())
    assert corrected.categories() == ["Cat", "Dog", "Fish"]
