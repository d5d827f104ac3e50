"""`genvis train`: help, lists, aliases, dry runs and mistakes."""

from pathlib import Path

import pytest

from genvis.cli.main import main
from genvis.cli.train import train
from genvis.errors import InputError
from genvis.training.recipe.loading import save_recipe
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


def test_help_and_list_name_options_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 0
    text = capsys.readouterr().out
    assert "--optimizer.learning_rate" in text
    assert "ovis-r50-semi-online" in text
    assert main(["train", "--list"]) == 0
    assert "VITA on YouTube-VIS 2019" in capsys.readouterr().out


def test_the_recipe_comes_first() -> None:
    with pytest.raises(InputError, match="The recipe comes first"):
        train("--run.max_steps", "3")


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_recipe(tiny_recipe(tmp_path / "run", "genvis"), tmp_path / "recipe.yaml")
    assert main(["train", str(tmp_path / "recipe.yaml"), "--dry-run"]) == 0
    text = capsys.readouterr().out
    for word in ("Stage genvis", "tracker", "frozen", "s a step", "GB at the peak"):
        assert word in text
    assert not (tmp_path / "run").exists()


def test_a_dry_run_of_a_cached_recipe_makes_no_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_recipe(tiny_recipe(tmp_path / "run", "genvis"), tmp_path / "recipe.yaml")
    options = ["--cache.folder", str(tmp_path / "cache"), "--cache.views", "40"]
    assert main(["train", str(tmp_path / "recipe.yaml"), *options, "--dry-run"]) == 0
    assert "Cache 40 views" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_run_leaves_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_recipe(tiny_recipe(tmp_path / "run"), tmp_path / "recipe.yaml")
    assert main(["train", str(tmp_path / "recipe.yaml"), "--run.max_steps", "1", "-o", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "model" / "model.safetensors").is_file()
    assert "genvis predict VIDEO --weights" in capsys.readouterr().out


def test_a_dry_run_works_before_weights_and_data_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--data.batch_size", "1", "--data.clips", "2", "--data.augmentation.short_sides", "[64]"]
    small += ["--loss.points.count", "64", "--run.precision", "32-true", "--run.accelerator", "cpu"]
    assert main(["train", "ovis-r50-online", "--dry-run", *small]) == 0
    text = capsys.readouterr().out
    assert "weights 'runs/vita-ovis-r50/model' are not here yet" in text
    assert "data 'datasets/coco/annotations/instances_train2017.json' is not here yet" in text
    assert "backbone" in text
    assert "s a step" in text
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_second_stage_names_the_weights_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("base: base-own-genvis.yaml\nmodel: {init: runs/mine-detector/model}\n")
    assert main(["train", "mine.yaml", "--dry-run"]) == 2
    assert "runs/mine-detector/model" in capsys.readouterr().err
