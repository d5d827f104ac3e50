"""YouTube-VIS -> another format -> YouTube-VIS keeps every pixel of every mask, and who is who."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.convert.coco_tracks import read_coco_tracks, write_coco_tracks
from genvis.data.convert.indexed_png import read_indexed_png, write_indexed_png
from genvis.data.convert.mots import read_mots, write_mots
from genvis.data.convert.youtube_vis_writing import write_youtube_vis
from genvis.errors import InputError
from tests.data.convert.sample_sets import annotation, compressed, good_content, rectangle, write_json

NAMES = ["car", "person", "Hund", "kite surfer", "自行车", *(f"thing {k}" for k in range(9))]
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def contents(draw, *, overlapping: bool = False):
    """Draw a YouTube-VIS file in which every video has a mask."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=len(NAMES), unique=True))
    category_ids = sorted(draw(st.sets(st.integers(0, 60), min_size=len(names), max_size=len(names))))
    videos, annotations = [], []
    for number in range(draw(st.integers(1, 2))):
        height, width, length, objects = (draw(st.integers(1, most)) for most in (7, 7, 3, 4))
        if overlapping:
            masks = draw(arrays.arrays(bool, (objects, length, height, width)))
        else:
            owners = draw(arrays.arrays(np.int8, (length, height, width), elements=st.integers(0, objects)))
            masks = np.stack([owners == index + 1 for index in range(objects)])
        masks[0, 0, 0, 0], masks[1:, 0, 0, 0] = True, False
        video_id = 10 - 3 * number
        file_names = [f"video{number}/{frame:06d}.jpg" for frame in range(length)]
        videos.append({"id": video_id, "height": height, "width": width, "file_names": file_names})
        for mask in masks[masks.any(axis=(1, 2, 3))]:
            per_frame = [frame if frame.any() else None for frame in mask]
            category = draw(st.sampled_from(category_ids))
            annotations.append(annotation(100 - 7 * len(annotations), video_id, category, per_frame))
    categories = [{"id": key, "name": name} for key, name in zip(category_ids, names, strict=True)]
    return {"videos": videos, "categories": categories, "annotations": annotations}


def described(annotations, *, with_ids: bool):
    """Return everything that must not change, in a form that can be compared."""
    result = []
    for index in range(len(annotations)):
        video = annotations.video(index)
        masks = annotations.masks(index)
        tracks = sorted(
            (track.id if with_ids else 0, annotations.categories.names[track.label], track.crowd, mask.tobytes())
            for track, mask in zip(annotations.tracks(index), masks, strict=True)
        )
        result.append((video.id if with_ids else 0, video.file_names, video.height, video.width, tracks))
    return sorted(result, key=lambda entry: entry[1])


def loaded(folder, content):
    return load_youtube_vis(write_json(folder / "before.json", content))


def written(folder, dataset):
    write_youtube_vis(dataset, folder / "after.json")
    return load_youtube_vis(folder / "after.json")


