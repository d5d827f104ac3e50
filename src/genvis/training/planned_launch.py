"""Processes of a training run: how many there are, whoever starts them, before there is a process group."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from genvis.errors import InputError
from genvis.training.recipe.recipe import RunOptions


@dataclass(frozen=True)
class Launch:
    """Processes that train together.

    Attributes:
        per_machine: On each machine.
        machines: How many.
    """

    per_machine: int
    machines: int = 1

    @property
    def processes(self) -> int:
        """All together."""
        return self.per_machine * self.machines


def planned_launch(run: RunOptions, environment: Mapping[str, str] | None = None) -> Launch:
    """Return how many processes a run has.

    ``torchrun`` and ``srun`` have started them already, and tell it by the environment. Otherwise this program starts
    them: ``run.devices`` on each of ``run.nodes`` machines, where ``auto`` is one for each GPU, or one without any.

    Args:
        run: Of the recipe.
        environment: None for the process's own.

    Raises:
        InputError: If ``run.devices`` contradicts what was started.
    """
    values = os.environ if environment is None else environment
    started = _of_torchrun(values) or _of_slurm(values)
    if started is None:
        return Launch(_devices(run) if run.devices == "auto" else run.devices, max(1, run.nodes))
    if run.devices not in ("auto", started.per_machine):
        raise InputError(
            f"run.devices is {run.devices}, but {started.per_machine} processes were started on each machine: leave it "
            "at auto, or start as many."
        )
    return started


def _of_torchrun(values: Mapping[str, str]) -> Launch | None:
    if "TORCHELASTIC_RUN_ID" not in values:
        return None
    here = _count(values, "LOCAL_WORLD_SIZE")
    return Launch(here, max(1, _count(values, "WORLD_SIZE") // here))


def _of_slurm(values: Mapping[str, str]) -> Launch | None:
    """Return the tasks of ``srun``; the shell of a batch script and interactive ones are no tasks of it."""
    if not {"SLURM_STEP_ID", "SLURM_NTASKS", "SLURM_PROCID"} <= values.keys():
        return None
    if values.get("SLURM_JOB_NAME") in ("bash", "interactive") or values["SLURM_STEP_ID"] == "4294967291":
        return None
    tasks, machines = _count(values, "SLURM_NTASKS"), int(values.get("SLURM_NNODES") or 1)
    return Launch(max(1, tasks // machines), machines) if tasks > 1 else None


def _count(values: Mapping[str, str], name: str) -> int:
    text = values.get(name, "")
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{name} is '{text}', and no number of processes: start with torchrun or srun.")
    return int(text)


def _devices(run: RunOptions) -> int:
    uses_gpus = run.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return max(1, torch.cuda.device_count()) if uses_gpus else 1
