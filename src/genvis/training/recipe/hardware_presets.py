"""Ways to train on one's own classes, by hardware: which model to start from, and how large the steps are."""

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import psutil
import torch

from genvis.checkpoints.hub import local_folder, megabytes
from genvis.checkpoints.registry import DEMO_MODEL, entry_of

Hardware = Literal["cpu", "gpu"]

START_MODEL = "mask2former-t-coco"
"""Model that training starts from by default: it knows 80 everyday classes, and its class heads can be replaced."""

FREE_MODEL = "rf-detr-seg-nano"
"""Model to start from where START_MODEL's licence does not fit."""

_CPU_SIDE = 240
_GPU_SIDE = 480
_GIGABYTE = 10**9


@dataclass(frozen=True)
class TrainingMachine:
    """What decides how to train.

    Attributes:
        accelerator: Name of the GPU; empty for none.
        memory: Bytes of the GPU's memory, or of the machine's where there is no GPU.
        cores: CPU cores.
    """

    accelerator: str
    memory: int
    cores: int

    def __str__(self) -> str:
        what = self.accelerator or f"{self.cores} CPU cores, no GPU"
        return f"{what}, {self.memory / _GIGABYTE:.0f} GB"


def this_machine() -> TrainingMachine:
    """Return the machine that this process runs on."""
    cores = os.cpu_count() or 1
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return TrainingMachine(properties.name, properties.total_memory, cores)
    name = "Apple GPU" if torch.backends.mps.is_available() else ""
    return TrainingMachine(name, psutil.virtual_memory().total, cores)


@dataclass(frozen=True)
class TrainingPreset:
    """How to train on a kind of machine.

    Attributes:
        hardware: Kind of machine.
        short_side: Pixels of the shorter side of frames, in training and in the finished model, at most.
        suffix: Of the names of the bundled recipes that the written ones are based on.
        data: Options of the data that differ from these bases.
        run: Options of the run that differ from these bases.
        uses_cache: Whether the tracker learns from a cache of the frozen detector's outputs.
        reason: Why, in a sentence.
    """

    hardware: Hardware
    short_side: int
    suffix: str
    reason: str
    data: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    uses_cache: bool = False


def preset_for(machine: TrainingMachine, hardware: Hardware | None = None) -> TrainingPreset:
    """Return how to train on a machine.

    Args:
        machine: On which the recipes are written.
        hardware: Kind of machine on which they will be run; None for this one.
    """
    if (hardware or ("gpu" if machine.accelerator else "cpu")) == "cpu":
        return TrainingPreset(
            "cpu",
            _CPU_SIDE,
            "-cpu",
            f"On a CPU frames have {_CPU_SIDE} pixels at the shorter side, the backbone stays as it is, and the "
            "tracker learns from a cache of the detector's outputs.",
            uses_cache=True,
        )
    # Without a GPU here, the recipes are for one that most people have.
    memory = machine.memory if machine.accelerator else 12 * _GIGABYTE
    batch = 8 if memory >= 22 * _GIGABYTE else 4 if memory >= 11 * _GIGABYTE else 2
    return TrainingPreset(
        "gpu",
        _GPU_SIDE,
        "",
        f"On a GPU with {memory / _GIGABYTE:.0f} GB frames have {_GPU_SIDE} pixels at the shorter side, {batch} "
        "samples go through the network together, and it computes in mixed precision.",
        data={"batch_size": batch},
        run={"precision": "16-mixed", "accumulate": 8 // batch},
    )


def default_weights(*, can_fetch: bool) -> tuple[str, str]:
    """Return the weights to start from where none are named, and what to know of them, in sentences.

    Args:
        can_fetch: Whether the Hub may be asked.
    """
    entry = entry_of(START_MODEL)
    if local_folder(START_MODEL) is not None or can_fetch:
        return START_MODEL, (
            f"{entry.name} knows {entry.num_categories} everyday classes of {entry.trained_on} "
            f"({megabytes(entry.size_in_bytes)}). Its licence, {entry.licence}, allows no commercial use; "
            f"--init {FREE_MODEL} ({entry_of(FREE_MODEL).licence}) does, and trains the tracker only."
        )
    return DEMO_MODEL, (
        f"{START_MODEL} is not in the cache and the network is switched off, so that {DEMO_MODEL} is taken: it knows "
        "emoji only, and is for trying out the commands."
    )
