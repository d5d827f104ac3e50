"""Half precision in the network, single precision in what is learned from."""

from pathlib import Path

import pytest
import torch

from genvis.checkpoints.load import load_genvis
from genvis.training.recipe.recipe import Stage
from genvis.training.run.run import build_data, build_module, train
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")
STAGES: list[Stage] = ["detector", "vita", "genvis"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("stage", STAGES)
def test_a_step_in_half_precision_is_nearly_the_same(stage: Stage, dtype: torch.dtype, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, stage)
    torch.manual_seed(0)
    module = build_module(recipe)
    data = build_data(recipe, module)
    batch = data.collate_items([data.stream[0], data.stream[1]])
    totals, gradients = [], []
    for is_mixed in (False, True):
        module.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype, enabled=is_mixed):
            losses = module.losses(batch)
            total = torch.stack(list(losses.values())).sum()
        total.backward()
        assert all(loss.dtype == torch.float32 for loss in losses.values())
        trained = [weight for weight in module.parameters() if weight.requires_grad]
        assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in trained)
        totals.append(total.detach())
        gradients.append(torch.cat([weight.grad.flatten() for weight in trained if weight.grad is not None]))
    torch.testing.assert_close(totals[1], totals[0], rtol=0.02, atol=0.0)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9


def test_a_run_in_half_precision_ends_with_a_model_in_single_precision(tmp_path: Path) -> None:
    train(tiny_recipe(tmp_path, "genvis", precision="bf16-mixed"))
    model = load_genvis(tmp_path / "model")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
