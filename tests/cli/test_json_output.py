"""`--json`: every verb that prints a table also prints JSON, and nothing else, on the standard output."""

import json
from pathlib import Path
from typing import Any

import pytest

from genvis.cli.main import main
from genvis.training.recipe.loading import save_recipe
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = ["--videos", "3", "--length", "2", "--height", "48", "--width", "80"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json") / "set"
    assert main(["data", "sprites", str(folder), *SMALL]) == 0
    return folder


def printed(words: list[str], capsys: pytest.CaptureFixture[str], *, status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert any(entry["is_default"] for entry in printed(["models"], capsys))
    shown = printed(["models", "show", "sprites-tiny"], capsys)
    assert shown["name"] == "sprites-tiny"
    assert shown["trained_on"] == "sprites (generated)"


def test_segmenting(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(next((videos / "frames").iterdir()))
    words = ["predict", folder, "--weights", "sprites-tiny", "-o", str(tmp_path / "out"), "--score-threshold", "0"]
    video = printed(words, capsys)
    assert (video["frames"], video["height"], video["width"]) == (2, 48, 80)
    assert {"id", "label", "score", "frames_seen", "first_frame", "last_frame"} == set(video["tracks"][0])
    assert all(Path(path).exists() for path in video["files"])
    assert video["problem"] is None


def test_several_videos_are_a_line_each(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(folder) for folder in sorted((videos / "frames").iterdir())]
    assert main(["predict", *folders, "--weights", "sprites-tiny", "-o", str(tmp_path), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["video"] for line in lines] == [Path(folder).name for folder in folders]


def test_scores(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text("[]")
    words = ["eval", str(tmp_path / "results.json"), "--annotations", str(videos / "annotations.json")]
    assert printed(words, capsys)["scores"]["ap"] == 0


def test_data(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(videos / "annotations.json")
    sheet = ["--contact-sheet", str(tmp_path / "sheet.png")]
    assert printed(["data", "check", file, *sheet], capsys)["summary"]["videos"] == 3
    parts = printed(["data", "split", file, "--output", str(tmp_path), "--validation", "0.3"], capsys)
    assert (parts["train"]["videos"], parts["validation"]["videos"]) == (2, 1)


def test_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ovis-r50-online" in {entry["name"] for entry in printed(["train", "--list"], capsys)}
    save_recipe(tiny_recipe(tmp_path / "run", "genvis"), tmp_path / "recipe.yaml")
    costs = printed(["train", str(tmp_path / "recipe.yaml"), "--dry-run"], capsys)
    assert costs["stage"] == "genvis"
    assert 0 < costs["step_seconds"] < costs["seconds"]
    assert any(part["trained"] == 0 for part in costs["parts"])
