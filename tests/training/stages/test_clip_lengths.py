"""Mixed clip lengths: every step draws one, divides the same frames by it and weighs as much as any other."""

import json
import math
from pathlib import Path

import pytest
import torch

from genvis.errors import InputError
from genvis.training.recipe.checks import check_recipe
from genvis.training.run.run import build_data, build_module
from genvis.training.run.run_identity import run_fingerprint
from genvis.training.run.trainer import build_trainer
from genvis.training.stages import genvis_stage
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


def mixed(output: Path, *lengths: int, clips: int = 6, **run):
    recipe = tiny_recipe(output, "genvis", **run)
    recipe.data.clips = clips
    recipe.loss.clip_lengths = list(lengths)
    return recipe


def test_every_length_is_drawn_and_divides_the_same_frames(tmp_path, monkeypatch):
    recipe = mixed(tmp_path, 1, 2, 3)
    module = build_module(recipe)
    data = build_data(recipe, module)
    batch = data.collate_items([data.stream[0], data.stream[1]])
    drawn = []
    whole = genvis_stage.clip_losses

    def spied(*arguments, frames_per_clip, **named):
        losses = whole(*arguments, frames_per_clip=frames_per_clip, **named)
        drawn.append((frames_per_clip, losses))
        return losses

    monkeypatch.setattr(genvis_stage, "clip_losses", spied)
    for step in range(12):
        torch.manual_seed(step)
        losses = module.losses(batch)
        length, unweighted = drawn[-1]
        assert {name.rpartition("clip")[2] for name in losses} == {str(clip) for clip in range(math.ceil(6 / length))}
        weight = 6 / math.ceil(6 / length)
        for name, value in losses.items():
            torch.testing.assert_close(value, weight * unweighted[name])
    assert {length for length, _ in drawn} == {1, 2, 3}


def test_a_step_draws_the_same_length_again(tmp_path):
    recipe = mixed(tmp_path, 1, 2, 3)
    first, second = build_module(recipe), build_module(recipe)
    lengths = [[], []]
    for module, seen in zip((first, second), lengths, strict=True):
        for step in range(8):
            torch.manual_seed(step)
            seen.append(module._clip_length())
    assert lengths[0] == lengths[1]
    assert len(set(lengths[0])) > 1


def test_a_model_is_trained_with_mixed_lengths(tmp_path):
    recipe = mixed(tmp_path / "run", 1, 3, max_steps=4)
    module = build_module(recipe)
    before = {name: value.clone() for name, value in module.model.tracker.named_parameters()}
    trainer = build_trainer(recipe)
    trainer.fit(module, build_data(recipe, module))
    changed = [name for name, value in module.model.tracker.named_parameters() if not torch.equal(value, before[name])]
    assert any("memory_reader" in name for name in changed)
    assert module.model.config.clip_length == 1


def test_without_mixed_lengths_runs_are_what_they_were(tmp_path):
    plain, other = mixed(tmp_path), mixed(tmp_path, 1, 2)
    model = build_module(plain).model
    assert "clip_lengths" not in json.dumps(run_fingerprint(plain, model).to_json())
    assert "clip_lengths" in json.dumps(run_fingerprint(other, model).to_json())


@pytest.mark.parametrize(
    ("lengths", "stage", "sentence"),
    [
        ((0, 1), "genvis", r"loss\.clip_lengths is 0"),
        ((1, 4), "genvis", r"loss\.clip_lengths has 4, but a sample has 6 frames"),
        ((1,), "detector", r"loss\.clip_lengths divides the frames of stage 'genvis'"),
    ],
)
def test_impossible_lengths_are_refused(lengths, stage, sentence, tmp_path):
    recipe = mixed(tmp_path, *lengths)
    recipe.stage = stage
    with pytest.raises(InputError, match=sentence):
        check_recipe(recipe)