@QUICK
@given(content=contents(overlapping=True), crowd=st.booleans())
def test_coco_keeps_masks_and_identities(content, crowd, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    content["annotations"][0]["iscrowd"] = int(crowd)
    before = loaded(folder, content)
    write_coco_tracks(before, folder / "coco.json")
    after = written(folder, read_coco_tracks(folder / "coco.json", crowds="keep"))
    assert described(after, with_ids=True) == described(before, with_ids=True)
    assert after.categories.ids == before.categories.ids


@QUICK
@given(content=contents())
def test_indexed_png_keeps_masks_and_identities(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("png")
    before = loaded(folder, content)
    assert write_indexed_png(before, folder / "png") == ()
    dataset = read_indexed_png(folder / "png")
    assert dataset.remarks == ()
    after = written(folder, dataset)
    assert described(after, with_ids=True) == described(before, with_ids=True)
    assert after.categories.ids == before.categories.ids


@QUICK
@given(content=contents())
def test_mots_keeps_masks_and_identities(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mots")
    before = loaded(folder, content)
    assert write_mots(before, folder / "mots") == ()
    after = written(folder, read_mots(folder / "mots"))
    assert described(after, with_ids=False) == described(before, with_ids=False)
    assert set(before.categories.names) == set(after.categories.names)


def test_the_smaller_object_is_in_front_where_two_overlap(tmp_path):
    content = good_content()
    large, small = rectangle(0, 0, 30, 30), rectangle(10, 10, 5, 5)
    content["annotations"] = [annotation(1, 4, 1, [small] * 3), annotation(2, 4, 2, [large] * 3)]
    before = loaded(tmp_path, content)
    for write, read in ((write_indexed_png, read_indexed_png), (write_mots, read_mots)):
        folder = tmp_path / write.__name__
        assert write(before, folder) == (
            "Pixels that belonged to more than one object, and went to the smallest of them: 75.",
        )
        if write is write_mots:
            (folder / "one.txt").unlink()
        dataset = read(folder)
        video = next(video for video in dataset.videos if video.name == "two")
        by_category = {track.category_id: track.masks[1].decode() for track in video.tracks}
        assert np.array_equal(by_category[1], small)
        assert np.array_equal(by_category[2], large & ~small)


def test_crowds_become_regions_to_ignore(tmp_path):
    content = good_content()
    content["annotations"] = [
        annotation(1, 4, 1, [rectangle(0, 0, 9, 9)] * 3),
        annotation(2, 4, 2, [rectangle(5, 5, 20, 20)] * 3) | {"iscrowd": 1},
        annotation(3, 4, 2, [rectangle(7, 7, 20, 20)] * 3) | {"iscrowd": 1},
    ]
    before = loaded(tmp_path, content)
    assert write_indexed_png(before, tmp_path / "png") == ("Crowds that became regions to ignore: 2.",)
    label_map = np.asarray(Image.open(tmp_path / "png/Annotations/two/00000.png"))
    expected = np.where(rectangle(5, 5, 20, 20) | rectangle(7, 7, 20, 20), 255, 0)
    expected[:9, :9] = 1
    assert np.array_equal(label_map, expected)
    write_mots(before, tmp_path / "mots")
    lines = (tmp_path / "mots/two.txt").read_text().splitlines()
    assert [line.split()[1:3] for line in lines] == [["1001", "1"], ["10000", "10"]] * 3
    dataset = read_mots(tmp_path / "mots" / "two.txt")
    assert "Regions to ignore, left out: 3." in dataset.remarks
    assert [len(video.tracks) for video in dataset.videos] == [1]


def test_the_tenth_class_of_mots_is_left_to_regions_to_ignore(tmp_path):
    content = good_content()
    content["categories"] = [{"id": number, "name": f"c{number}"} for number in range(1, 13)]
    content["annotations"] = [annotation(1, 4, 10, [rectangle(0, 0, 9, 9)] * 3), content["annotations"][0]]
    before = loaded(tmp_path, content)
    write_mots(before, tmp_path / "mots")
    assert (tmp_path / "mots/two.txt").read_text().startswith("0 11001 11 ")
    after = written(tmp_path, read_mots(tmp_path / "mots"))
    assert after.categories.names == before.categories.names


def test_many_objects_do_not_fit_an_indexed_png(tmp_path):
    content = good_content()
    mask = compressed(rectangle(0, 0, 1, 1))
    content["annotations"] = [
        {"id": number, "video_id": 4, "category_id": 1, "segmentations": [mask, None, None]} for number in range(255)
    ]
    before = loaded(tmp_path, content)
    with pytest.raises(InputError, match=r"255 objects; an indexed PNG holds 254.*to-mots"):
        write_indexed_png(before, tmp_path / "png")
    assert not (tmp_path / "png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["before.json"]


def test_what_is_there_is_not_overwritten(tmp_path, capsys):
    from genvis.cli.main import main

    source = write_json(tmp_path / "a.json", good_content())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    for verb in ("to-mots", "to-indexed-png"):
        assert main(["data", "convert", verb, str(source), str(tmp_path / "out")]) == 2
        assert "exists already" in capsys.readouterr().err
    target = write_json(tmp_path / "b.json", {"mine": 1})
    assert main(["data", "convert", "to-coco", str(source), str(target)]) == 2
    assert json.loads(target.read_text()) == {"mine": 1}
    assert main(["data", "convert", "to-coco", str(source), str(target), "--overwrite"]) == 0
    assert len(json.loads(target.read_text())["images"]) == 7
