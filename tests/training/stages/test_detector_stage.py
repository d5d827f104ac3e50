"""The detector's stage: the identity loss compares frames of one video, and only where it is asked for."""

import json
from dataclasses import replace

import pytest
import torch

from genvis.errors import InputError
from genvis.training.recipe.checks import check_recipe
from genvis.training.run.run import build_data, build_module
from genvis.training.run.run_identity import run_fingerprint
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


def identity_recipe(output, weight, *, clips=2):
    recipe = tiny_recipe(output, "detector")
    recipe.data.clips, recipe.loss.identity = clips, weight
    check_recipe(recipe)
    return recipe


def test_identity_is_learned_beside_everything_else(tmp_path):
    plain, other = (build_module(identity_recipe(tmp_path, weight)) for weight in (0.0, 2.0))
    other.load_state_dict(plain.state_dict())
    data = build_data(identity_recipe(tmp_path, 2.0), other)
    batch = data.collate_items([data.stream[0], data.stream[1]])
    without, added = plain.losses(batch), other.losses(batch)
    assert set(added) - set(without) == {"identity"}
    for name, value in without.items():
        torch.testing.assert_close(added[name], value)
    doubled = build_module(identity_recipe(tmp_path, 4.0))
    doubled.load_state_dict(plain.state_dict())
    torch.testing.assert_close(doubled.losses(batch)["identity"], 2 * added["identity"])
    added["identity"].backward()
    learned = {name for name, value in other.model.detector.named_parameters() if value.grad is not None}
    assert any("backbone" in name or "encoder" in name for name in learned)
    # Heads say what an object is and where, not who.
    assert not any("class_predictor" in name for name in learned)


def test_objects_of_one_frame_each_have_no_identity_to_learn(tmp_path):
    module = build_module(identity_recipe(tmp_path, 1.0))
    data = build_data(identity_recipe(tmp_path, 1.0), module)
    batch = data.collate_items([data.stream[0], data.stream[1]])
    first_frame_only = [torch.cat([masks[:, :1], torch.zeros_like(masks[:, 1:])], dim=1) for masks in batch.masks]
    assert module.losses(replace(batch, masks=first_frame_only))["identity"] == 0


def test_runs_without_it_are_what_they_were(tmp_path):
    plain, other = identity_recipe(tmp_path, 0.0), identity_recipe(tmp_path, 1.0)
    model = build_module(plain).model
    assert "identity" not in json.dumps(run_fingerprint(plain, model).to_json())
    assert "identity" in json.dumps(run_fingerprint(other, model).to_json())


def test_it_is_refused_where_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(
        InputError, match=r"loss\.identity is 1, but compares frames .* set it to 0, or data\.clips to 2\."
    ):
        identity_recipe(tmp_path, 1.0, clips=1)
    recipe = tiny_recipe(tmp_path, "vita")
    recipe.loss.identity = 1.0
    with pytest.raises(InputError, match=r"clips in stage 'genvis': set it to 0\."):
        check_recipe(recipe)
