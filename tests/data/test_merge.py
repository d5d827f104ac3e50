"""Merging annotation files: categories by name, ids anew, images of COCO as videos of one frame."""

import json
from pathlib import Path

import pytest
from PIL import Image

from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.check import check_annotations
from genvis.data.merge import merge_annotations
from genvis.errors import InputError
from tests.data.convert.sample_sets import good_content, write_images, write_json

SQUARE = [[4.0, 4.0, 20.0, 4.0, 20.0, 20.0, 4.0, 20.0]]


def coco(folder: Path, *, category: str = "kite", name: str = "a.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(folder / name)
    return write_json(
        folder / "instances.json",
        {
            "images": [{"id": 9, "file_name": name, "height": 48, "width": 64}],
            "categories": [{"id": 3, "name": category}],
            "annotations": [{"id": 5, "image_id": 9, "category_id": 3, "segmentation": SQUARE, "iscrowd": 0}],
        },
    )


def test_videos_and_images_become_one_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = write_json(tmp_path / "reef" / "a.json", good_content())
    write_images(tmp_path / "reef", good_content())
    stills = coco(tmp_path / "stills")
    words = ["data", "merge", str(videos), str(stills), str(tmp_path / "all.json")]
    words += ["--images", str(tmp_path / "reef"), "--images", str(tmp_path / "stills")]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3 videos (1 of them single images), 8 frames, 4 objects" in said
    assert f"start from {tmp_path}" in said.replace(" ", "").replace("startfrom", " start from ").strip() or str(
        tmp_path
    ) in said.replace(" ", "")
    merged = load_youtube_vis(tmp_path / "all.json")
    assert len(merged) == 3
    assert merged.video(2).file_names == ("stills/a.png",)
    names = merged.categories.names
    assert names.count("kite") == 1
    assert names[merged.tracks(2)[0].label] == "kite"
    before = load_youtube_vis(videos)
    assert (merged.masks(0) == before.masks(0)).all()
    assert check_annotations(tmp_path / "all.json", tmp_path).passed
    assert main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err


def test_an_image_that_two_files_annotate_is_refused(tmp_path: Path) -> None:
    first, second = coco(tmp_path / "one"), coco(tmp_path / "two", category="ball")
    with pytest.raises(InputError, match=r"'a.png' is annotated in .*one.* and in .*two.*: annotate it in one file"):
        merge_annotations([first, second], tmp_path / "all.json")
    assert not (tmp_path / "all.json").exists()


def test_names_that_differ_by_their_capitals_are_pointed_out(tmp_path: Path) -> None:
    first, second = coco(tmp_path / "one"), coco(tmp_path / "two", category="Kite", name="b.png")
    merged = merge_annotations([first, second], tmp_path / "all.json")
    assert merged.tracks_of_category == {"kite": 1, "Kite": 1}
    assert merged.remarks == ("'Kite' and 'kite' stay two categories: rename one if they are the same.",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"images": [], "categories": [], "annotations": 3}, "no list 'annotations'"),
        ({"images": [{"id": 1}], "categories": [], "annotations": []}, "record 1 .* has no file names"),
        ({"images": [{"file_name": "a"}], "categories": [], "annotations": []}, r"images\[0\] .* has no id"),
        ({"images": [], "categories": [{"id": 1}], "annotations": []}, "category 1 .* has no name"),
        (
            {"images": [], "categories": [], "annotations": [{"image_id": 1, "category_id": 2}]},
            "image_id 1 and category 2, which are not both",
        ),
    ],
)
def test_what_cannot_be_merged_is_one_sentence(tmp_path: Path, content: object, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        merge_annotations([path], tmp_path / "all.json")


def test_folders_must_be_one_or_one_for_each_file(tmp_path: Path) -> None:
    files = [coco(tmp_path / "one"), coco(tmp_path / "two", name="b.png"), coco(tmp_path / "three", name="c.png")]
    with pytest.raises(InputError, match="3 files but 2 folders"):
        merge_annotations(files, tmp_path / "all.json", images=[tmp_path / "one", tmp_path / "two"])
