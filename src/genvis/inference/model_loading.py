"""A model by name, on a device, in a dtype."""

from typing import TypeVar

import torch

from genvis.checkpoints.load import Model, load
from genvis.errors import InputError

ModelT = TypeVar("ModelT", bound=torch.nn.Module)


def load_model(weights: str, *, device: str, dtype: str = "float32") -> Model:
    """Load a model by any name that `genvis.load` takes, and move it.

    Raises:
        InputError: If there is no such model or device.
    """
    place = find_device(device)  # Before the weights are fetched.
    return to_device(load(weights), place, dtype=dtype)


def find_device(name: str) -> torch.device:
    """Return a device by name; ``"auto"`` is the accelerator, if there is one, else the CPU.

    Raises:
        InputError: If there is no such device.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        name = accelerator.type if accelerator else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(f"There is no device '{name}' on this machine: use --device auto or cpu.") from None
    return device


def to_device(model: ModelT, device: torch.device, *, dtype: str) -> ModelT:
    """Move a model, and convert its parameters to a dtype by name."""
    # The typed `to`: transformers' own only adds a guard for quantised models.
    torch.nn.Module.to(model, device=device, dtype=getattr(torch, dtype))
    return model
