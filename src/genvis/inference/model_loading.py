"""A model by name, on a device, in a dtype, run by a library."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import torch

from genvis.checkpoints.load import Model, load, load_network
from genvis.errors import InputError
from genvis.runtimes.runtime_names import RuntimeName, is_export

ModelT = TypeVar("ModelT", bound=torch.nn.Module)


def load_model(
    weights: str,
    *,
    device: str,
    dtype: str = "float32",
    runtime: Literal["torch"] | RuntimeName | None = None,
    on_export: Callable[[str], None] = lambda _: None,
) -> Model:
    """Load a model by any name that `genvis.load` takes, and move it.

    Args:
        weights: Name of the model, or the folder of an export.
        device: Name of the device; exports run on the CPU.
        dtype: Of the network; exports compute in float32.
        runtime: What runs it; None takes PyTorch, and for an export the runtime of its format.
        on_export: Called with a sentence before a model of PyTorch is exported for another runtime.

    Raises:
        InputError: If there is no such model or device, or they do not go together.
    """
    is_exported = is_export(Path(weights))
    if not is_exported and runtime in (None, "torch"):
        place = find_device(device)  # Before the weights are fetched.
        return to_device(load_network(weights), place, dtype=dtype)
    if device not in ("auto", "cpu") or dtype != "float32":
        raise InputError(f"Exported graphs run on the CPU in float32, not on {device} in {dtype}: leave these out.")
    if runtime == "torch":
        raise InputError(f"'{weights}' is an export, which PyTorch cannot run: give the model that it was made of.")
    if is_exported:
        return load(weights, runtime=runtime)
    assert runtime is not None
    from genvis.export.on_demand import run_by

    return run_by(load_network(weights), runtime, on_export=on_export)


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
