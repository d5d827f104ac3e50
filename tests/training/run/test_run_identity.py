"""A run knows what it belongs to: other settings, data or weights never continue it; a finished run is left alone."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genvis.checkpoints.load import load_genvis
from genvis.data.sprites.dataset import SpriteVideos
from genvis.data.sprites.sprite_export import export_sprites
from genvis.errors import InputError
from genvis.fingerprint import claim
from genvis.training.recipe.data_options import SourceOptions
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.run import build_module, train
from genvis.training.run.run_identity import MAY_CHANGE, run_fingerprint
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


def recipe_of(folder: Path, **run: Any) -> Recipe:
    return tiny_recipe(folder / "run", "genvis", **({"max_steps": 1} | run))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_genvis(folder).state_dict()
    return state


def _rate(recipe: Recipe) -> None:
    recipe.optimizer.learning_rate *= 10


def _assignment(recipe: Recipe) -> None:
    recipe.loss.assignment = "correspondence"


def _seed(recipe: Recipe) -> None:
    recipe.run.seed = 5


def _clips(recipe: Recipe) -> None:
    recipe.data.frames_per_clip = 2


def _precision(recipe: Recipe) -> None:
    recipe.run.precision = "bf16-mixed"


def _accumulate(recipe: Recipe) -> None:
    recipe.run.accumulate = 2


def _network(recipe: Recipe) -> None:
    recipe.model.config = recipe.model.config | {"memory_read": "none"}


def _difficulty(recipe: Recipe) -> None:
    recipe.data.sources[0].difficulty = "hard"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_rate, r"optimizer\.learning_rate was 0\.001, now 0\.01"),
        (_assignment, r"loss\.assignment"),
        (_seed, r"model\.weights|run\.seed"),
        (_clips, r"data\.frames_per_clip|clip_length"),
        (_precision, r"run\.precision"),
        (_accumulate, r"run\.accumulate"),
        (_network, r"memory_read|model\.weights"),
        (_difficulty, r"data\.sources\.0\.difficulty"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, change: Callable[[Recipe], None], named: str) -> None:
    folder = train(recipe_of(tmp_path))
    saved, recipe_file = weights(folder), (tmp_path / "run" / "recipe.yaml").read_bytes()
    other = recipe_of(tmp_path, max_steps=2)
    change(other)
    with pytest.raises(InputError, match=named) as raised:
        train(other)
    assert "--run.output" in str(raised.value)
    assert "--run.resume false" in str(raised.value)
    assert (tmp_path / "run" / "recipe.yaml").read_bytes() == recipe_file
    after = weights(folder)
    assert all(torch.equal(value, saved[name]) for name, value in after.items())


def test_what_may_change_may_change(tmp_path: Path) -> None:
    train(recipe_of(tmp_path))
    other = recipe_of(tmp_path, max_steps=2, threads=1, log_steps=3, checkpoint_steps=1, accelerator="auto")
    other.data.workers = 1
    other.run.tensorboard = True
    shutil.move(tmp_path / "run", tmp_path / "moved")
    other.run.output = str(tmp_path / "moved")
    train(other)
    content = torch.load(tmp_path / "moved" / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 2


def test_the_documents_list_what_may_change() -> None:
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    for section, names in MAY_CHANGE.items():
        for name in names:
            assert f"`{section}.{name}`" in text, name


def test_the_weight_of_no_object_counts_once_as_in_runs_from_before_models_said_it(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "genvis")
    parts = run_fingerprint(recipe, build_module(recipe).model).parts
    assert [name for name in parts if "no_object" in name] == ["loss.weights.no_object"]


def test_a_finished_run_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(recipe_of(tmp_path))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(recipe_of(tmp_path)) == folder
    assert "has finished its 1 steps" in capsys.readouterr().out
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"max_steps is 2, but .* has taken 3 steps"):
        train(recipe_of(tmp_path, max_steps=3)) and train(recipe_of(tmp_path, max_steps=2))


def test_a_longer_run_is_one_that_was_never_interrupted(tmp_path: Path) -> None:
    whole = weights(train(recipe_of(tmp_path / "whole", max_steps=3)))
    for steps in (1, 3):
        parts = weights(train(recipe_of(tmp_path / "parts", max_steps=steps)))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_starting_over_forgets_the_earlier_run(tmp_path: Path) -> None:
    train(recipe_of(tmp_path, max_steps=2))
    other = recipe_of(tmp_path, resume=False)
    other.run.seed = 3
    fresh = recipe_of(tmp_path / "fresh")
    fresh.run.seed = 3
    left, right = weights(train(other)), weights(train(fresh))
    assert all(torch.equal(value, right[name]) for name, value in left.items())


def test_checkpoints_of_unknown_settings_are_refused(tmp_path: Path) -> None:
    train(recipe_of(tmp_path))
    record = tmp_path / "run" / "fingerprint.json"
    record.unlink()
    with pytest.raises(InputError, match="settings are not known"):
        train(recipe_of(tmp_path, max_steps=2))
    record.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        train(recipe_of(tmp_path, max_steps=2))


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with claim(tmp_path / "run"), pytest.raises(InputError, match="Another run"):
        train(recipe_of(tmp_path))


@pytest.fixture
def from_files(tmp_path: Path) -> Recipe:
    export_sprites(SpriteVideos(2, height=64, width=64, length=3), tmp_path / "set")
    recipe = recipe_of(tmp_path)
    recipe.data.sources = [
        SourceOptions(
            kind="youtube_vis",
            annotations=str(tmp_path / "set" / "annotations.json"),
            images=str(tmp_path / "set" / "frames"),
        )
    ]
    recipe.data.augmentation.kind = "none"
    return recipe


def test_annotations_count_by_content_and_images_by_their_files(tmp_path: Path, from_files: Recipe) -> None:
    train(from_files)
    from_files.run.max_steps = 2
    source = from_files.data.sources[0]
    annotations = Path(source.annotations)
    whole = annotations.read_text()

    document = json.loads(whole)
    document["annotations"] = document["annotations"][1:]
    annotations.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"data\.sources\.0\.annotations"):
        train(from_files)
    annotations.write_text(whole)

    image = next(Path(source.images).rglob("*.jpg"), None) or next(Path(source.images).rglob("*.png"))
    status = image.stat()
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    with pytest.raises(InputError, match=r"data\.sources\.0\.images"):
        train(from_files)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))

    shutil.move(tmp_path / "set", tmp_path / "elsewhere")
    source.annotations = str(tmp_path / "elsewhere" / "annotations.json")
    source.images = str(tmp_path / "elsewhere" / "frames")
    train(from_files)
