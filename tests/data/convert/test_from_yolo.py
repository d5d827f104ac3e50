from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.check import check_annotations
from genvis.data.convert.yolo import read_yolo
from genvis.errors import InputError

NAMES = "names:\n  0: fish\n  1: giant ray\n"


def dataset(root: Path, labels: dict[str, str], *, yaml: str = f"path: .\ntrain: images/train\n{NAMES}") -> Path:
    """A data set of images of 40x20 with these lines of labels by name."""
    (root / "data.yaml").write_text(yaml)
    for name, lines in labels.items():
        image, text = root / "images" / f"{name}.jpg", root / "labels" / f"{name}.txt"
        image.parent.mkdir(parents=True, exist_ok=True)
        text.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(image)
        text.write_text(lines)
    return root


def square(category: int, left: float, *, track_id: int | None = None) -> str:
    """A quarter of the width and half of the height."""
    corners = [left, 0.25, left + 0.25, 0.25, left + 0.25, 0.75, left, 0.75]
    return " ".join(map(str, [category, *corners, *([] if track_id is None else [track_id])])) + "\n"


def test_images_are_videos_of_one_frame(tmp_path: Path):
    root = dataset(tmp_path, {"train/b": square(1, 0) + square(0, 0.5) + "0 0.5 0.5 0.2 0.2\n", "train/a": ""})
    (root / "images" / "train" / "c.png").write_bytes((root / "images" / "train" / "a.jpg").read_bytes())
    converted = read_yolo(root)
    assert [(category.id, category.name) for category in converted.categories] == [(1, "fish"), (2, "giant ray")]
    assert [video.file_names for video in converted.videos] == [
        ("images/train/a.jpg",),
        ("images/train/b.jpg",),
        ("images/train/c.png",),
    ]
    tracks = converted.videos[1].tracks
    assert [(track.id, track.category_id, track.masks[0].box) for track in tracks] == [
        (1, 2, (0, 5, 10, 10)),
        (2, 1, (20, 5, 10, 10)),
    ]
    assert len(converted.remarks) == 3


def test_track_ids_make_videos(tmp_path: Path):
    labels = {f"train/reef_{frame}": square(0, frame / 20, track_id=7) for frame in (2, 10, 1)}
    labels |= {f"train/bay-{frame:03d}": square(1, 0.1, track_id=3) for frame in (1, 2)}
    converted = read_yolo(dataset(tmp_path, labels))
    videos = {video.name: video for video in converted.videos}
    assert set(videos) == {"reef", "bay"}
    assert videos["reef"].file_names == tuple(f"images/train/reef_{frame}.jpg" for frame in (1, 2, 10))
    (track,) = videos["reef"].tracks
    assert (track.id, sorted(track.masks)) == (7, [0, 1, 2])


def test_the_command_writes_what_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    yaml = f"train: images/train\nval: [images/val, more.txt]\n{NAMES}"
    root = dataset(tmp_path, {"train/a": square(0, 0), "val/b": square(1, 0), "test/c": square(1, 0.2)}, yaml=yaml)
    (root / "more.txt").write_text("images/test/c.jpg\n")
    assert main(["data", "convert", "from-yolo", str(root), str(root / "yolo.json")]) == 0
    assert "3 videos, 3 frames, 3 objects, 3 masks" in capsys.readouterr().out
    assert check_annotations(root / "yolo.json", root).passed
    words = ["data", "convert", "from-yolo", str(root / "data.yaml"), str(root / "train.json"), "--splits", "train"]
    assert main(words) == 0
    assert len(load_youtube_vis(root / "train.json")) == 1


@pytest.mark.parametrize(
    ("yaml", "lines", "sentence"),
    [
        ("[", "", "cannot be read as YAML"),
        ("3", "", "is no data.yaml"),
        ("train: images\n", "", "no list 'names'"),
        (f"train: nowhere\n{NAMES}", "", "names the images 'nowhere', which are not in"),
        (f"train: ../..\n{NAMES}", "", "which is outside of"),
        (f"train: 3\n{NAMES}", "", "names 3 as a place of images"),
        (f"train: images\n{NAMES}", "2 0 0 1 0 1 1\n", "Line 1 of .* has 2 as its class: there are 0 to 1"),
        (f"train: images\n{NAMES}", "0.5 0 0 1 0 1 1\n", "has 0.5 as its class"),
        (f"train: images\n{NAMES}", "0 0 0 1 0 1 nan\n", "has 0 as its class|no number"),
        (f"train: images\n{NAMES}", "0 0 0 x 0 1 1\n", "something that is no number"),
        (f"train: images\n{NAMES}", "0 0 0 1e9 0 1 1\n", "A polygon of .* is wrong"),
    ],
)
def test_damaged_data_sets_are_one_sentence(tmp_path: Path, yaml: str, lines: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        read_yolo(dataset(tmp_path, {"a": lines}, yaml=yaml))


def test_splits_that_are_not_there_are_named(tmp_path: Path):
    root = dataset(tmp_path, {"train/a": square(0, 0)})
    with pytest.raises(InputError, match="has no images for 'val'; it has 'train'"):
        read_yolo(root, splits=["val"])
    with pytest.raises(InputError, match="There is no file"):
        read_yolo(tmp_path / "none" / "data.yaml")
