import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths

from genvis.categories import known_categories
from genvis.cli.main import main
from genvis.data.sprites import SpriteVideos, render
from genvis.data.sprites.sprite_export import export_sprites, occlusion_level
from genvis.errors import InputError


@pytest.fixture(scope="module")
def dataset():
    return SpriteVideos(3, height=48, width=80, length=25, difficulty="hard")


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("export") / "set"
    assert export_sprites(dataset, output) == output / "annotations.json"
    return output


@pytest.fixture(scope="module")
def content(folder):
    return json.loads((folder / "annotations.json").read_text())


def test_annotations_are_exactly_what_is_drawn(dataset, content):
    for video in content["videos"]:
        scene = dataset.scene(video["id"] - 1)
        owners = np.stack([frame.owners for frame in render(scene)])
        annotations = [record for record in content["annotations"] if record["video_id"] == video["id"]]
        seen = np.unique(owners[owners > 0])
        assert len(annotations) == len(seen)
        for record, owner in zip(annotations, seen, strict=True):
            mask = owners == owner
            assert record["category_id"] == known_categories("ovis").ids[scene.looks[owner - 1].label]
            assert (record["height"], record["width"], record["length"]) == (48, 80, 25)
            for frame in range(25):
                values = [record[key][frame] for key in ("segmentations", "bboxes", "areas", "occlusion")]
                if not mask[frame].any():
                    assert values == [None] * 4
                    continue
                segmentation, box, area, _ = values
                assert isinstance(segmentation["counts"], str)
                np.testing.assert_array_equal(run_lengths.decode(segmentation), mask[frame])
                rows, columns = np.nonzero(mask[frame])
                assert box == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert area == mask[frame].sum()


def test_some_frames_lack_objects_and_all_levels_of_occlusion_occur(content):
    levels = {level for record in content["annotations"] for level in record["occlusion"]}
    assert levels == {None, "no_occlusion", "slight_occlusion", "severe_occlusion"}


def test_header(content):
    assert [(record["id"], record["name"]) for record in content["categories"]] == list(
        zip(known_categories("ovis").ids, known_categories("ovis").names, strict=True)
    )
    assert len({record["id"] for record in content["annotations"]}) == len(content["annotations"])
    assert all(record["iscrowd"] == 0 for record in content["annotations"])


def test_frames_are_the_drawn_ones_but_for_jpeg(dataset, folder, content):
    for video in content["videos"]:
        assert len(video["file_names"]) == video["length"] == 25
        for name, frame in zip(video["file_names"], render(dataset.scene(video["id"] - 1)), strict=True):
            with Image.open(folder / "frames" / name) as image:
                assert image.size == (80, 48)
                assert np.abs(np.asarray(image, dtype=float) - frame.image).mean() < 4.0


def test_credit_and_settings_lie_beside_the_frames(folder):
    assert "All emojis designed by OpenMoji" in (folder / "CREDITS.txt").read_text()
    assert "CC BY-SA 4.0" in (folder / "CREDITS.txt").read_text()
    settings = json.loads((folder / "sprites.json").read_text())
    assert (settings["seed"], settings["split"], settings["difficulty"]["pace"]) == (0, "train", 10)
    assert {path.name for path in folder.iterdir()} == {"annotations.json", "frames", "sprites.json", "CREDITS.txt"}


def test_occlusion_levels():
    assert occlusion_level(seen=100, whole=100) == "no_occlusion"
    assert occlusion_level(seen=98, whole=100) == "no_occlusion"
    assert occlusion_level(seen=97, whole=100) == "slight_occlusion"
    assert occlusion_level(seen=51, whole=100) == "slight_occlusion"
    assert occlusion_level(seen=50, whole=100) == "severe_occlusion"
    assert occlusion_level(seen=1, whole=100) == "severe_occlusion"


def small(**arguments):
    return SpriteVideos(1, height=32, width=32, length=2, **arguments)


def test_a_folder_is_replaced_only_on_demand_and_only_if_it_is_ours(tmp_path):
    output = tmp_path / "set"
    export_sprites(small(), output)
    before = (output / "annotations.json").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        export_sprites(small(seed=1), output)
    assert (output / "annotations.json").read_bytes() == before
    export_sprites(small(seed=1), output, overwrite=True)
    assert (output / "annotations.json").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"no sprites\.json"):
        export_sprites(small(), tmp_path / "mine", overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        export_sprites(small(), tmp_path / "mine" / "thesis.tex", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"set", "mine"}


def test_an_interrupted_export_leaves_nothing_and_the_old_set_untouched(tmp_path):
    output = tmp_path / "set"
    export_sprites(small(), output)
    before = (output / "annotations.json").read_bytes()

    def interrupt():
        raise KeyboardInterrupt

    for target, overwrite in ((tmp_path / "new", False), (output, True)):
        with pytest.raises(KeyboardInterrupt):
            export_sprites(small(seed=1), target, overwrite=overwrite, on_frame=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert (output / "annotations.json").read_bytes() == before


def test_every_frame_is_reported(tmp_path):
    calls = []
    export_sprites(small(), tmp_path / "set", on_frame=lambda: calls.append(1))
    assert len(calls) == 2


def test_command_line(tmp_path, capsys):
    words = ["sprites", str(tmp_path / "set"), "--videos=2", "--length=3", "--height=32", "--width=48"]
    words += [
        "--difficulty=easy",
        "--min-objects=2",
        "--max-objects",
        "3",
        "--look_alikes=1",
        "--split=validation",
        "--seed=4",
    ]
    assert main(["data", *words]) == 0
    assert "2 videos, 6 frames" in capsys.readouterr().out
    settings = json.loads((tmp_path / "set" / "sprites.json").read_text())
    assert settings["difficulty"]["objects"] == [2, 3]
    assert (settings["split"], settings["seed"], settings["length"]) == ("validation", 4, 3)
    assert main(["data", *words]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["data", *words, "--overwrite"]) == 0
