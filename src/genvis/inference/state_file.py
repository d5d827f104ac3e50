"""State files: tensors and plain facts of a session or an unfinished run, in one safetensors file.

A file carries the fingerprint of what it belongs to, and a checksum of its content.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genvis.errors import InputError
from genvis.files import atomic_file, printable, require_file
from genvis.fingerprint import Fingerprint
from genvis.json_values import shown, whole_number


def write_state(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, fingerprint: Fingerprint
) -> None:
    """Write a state; the file appears whole or not at all.

    Args:
        path: The file.
        tensors: By name.
        facts: What JSON can hold.
        fingerprint: What the state belongs to.

    Raises:
        OutputError: If the file cannot be written.
    """
    content = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"facts": facts, "fingerprint": fingerprint.to_json()})
    with atomic_file(path) as partial:
        # Not by safetensors itself, which leaves a file of its own behind where it is killed.
        partial.write_bytes(save(content, {"state": text, "checksum": _checksum(content, text)}))


def read_state(path: Path, fingerprint: Fingerprint, *, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_state` wrote.

    Args:
        path: The file.
        fingerprint: What the state must belong to.
        remedy: What to do where it belongs to something else.

    Returns:
        The tensors by name, and the facts.

    Raises:
        InputError: If there is no such file, it is damaged, or belongs to something else.
    """
    if not path.exists():
        raise InputError(f"There is no saved state '{path}'.")
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # How a tensor lies in the file decides the last bit of sums that are made with it: copies lie alike.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
        text = metadata["state"]
        if metadata["checksum"] != _checksum(tensors, text):
            raise ValueError("its checksum does not fit")
        state = json.loads(text)
        facts, earlier = dict(state["facts"]), state["fingerprint"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"'{path}' holds no saved state of this version, or is damaged ({reason}).") from None
    fingerprint.require(Fingerprint.from_json(earlier, where=path, remedy=remedy), where=path, remedy=remedy)
    return tensors, facts


@contextmanager
def damage_as_input_error(path: str | Path) -> Iterator[None]:
    """Turn the errors of facts and tensors that do not fit together into one sentence that names the file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"'{path}' cannot be continued: {error}") from None
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise InputError(f"'{path}' is damaged ({printable(error)}): start over without it.") from None


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def count(value: Any) -> int:
    """Return a whole number of the facts, 0 or more.

    Raises:
        ValueError: If it is something else.
    """
    number = whole_number(value)
    if number is None or number < 0:
        raise ValueError(f"{shown(value)} is no count")
    return number


def pair(value: Any) -> tuple[int, int]:
    """Return two whole numbers of the facts, for example the height and width of a frame.

    Raises:
        ValueError: If it is something else, or one is below 1.
    """
    first, second = map(count, value)
    if min(first, second) < 1:
        raise ValueError(f"{shown(value)} are no two numbers from 1")
    return first, second


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
