"""Checkpoint files: written whole, two kept, loaded as plain values, checked before anything is restored."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from genvis.errors import InputError
from genvis.files import atomic_file, cannot_write

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
_PARTS = ("state_dict", "loops", "optimizer_states", "lr_schedulers", "global_step")
_DEEPEST = 30


class Checkpoint(NamedTuple):
    """A checkpoint that was checked.

    Attributes:
        path: The file.
        step: Optimizer steps that it has behind it.
    """

    path: Path
    step: int


class DamagedCheckpointError(InputError):
    """Checkpoint that cannot be used: cut off, changed, of another network, or not made of plain values."""


class PlainCheckpointIO(TorchCheckpointIO):
    """Lightning's file access, for checkpoints of tensors and plain values; nothing in a file is ever executed.

    ``last.ckpt`` becomes ``previous.ckpt`` when the next one is complete.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, which appears when it is complete.

        Raises:
            OutputError: If it cannot be written or the disk is full.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(target, error) from error
        with atomic_file(target) as temporary:
            with temporary.open("wb") as file:
                try:
                    torch.save(checkpoint, file)
                except RuntimeError as error:  # PyTorch's writer covers the system's error with one of its own.
                    raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
            if target.name == LAST and target.exists():
                target.replace(target.with_name(PREVIOUS))

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        """Load tensors and plain values, on the CPU."""
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return content


def usable_checkpoint(folder: Path, *, weights: Mapping[str, Tensor]) -> Checkpoint | None:
    """Return the newest checkpoint of a folder that is whole; say so if that is not the last one.

    Args:
        folder: With ``last.ckpt`` and, mostly, ``previous.ckpt``.
        weights: State of the module that the checkpoint is for.

    Returns:
        None if there is no checkpoint.

    Raises:
        InputError: If there are only damaged ones.
    """
    damages: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            step = checked_step(path, weights=weights)
        except DamagedCheckpointError as error:
            damages.append(str(error))
            continue
        for damage in damages:
            print(f"{damage} Going back to {path}, step {step:,}.", flush=True)
        return Checkpoint(path, step)
    if damages:
        raise InputError(
            f"{' '.join(damages)} There is no other checkpoint: start over with --run.resume false, or name another "
            "folder with --run.output."
        )
    return None


def checked_step(path: Path, *, weights: Mapping[str, Tensor]) -> int:
    """Check a checkpoint from end to end and return its step.

    Args:
        path: The file.
        weights: State of the module that it is for.

    Raises:
        DamagedCheckpointError: If it is damaged, holds more than tensors and plain values, or is of another network.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # A zip archive, whose checksums PyTorch itself does not read.
            is_packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
            damaged = "an archive of another kind" if is_packed else archive.testzip()
        if damaged is not None:
            raise ValueError(damaged)
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # A damaged or hostile file raises nearly anything.
        reason = "it is not complete, was changed, or holds more than tensors and plain values"
        raise DamagedCheckpointError(f"The checkpoint {path} cannot be used: {reason}.") from error
    if not isinstance(content, dict) or any(name not in content for name in _PARTS):
        raise DamagedCheckpointError(f"The checkpoint {path} cannot be used: it is of another program.")
    state, step = content["state_dict"], content["global_step"]
    shapes = {name: value.shape for name, value in weights.items()}
    if not isinstance(state, dict) or {name: getattr(value, "shape", None) for name, value in state.items()} != shapes:
        raise DamagedCheckpointError(f"The checkpoint {path} cannot be used: it is of another network.")
    counts = all(isinstance(count, int) and count >= 0 for count in (step, *_progress(content["loops"])))
    if not counts or not all(map(_is_real, _tensors(content))):
        raise DamagedCheckpointError(f"The checkpoint {path} cannot be used: its content is impossible.")
    return step


def _is_real(tensor: Tensor) -> bool:
    """Return whether a tensor is a plain one, no larger than what the file holds: expanded ones grow when copied."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _progress(loops: Any, depth: int = 0) -> Iterator[Any]:
    """Return the counters of Lightning's loops."""
    for name, value in loops.items() if isinstance(loops, dict) and depth < _DEEPEST else ():
        if name in ("ready", "started", "processed", "completed"):
            yield value
        else:
            yield from _progress(value, depth + 1)


def _tensors(value: Any, depth: int = 0) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)) and depth < _DEEPEST:
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part, depth + 1)
