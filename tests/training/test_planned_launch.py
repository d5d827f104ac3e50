"""How many processes a run has, whoever starts them; and that everything counts with that number."""

from pathlib import Path

import pytest
import torch

from genvis.errors import InputError
from genvis.training.planned_launch import Launch, planned_launch
from genvis.training.recipe.recipe import RunOptions
from genvis.training.run import dry_run, trainer
from genvis.training.run.run import build_module
from tests.training.tiny import tiny_recipe

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}
SRUN = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_JOB_NAME": "train"}


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> int:
    """As if the machine had 3 GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    return 3


def test_auto_is_one_process_for_each_gpu(gpus: int) -> None:
    assert planned_launch(RunOptions(nodes=2), {}) == Launch(gpus, 2)
    assert planned_launch(RunOptions(accelerator="cpu"), {}) == Launch(1)
    assert planned_launch(RunOptions(devices=2), {}) == Launch(2)


def test_without_a_gpu_auto_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert planned_launch(RunOptions(), {}).processes == 1


def test_what_was_started_already_counts() -> None:
    assert planned_launch(RunOptions(accelerator="cpu"), TORCHRUN) == Launch(4, 2)
    assert planned_launch(RunOptions(accelerator="cpu"), SRUN) == Launch(4, 2)
    assert planned_launch(RunOptions(accelerator="cpu"), SRUN | {"SLURM_STEP_ID": "4294967291"}) == Launch(1)
    assert planned_launch(RunOptions(accelerator="cpu"), SRUN | {"SLURM_JOB_NAME": "bash"}) == Launch(1)
    with pytest.raises(InputError, match=r"run\.devices is 2, but 4 processes were started"):
        planned_launch(RunOptions(devices=2), TORCHRUN)
    with pytest.raises(InputError, match="LOCAL_WORLD_SIZE is ''"):
        planned_launch(RunOptions(), {"TORCHELASTIC_RUN_ID": "none"})


@pytest.mark.usefixtures("gpus")
def test_batch_norm_is_synchronised_and_processes_are_many_where_auto_is_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path, "detector", devices="auto", accelerator="auto", nodes=2)
    given = {}

    def record(**options: object) -> None:
        given.update(options)

    monkeypatch.setattr(trainer.lightning, "Trainer", record)
    trainer.build_trainer(recipe)
    assert (given["devices"], given["num_nodes"], given["strategy"], given["sync_batchnorm"]) == (3, 2, "ddp", True)


@pytest.mark.usefixtures("gpus")
def test_a_dry_run_measures_the_share_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(tmp_path, "detector", devices="auto", accelerator="auto")
    recipe.data.batch_size = 12
    module = build_module(recipe)
    sizes = []
    monkeypatch.setattr(torch, "device", lambda *_: torch.empty(0).device)
    losses = module.losses
    monkeypatch.setattr(module, "losses", lambda batch: sizes.append(len(batch)) or losses(batch))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    dry_run.measure(recipe, module)
    assert set(sizes) == {12 // 3}
