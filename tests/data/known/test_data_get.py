"""`genvis data get`: facts of public data sets, and the layout of what was downloaded."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.known.known_datasets import known_datasets
from genvis.data.known.layout import lay_out
from genvis.errors import InputError
from genvis.masks import RLEMask
from genvis.training.recipe.loading import bundled_recipes, load_recipe
from tests.data.convert.sample_sets import good_content, rectangle, write_images, write_json


def downloaded_ovis(folder: Path) -> Path:
    """What unpacking the files of OVIS gives, only smaller."""
    write_json(folder / "annotations_train.json", good_content())
    write_images(folder / "images" / "train", good_content())
    return folder


def printed(words: list[str], capsys: pytest.CaptureFixture[str], *, status: int = 0) -> str:
    assert main(["data", "get", *words]) == status
    return " ".join(capsys.readouterr().out.split())


def test_all_data_sets_are_listed_with_their_page(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed([], capsys)
    assert all(dataset.name in said for dataset in known_datasets())
    listed = json.loads(printed(["--json"], capsys))
    assert {entry["name"] for entry in listed} == {dataset.name for dataset in known_datasets()}


def test_one_data_set_says_where_it_is_and_under_which_terms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = printed(["ovis"], capsys)
    for words in ("https://songbai.site/ovis/", "research only", "recipes: ovis-*", "--downloaded FOLDER"):
        assert words in said
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "get", "ytvis_2020"]) == 2
    assert "did you mean ytvis_20" in capsys.readouterr().err


def test_what_was_downloaded_is_laid_out_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = downloaded_ovis(tmp_path / "got" / "nested")
    said = printed(["ovis", "--downloaded", str(tmp_path / "got")], capsys, status=1)
    assert "train: 2 videos or images, 7 frames, 7 of them here; check: 0 errors" in said
    assert "train: 2 videos or images instead of 607." in said
    assert "valid: there is no annotation file." in said
    laid = load_youtube_vis("datasets/ovis/annotations_train.json")
    assert (Path("datasets/ovis/train") / laid.video(0).file_names[0]).is_file()
    assert (source / "annotations_train.json").is_file()
    again = json.loads(printed(["ovis", "--json"], capsys))
    assert again["here"][0]["missing"] == 0


def test_an_old_python_that_would_unpack_anything_unpacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, downloads = downloaded_ovis(tmp_path / "content"), tmp_path / "downloads"
    downloads.mkdir()
    with tarfile.open(downloads / "train.tar.gz", "w:gz") as bundle:
        bundle.add(content, ".")
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    dataset = next(dataset for dataset in known_datasets() if dataset.name == "ovis")
    with pytest.raises(InputError, match=r"train\.tar\.gz' cannot be unpacked safely by Python .*3\.11\.4"):
        lay_out(dataset, downloads, tmp_path / "ovis")


@pytest.mark.parametrize(
    "packed",
    ["zip", pytest.param("tar.gz", marks=pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="old Python"))],
)
def test_archives_are_unpacked(tmp_path: Path, packed: str) -> None:
    content, downloads = downloaded_ovis(tmp_path / "content"), tmp_path / "downloads"
    downloads.mkdir()
    if packed == "zip":
        with zipfile.ZipFile(downloads / "train.zip", "w") as archive:
            for path in content.rglob("*"):
                archive.write(path, path.relative_to(content))
    else:
        with tarfile.open(downloads / "train.tar.gz", "w:gz") as bundle:
            bundle.add(content, ".")
    dataset = next(dataset for dataset in known_datasets() if dataset.name == "ovis")
    train, _ = lay_out(dataset, downloads, tmp_path / "ovis")
    assert (train.videos, train.frames, train.missing) == (2, 7, 0)


def test_a_damaged_archive_and_an_empty_folder_are_one_sentence(tmp_path: Path) -> None:
    dataset = known_datasets()[0]
    with pytest.raises(InputError, match=r"holds no annotations of YouTube-VIS 2019 \(train.json, valid.json\)"):
        lay_out(dataset, tmp_path, tmp_path / "out")
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"a.zip' cannot be unpacked"):
        lay_out(dataset, tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="There is no folder"):
        lay_out(dataset, tmp_path / "none", tmp_path / "out")


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    with zipfile.ZipFile(tmp_path / "downloads" / "a.zip", "w") as archive:
        archive.writestr("../../evil.json", "{}")
    with pytest.raises(InputError, match="holds no annotations"):
        lay_out(known_datasets()[0], tmp_path / "downloads", tmp_path / "out" / "set")
    assert not (tmp_path / "evil.json").exists()
    assert not (tmp_path / "out" / "evil.json").exists()


def burst(*, category: int = 4) -> dict[str, Any]:
    masks = [RLEMask.encode(rectangle(4, 5, 8, 6)).to_coco()["counts"] for _ in range(2)]
    return {
        "split": "val",
        "categories": [{"id": 4, "name": "dog"}, {"id": 9, "name": "kite"}],
        "sequences": [
            {
                "width": 64,
                "height": 48,
                "id": 1,
                "seq_name": "walk",
                "dataset": "BDD",
                "all_image_paths": ["0.jpg", "1.jpg", "2.jpg"],
                "annotated_image_paths": ["0.jpg", "2.jpg"],
                "track_category_ids": {"7": category},
                "segmentations": [{"7": {"rle": masks[0], "is_gt": True}}, {"7": {"rle": masks[1]}}],
            }
        ],
    }


def test_burst_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_json(tmp_path / "all_classes.json", burst())
    assert main(["data", "convert", "from-burst", str(source), str(tmp_path / "burst.json")]) == 0
    assert "does not annotate every object" in " ".join(capsys.readouterr().out.split())
    annotations = load_youtube_vis(tmp_path / "burst.json")
    assert annotations.categories.names == ("dog",)
    assert annotations.video(0).file_names == ("BDD/walk/0.jpg", "BDD/walk/2.jpg")
    assert (annotations.masks(0)[0, 1] == rectangle(4, 5, 8, 6)).all()


def test_burst_is_converted_when_it_is_laid_out(tmp_path: Path) -> None:
    write_json(tmp_path / "got" / "annotations" / "val" / "all_classes.json", burst())
    images = tmp_path / "got" / "frames" / "val" / "BDD" / "walk"
    images.mkdir(parents=True)
    for name in ("0.jpg", "2.jpg"):
        Image.new("RGB", (64, 48)).save(images / name)
    dataset = next(dataset for dataset in known_datasets() if dataset.name == "burst")
    _, val = lay_out(dataset, tmp_path / "got", tmp_path / "burst")
    assert (val.videos, val.frames, val.missing) == (1, 2, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sequences": 3}, "no lists 'sequences'"),
        ({"sequences": [{"dataset": "a", "seq_name": "b"}]}, "is damaged"),
        ({"categories": []}, "category 4, which it does not define"),
    ],
)
def test_a_damaged_file_of_burst_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    source = write_json(tmp_path / "all_classes.json", burst() | change)
    assert main(["data", "convert", "from-burst", str(source), str(tmp_path / "burst.json")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "burst.json").exists()


def test_the_layout_is_where_the_recipes_look() -> None:
    known = {
        (f"datasets/{dataset.name}/{split.annotations}", f"datasets/{dataset.name}/{split.images}")
        for dataset in known_datasets()
        for split in dataset.splits
    }
    for name in bundled_recipes():
        for source in load_recipe(name).data.sources:
            if source.kind != "sprites":
                assert (source.annotations, source.images) in known, name
