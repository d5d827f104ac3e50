from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from genvis.errors import InputError
from genvis.masks import encode_mask
from genvis.results.editing.edits import (
    DeleteFrames,
    DeleteTrack,
    Edit,
    MergeTracks,
    SetCategory,
    SplitTrack,
    SwapTracks,
    TrimTrack,
    category_choices,
    edit_from_json,
    edit_to_json,
    next_track_id,
)
from genvis.results.types import FrameStamp, Track, VideoResult
from tests.results.editing.edit_helpers import edits_of
from tests.results.inference_results_helpers import RESULTS


def made(**spans: str) -> VideoResult:
    """Tracks from pictures of their life, one character a frame: ``a1="##.."``; another character is another mask."""
    tracks = []
    for place, (name, life) in enumerate(spans.items()):
        masks = []
        for sign in life:
            mask = np.zeros((8, 8), bool)
            if sign != ".":
                mask[place, "#1234567".index(sign)] = True
            masks.append(encode_mask(mask))
        tracks.append(Track(int(name[1:]), f"class {name[0]}", place, 10 + place, 0.9 - 0.1 * place, tuple(masks)))
    frames = tuple(FrameStamp(5 + 2 * number, number / 10, f"{number:05d}") for number in range(len(life)))
    return VideoResult("made", 8, 8, frames, tuple(tracks))


def life(result: VideoResult, track_id: int) -> str:
    return "".join("#" if seen else "." for seen in result.track(track_id).visible)


def test_merging_takes_the_union_and_the_first_id_and_class():
    result = made(a3="##..", b1=".##.", c7="...#")
    merged = MergeTracks(track_ids=(1, 7, 3)).apply(result)
    (track,) = merged.tracks
    assert (track.id, track.label, track.category_id) == (1, "class b", 11)
    assert track.areas.tolist() == [1, 2, 1, 1]
    assert track.score == pytest.approx((2 * 0.9 + 2 * 0.8 + 0.7) / 5)
    assert result == made(a3="##..", b1=".##.", c7="...#")


def test_splitting_gives_the_rest_to_a_new_track():
    result = SplitTrack(track_id=1, frame=2, new_id=9).apply(made(a1="##.#"))
    assert (life(result, 1), life(result, 9)) == ("##..", "...#")
    assert result.track(9).label == "class a"


def test_swapping_exchanges_masks_from_a_frame_on():
    result = made(a1="####", b2="1111")
    swapped = SwapTracks(first_id=1, second_id=2, frame=3).apply(result)
    assert [track.masks[2] for track in swapped.tracks] == [track.masks[2] for track in result.tracks]
    assert swapped.track(1).masks[3] == result.track(2).masks[3]
    assert swapped.track(1).label == "class a"


def test_trimming_and_deleting_a_stretch():
    result = made(a1="#####")
    assert life(TrimTrack(track_id=1, first=1, last=2).apply(result), 1) == ".##.."
    assert life(DeleteFrames(track_id=1, first=1, last=2).apply(result), 1) == "#..##"
    assert DeleteTrack(track_id=1).apply(result).tracks == ()


def test_classes_of_the_data_set_and_new_ones():
    result = replace(made(a1="#", b2="#"), categories_name="ovis")
    assert SetCategory(track_id=1, label="Cat").apply(result).track(1).category_id == 3
    with pytest.raises(InputError, match=r"Did you mean 'Giraffe'\? A new one needs a category_id"):
        SetCategory(track_id=1, label="Girafe").apply(result)
    whale = SetCategory(track_id=1, label="whale", category_id=99).apply(result)
    assert (whale.track(1).label, whale.track(1).label_id) == ("whale", 25)
    assert SetCategory(track_id=2, label="whale").apply(whale).track(2).category_id == 99
    own = made(a1="#", b2="#")
    assert SetCategory(track_id=1, label="class b").apply(own).track(1).category_id == 11
    assert [choice.label for choice in category_choices(own)] == ["class a", "class b"]
    new = SetCategory(track_id=1, label="whale").apply(own).track(1)
    assert (new.label_id, new.category_id) == (2, 12)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (MergeTracks(track_ids=(1,)), "two or more different tracks, not 1"),
        (MergeTracks(track_ids=(1, 1)), "two or more different tracks, not 1, 1"),
        (MergeTracks(track_ids=(1, 8)), "no track 8"),
        (SplitTrack(track_id=1, frame=9, new_id=3), "no frame 9: 'made' has frames 0 to 3"),
        (SplitTrack(track_id=1, frame=0, new_id=3), "has no mask before"),
        (SplitTrack(track_id=1, frame=3, new_id=3), "has no mask from there on"),
        (SplitTrack(track_id=1, frame=1, new_id=2), "2 is no free track id of 'made': 3 is one"),
        (SwapTracks(first_id=1, second_id=1, frame=0), "swapped with itself"),
        (SwapTracks(first_id=1, second_id=2, frame=3), "Neither track 1 nor 2 has a mask from frame 3 on"),
        (SwapTracks(first_id=1, second_id=2, frame=2), "track 2 would have no mask left; merge them instead"),
        (SetCategory(track_id=1, label="class a"), "is a 'class a' already"),
        (SetCategory(track_id=1, label=" "), "needs a name"),
        (SetCategory(track_id=1, label="class b", category_id=4), "has the category id 11, not 4"),
        (SetCategory(track_id=1, label="new", category_id=11), "11 is that of 'class b' already"),
        (DeleteTrack(track_id=4), "no track 4"),
        (DeleteFrames(track_id=1, first=0, last=3), "would have none left: delete the track instead"),
        (DeleteFrames(track_id=1, first=3, last=3), "no mask in frames 3 to 3"),
        (DeleteFrames(track_id=1, first=2, last=1), "ends before it begins"),
        (TrimTrack(track_id=1, first=0, last=2), "no mask outside of frames 0 to 2"),
        (TrimTrack(track_id=1, first=3, last=3), "would have none left"),
    ],
)
def test_what_does_not_fit_is_one_sentence(edit: Edit, sentence: str):
    with pytest.raises(InputError) as wrong:
        edit.apply(made(a1="##..", b2="..#."))
    assert sentence in str(wrong.value)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"edit": "explode"}, "no edit 'explode': there are merge, split"),
        ({"edit": "split", "track_id": 1, "frame": 2}, "has None as its 'new_id'"),
        ({"edit": "split", "track_id": True, "frame": 2, "new_id": 3}, "has True as its 'track_id'"),
        ({"edit": "merge", "track_ids": [1, "2"]}, "has [1, '2'] as its 'track_ids'"),
        ({"edit": "merge", "track_ids": 1}, "has 1 as its 'track_ids'"),
        ({"edit": "category", "track_id": 1, "label": 7}, "has 7 as its 'label'"),
    ],
)
def test_damaged_edits_are_one_sentence(entry: dict[str, object], sentence: str):
    with pytest.raises(InputError) as wrong:
        edit_from_json(entry)
    assert sentence in str(wrong.value)


