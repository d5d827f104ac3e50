"""Tensors and plain facts in one safetensors file: how sessions and unfinished runs are kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genvis.errors import InputError
from genvis.files import atomic_file


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a state; the file appears whole or not at all.

    Args:
        path: The file.
        tensors: By name.
        facts: What JSON can hold.

    Raises:
        InputError: If the file cannot be written.
    """
    with atomic_file(path) as partial:
        try:
            content = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(content, partial, {"facts": json.dumps(facts)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_state` wrote: tensors and facts.

    Raises:
        InputError: If there is no such file, or it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} holds no saved state, or is damaged ({error}).") from None
