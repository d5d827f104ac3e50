"""Two processes with half a batch each learn what one process learns from the joint batch."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from genvis.checkpoints.load import load_genvis
from genvis.training.process_group import gathered, process_count, shared_normalizers
from genvis.training.recipe.loading import save_recipe
from genvis.training.recipe.recipe import Recipe
from tests.training.tiny import tiny_recipe


def run_recipe(recipe: Recipe, *words: str) -> tuple[dict[str, torch.Tensor], list[float]]:
    output = Path(recipe.run.output)
    save_recipe(recipe, output / "given.yaml")
    command = [sys.executable, "-m", "genvis", "train", str(output / "given.yaml"), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with next((output / "log").glob("*/metrics.csv")).open() as file:
        losses = [float(row["joint_loss"]) for row in csv.DictReader(file) if row.get("joint_loss")]
    return load_genvis(output / "model").state_dict(), losses


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["detector", "genvis", "vita"])
def test_two_processes_are_one(tmp_path: Path, stage: Any) -> None:
    results = []
    for devices in (1, 2):
        recipe = tiny_recipe(tmp_path / str(devices), stage, max_steps=3)
        recipe.model.freeze_batch_norm = True  # Statistics of half a batch are other statistics.
        recipe.data.batch_size = 4
        # Some gradients are rounding only, such as those of a key's bias; Adam would make full steps of them.
        recipe.optimizer.epsilon = 1e-3
        # Longer steps reach a mask or a matching that flips by rounding alone.
        recipe.optimizer.learning_rate = 1e-4
        results.append(run_recipe(recipe, "--run.devices", str(devices)))
    (one, one_losses), (two, two_losses) = results
    assert len(one_losses) == 3
    assert two_losses == pytest.approx(one_losses, rel=1e-5)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_single_process_normalises_by_its_own_count() -> None:
    assert process_count() == 1
    assert shared_normalizers(torch.tensor([0.0, 5.0])).tolist() == [1.0, 5.0]
    assert gathered([1, 2]) == [1, 2]


def _worker(rank: int, file: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    counts = torch.tensor([[3.0, 0.0], [4.0, 0.0]][rank])
    assert shared_normalizers(counts).tolist() == [3.5, 0.5]
    assert gathered(["a", "b"] if rank == 0 else ["c"]) == ["a", "b", "c"]
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_their_counts(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_worker, args=(str(tmp_path / "store"),), nprocs=2)