@settings(max_examples=30, deadline=None)
@given(RESULTS, st.data())
def test_edits_are_pure_keep_ids_apart_and_pass_through_json(result: VideoResult, data: st.DataObject):
    assume(result.tracks)
    before = VideoResult.from_json(result.to_json())
    edit = data.draw(edits_of(result))
    assert edit_from_json(edit_to_json(edit)) == edit
    with suppress(InputError):
        corrected = edit.apply(result)
        assert corrected != result
        assert corrected == edit.apply(before)
        ids = [track.id for track in corrected.tracks]
        assert len(set(ids)) == len(ids)
        new = set(ids) - {track.id for track in result.tracks}
        assert new <= {next_track_id(result)}
        never_seen = [sum(not track.frames_seen for track in one.tracks) for one in (result, corrected)]
        assert never_seen[1] <= never_seen[0]
    assert result == before


@settings(max_examples=30, deadline=None)
@given(RESULTS, st.data())
def test_splitting_and_merging_gives_back_the_result(result: VideoResult, data: st.DataObject):
    tracks = [track for track in result.tracks if track.frames_seen > 1]
    assume(tracks)
    track = data.draw(st.sampled_from(tracks))
    first, last = track.span
    split = SplitTrack(track_id=track.id, frame=data.draw(st.integers(first + 1, last)), new_id=next_track_id(result))
    assert MergeTracks(track_ids=(track.id, split.new_id)).apply(split.apply(result)) == result


@settings(max_examples=30, deadline=None)
@given(RESULTS, st.data())
def test_merging_and_splitting_gives_back_the_masks(result: VideoResult, data: st.DataObject):
    assume(len(result) > 1)
    assume(result.tracks)
    track = result.tracks[0]
    cut = data.draw(st.integers(1, len(result) - 1))
    new_id = next_track_id(result)
    assume(track.visible[:cut].any())
    assume(track.visible[cut:].any())
    apart = SplitTrack(track_id=track.id, frame=cut, new_id=new_id).apply(result)
    merged = MergeTracks(track_ids=(new_id, track.id)).apply(apart)
    assert SplitTrack(track_id=new_id, frame=cut, new_id=new_id + 1).apply(merged).track(new_id + 1).masks == (
        apart.track(new_id).masks
    )


@settings(max_examples=30, deadline=None)
@given(RESULTS, st.data())
def test_swapping_twice_changes_nothing(result: VideoResult, data: st.DataObject):
    assume(len(result.tracks) > 1)
    first, second = data.draw(st.permutations([track.id for track in result.tracks]))[:2]
    swap = SwapTracks(first_id=first, second_id=second, frame=data.draw(st.integers(0, len(result) - 1)))
    with suppress(InputError):
        swapped = swap.apply(result)
        assert swap.apply(swapped) == result


def test_an_hour_is_edited_without_decoding_a_mask(monkeypatch: pytest.MonkeyPatch):
    mask = encode_mask(np.eye(8, dtype=bool))
    frames = tuple(FrameStamp(number, number / 25, str(number)) for number in range(90_000))
    tracks = tuple(Track(number, "cat", 0, 1, 0.5, (mask,) * 90_000) for number in (1, 2, 3))
    result = VideoResult("hour", 8, 8, frames, tracks)
    monkeypatch.setattr("genvis.masks.RLEMask.decode", None)
    monkeypatch.setattr("pycocotools.mask.decode", None)
    for edit in (
        SplitTrack(track_id=1, frame=45_000, new_id=4),
        MergeTracks(track_ids=(1, 4)),
        SwapTracks(first_id=2, second_id=3, frame=100),
        TrimTrack(track_id=2, first=10, last=20),
        DeleteFrames(track_id=3, first=10, last=20),
    ):
        result = edit.apply(result)
    assert result.track(1).masks == (mask,) * 90_000
