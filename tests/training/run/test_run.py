"""Runs from start to end: every stage learns, and a run that was killed continues as if nothing had happened."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from genvis.checkpoints.load import load_genvis
from genvis.errors import TrainingDiverged
from genvis.training.recipe.data_options import SourceOptions
from genvis.training.recipe.loss_options import LossWeights
from genvis.training.recipe.recipe import Recipe
from genvis.training.run import trainer as trainer_module
from genvis.training.run.progress import TrainingProgress
from genvis.training.run.run import build_data, build_module, train
from genvis.training.run.trainer import build_trainer
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


class KilledError(Exception):
    """Stands for a process that is gone."""


class KillAfter(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KilledError


def weights(recipe: Recipe, monkeypatch: pytest.MonkeyPatch, *, kill_after: int | None = None) -> dict[str, Any]:
    original = trainer_module._callbacks
    if kill_after is not None:
        with monkeypatch.context() as patch:
            patch.setattr(trainer_module, "_callbacks", lambda *a, **k: [*original(*a, **k), KillAfter(kill_after)])
            with pytest.raises(KilledError):
                train(recipe)
    folder = train(recipe)
    state = load_genvis(folder).state_dict()
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def randomised(recipe: Recipe) -> Recipe:
    recipe.loss.fixed_grid = 0
    recipe.loss.points = type(recipe.loss.points)(count=64)
    return recipe


@pytest.mark.parametrize(
    ("stage", "kill_after", "accumulate"),
    [
        ("detector", 2, 1),
        ("genvis", 2, 2),
        pytest.param("detector", 1, 2, marks=pytest.mark.slow),
        pytest.param("genvis", 1, 1, marks=pytest.mark.slow),
        pytest.param("genvis", 3, 1, marks=pytest.mark.slow),
        pytest.param("vita", 2, 1, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_continues_bit_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Any, kill_after: int, accumulate: int
) -> None:
    options = {"max_steps": kill_after + 1, "checkpoint_steps": 1, "accumulate": accumulate}
    whole = weights(randomised(tiny_recipe(tmp_path / "whole", stage, **options)), monkeypatch)
    broken = weights(randomised(tiny_recipe(tmp_path / "broken", stage, **options)), monkeypatch, kill_after=kill_after)
    assert whole.keys() == broken.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, broken[name]), name


def test_a_run_that_is_killed_after_a_validation_continues_bit_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe_of(name: str) -> Recipe:
        recipe = tiny_recipe(tmp_path / name, "genvis", max_steps=3, checkpoint_steps=1, validate_steps=1)
        recipe.data.validation = SourceOptions(height=64, width=64, split="validation")
        recipe.data.validation_videos, recipe.data.validation_frames = 1, 2
        return randomised(recipe)

    whole = weights(recipe_of("whole"), monkeypatch)
    broken = weights(recipe_of("broken"), monkeypatch, kill_after=3)
    assert all(torch.equal(tensor, broken[name]) for name, tensor in whole.items())


@pytest.mark.parametrize("stage", ["detector", "genvis", "vita"])
def test_only_what_the_stage_trains_changes(tmp_path: Path, stage: Any) -> None:
    recipe = tiny_recipe(tmp_path, stage)
    module = build_module(recipe)
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    trainer = build_trainer(recipe)
    trainer.fit(module, build_data(recipe, module))
    changed = {
        name.split(".")[0] for name, value in module.model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"detector": {"detector"}, "genvis": {"tracker"}, "vita": {"detector", "tracker"}}[stage]


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "detector", max_steps=12)
    recipe.optimizer.learning_rate = 3e-3
    module = build_module(recipe)
    losses: list[float] = []

    class Recorder(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
            losses.append(float(outputs["loss"]))

    trainer = build_trainer(recipe)
    trainer.callbacks.append(Recorder())
    trainer.fit(module, build_data(recipe, module))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    assert LossWeights() == recipe.loss.weights


def test_a_loss_that_is_not_finite_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    module = build_module(recipe)
    with torch.no_grad():
        module.model.detector.class_predictor.bias.fill_(float("nan"))
    recipe.loss.fixed_grid = 8
    before = module.model.detector.mask_projection.weight.clone()
    with pytest.raises(TrainingDiverged, match="diverged"):
        build_trainer(recipe).fit(module, build_data(recipe, module))
    assert torch.equal(before, module.model.detector.mask_projection.weight)


def test_the_loss_guard_names_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(tmp_path)
    module = build_module(recipe)
    original = module.losses
    monkeypatch.setattr(
        module,
        "losses",
        lambda batch: {k: v * (float("inf") if module.global_step else 1.0) for k, v in original(batch).items()},
    )
    with pytest.raises(TrainingDiverged, match="loss is inf in step 1: training diverged"):
        build_trainer(recipe).fit(module, build_data(recipe, module))


def test_a_finished_run_is_not_trained_again_even_without_its_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe(tmp_path / "run", max_steps=1)
    model = train(recipe)
    before = (model / "model.safetensors").stat().st_mtime_ns
    for checkpoint in (tmp_path / "run" / "checkpoints").iterdir():
        checkpoint.unlink()
    assert train(recipe) == model
    assert "has finished, and its checkpoints are gone" in capsys.readouterr().out
    assert (model / "model.safetensors").stat().st_mtime_ns == before


def test_a_frozen_backbone_stays_as_it_is(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path / "run", max_steps=1)
    recipe.model.freeze_backbone = True
    module = build_module(recipe)
    before = {name: tensor.clone() for name, tensor in module.model.detector.state_dict().items()}
    after = load_genvis(train(recipe)).detector.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("pixel_level_module.encoder" in name for name in changed)


def test_a_long_run_says_soon_how_long_it_will_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress(every=50)
    trainer = SimpleNamespace(global_step=0, max_steps=10_000, accumulate_grad_batches=1, callback_metrics={})
    progress.on_train_start(trainer, None)  # type: ignore[arg-type]
    progress._begun = (0, progress._begun[1] - 300.0)
    for step in (1, 2, 3, 4):
        trainer.global_step = step
        progress.on_train_batch_end(trainer, None, None, None, step - 1)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.count("9,997 steps to go at 100.") == 1
    assert "277.7 h left" in said
