import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genvis.cli.main import main
from genvis.data.split import choose_validation, split_annotations
from genvis.errors import InputError
from tests.data.convert.sample_sets import annotation, good_content, rectangle, video, write_json


def many_videos(count=40):
    """Videos of one to four tracks, of categories that are ever scarcer."""
    rng = np.random.default_rng(5)
    content = good_content() | {"videos": [], "annotations": []}
    content["categories"] = [{"id": number, "name": f"c{number}"} for number in (1, 2, 4, 8)]
    for identifier in range(1, count + 1):
        content["videos"].append(video(identifier, [f"{identifier}/0.jpg", f"{identifier}/1.jpg"]))
        for category in rng.choice([1, 2, 4, 8], rng.integers(1, 5), p=[0.6, 0.25, 0.1, 0.05]).tolist():
            masks = [rectangle(1, 1, 5, 5), None]
            content["annotations"].append(annotation(len(content["annotations"]) + 1, identifier, category, masks))
    return content


def test_nothing_is_lost_or_changed(tmp_path):
    content = many_videos()
    split = split_annotations(write_json(tmp_path / "all.json", content), validation=0.25, seed=3)
    parts = [json.loads(part.path.read_text()) for part in (split.train, split.validation)]
    assert [part.path.name for part in (split.train, split.validation)] == ["all_train.json", "all_validation.json"]
    assert [len(part["videos"]) for part in parts] == [30, 10]
    for part in parts:
        ids = {entry["id"] for entry in part["videos"]}
        assert part["annotations"] == [entry for entry in content["annotations"] if entry["video_id"] in ids]
        assert part["videos"] == [entry for entry in content["videos"] if entry["id"] in ids]
        assert part["categories"] == content["categories"]
        assert part["info"] == content["info"]
    assert sorted(entry["id"] for part in parts for entry in part["videos"]) == list(range(1, 41))


def test_categories_keep_their_shares(tmp_path):
    split = split_annotations(write_json(tmp_path / "all.json", many_videos()), validation=0.25, seed=0)
    for name, train in split.train.tracks_of_category.items():
        held = split.validation.tracks_of_category[name]
        assert abs(held - 0.25 * (train + held)) <= 1, name
    assert split.missing == []
    assert split.untrained == []


def test_the_seed_decides(tmp_path):
    path = write_json(tmp_path / "all.json", many_videos())

    def validation(seed, folder):
        split = split_annotations(path, validation=0.25, seed=seed, output=tmp_path / folder)
        return split.validation.path.read_bytes()

    assert validation(0, "a") == validation(0, "b")
    assert validation(0, "a") != validation(1, "c")


def test_videos_that_share_images_stay_together(tmp_path):
    content = many_videos(12)
    for first, second in ((0, 5), (5, 9), (2, 3)):
        content["videos"][second]["file_names"][1] = content["videos"][first]["file_names"][0]
    for seed in range(8):
        split = split_annotations(write_json(tmp_path / "all.json", content), validation=0.4, seed=seed)
        held = {entry["id"] for entry in json.loads(split.validation.path.read_text())["videos"]}
        for together in ({1, 6, 10}, {3, 4}):
            assert together <= held or not together & held


@given(
    tracks=st.lists(st.dictionaries(st.integers(0, 5), st.integers(1, 4)), min_size=2, max_size=12),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 3),
)
def test_as_many_as_wanted_and_never_worse_than_chance(tracks, share, seed):
    tracks_of_video = dict(enumerate(map(Counter, tracks)))
    wanted = min(max(1, round(share * len(tracks))), len(tracks) - 1)
    groups = [[identifier] for identifier in tracks_of_video]
    chosen = choose_validation(groups, tracks_of_video, wanted=wanted, seed=seed)
    assert len(chosen) == wanted
    total = sum(tracks_of_video.values(), Counter())
    places = Counter(category for count in tracks for category in count)

    def distance(held):
        result = 0.0
        for category, number in total.items():
            target = max(number * wanted / len(tracks), 1.0 if places[category] > 1 else 1e-3)
            result += (sum(tracks_of_video[identifier][category] for identifier in held) - target) ** 2 / target
        return result

    for inside in chosen:
        for outside in set(tracks_of_video) - chosen:
            assert distance(chosen) <= distance((chosen - {inside}) | {outside}) + 1e-6


def test_the_command_says_what_it_did(tmp_path, capsys):
    path = write_json(tmp_path / "all.json", many_videos())
    assert main(["data", "split", str(path), "--validation", "0.25", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert "tracks of c8" in printed
    assert str(tmp_path / "all_validation.json") in printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": [video(1, ["a.jpg"])], "annotations": []}, "1 video"),
        ({"annotations": [{"video_id": 99, "category_id": 1}]}, "no video 99"),
        ({"annotations": [{"category_id": 1}]}, r"annotations\[0\] .* has no video_id and category_id"),
        ({"videos": [video(1, ["a.jpg"])] * 2, "annotations": []}, "the video 1 twice"),
        ({"categories": None}, "no list 'categories'"),
    ],
)
def test_what_cannot_be_split_is_named(tmp_path, change, message):
    path = write_json(tmp_path / "all.json", good_content() | change)
    with pytest.raises(InputError, match=message):
        split_annotations(path, validation=0.5, seed=0)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_the_share_must_make_sense(tmp_path, share):
    with pytest.raises(InputError, match="above 0 and below 1"):
        split_annotations(write_json(tmp_path / "all.json", good_content()), validation=share, seed=0)


def test_coco_files_are_sent_to_the_converter(tmp_path):
    path = write_json(tmp_path / "coco.json", {"images": [], "annotations": []})
    with pytest.raises(InputError, match="from-coco"):
        split_annotations(path, validation=0.5, seed=0)


@pytest.mark.parametrize("names", [5, "a.jpg", {"a": 1}])
def test_file_names_that_are_no_list_are_named(tmp_path, names):
    content = good_content()
    content["videos"][1]["file_names"] = names
    with pytest.raises(InputError, match=r"videos\[1\] of .* has no list 'file_names'"):
        split_annotations(write_json(tmp_path / "a.json", content), validation=0.5, seed=0)
