"""Loading of published ``.pth`` checkpoints, with every tensor accounted for."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genvis.checkpoints.build import build_network, explained, listed
from genvis.checkpoints.infer_config import PublishedSettings, config_from_tensors
from genvis.checkpoints.published_names import Renamed, rename_published
from genvis.checkpoints.published_videomt import is_published_videomt, videomt_from_published
from genvis.errors import InputError
from genvis.model.genvis import GenVIS
from genvis.model.tracker.videomt import VidEoMT

_MOST_TENSORS = 20_000  # The largest published model has 1,300.
_MOST_SHARING = 4  # Tensors may share what is stored, as tied weights do.
# The number at the start of what torch.save wrote before it wrote zip archives.
_TORCH_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")


def load_published(path: str | Path, *, settings: PublishedSettings | None = None) -> GenVIS | VidEoMT:
    """Load a published GenVIS, VITA, Mask2Former or VidEoMT checkpoint, recognised by its tensors.

    Args:
        path: A ``.pth`` file of ``torch.save``: a dictionary with the state dict under "model", or a state dict.
        settings: Settings that cannot be inferred from the tensors; None takes the published defaults.

    Returns:
        The model, in evaluation mode, on the CPU, in float32.

    Raises:
        InputError: If the file cannot be read, holds code, is of another model, or has unknown, missing or misshapen
            tensors, each of which is named.
    """
    file = Path(path)
    state = read_state_dict(file)
    settings = settings or PublishedSettings()
    if is_published_videomt(state):
        return videomt_from_published(state, settings=settings, file=str(file))
    return _genvis_from_published(state, settings=settings, file=str(file))


def _genvis_from_published(state: dict[str, Tensor], *, settings: PublishedSettings, file: str) -> GenVIS:
    config = config_from_tensors(state, settings=settings, file=file)
    renamed = rename_published(state)
    with explained(file), torch.device("meta"):  # Shapes only: nothing is allocated for what does not fit.
        expected = GenVIS(config).state_dict()
    problems = _misfits(state, renamed, expected)
    if problems:
        raise InputError(f"{file} does not fit the model of its sizes: {listed(problems)}.")
    return build_network(GenVIS, config, renamed.tensors, name=file, may_lack=_is_counter)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _misfits(state: dict[str, Tensor], renamed: Renamed, expected: dict[str, Tensor]) -> list[str]:
    """Return what is unknown, missing or misshapen in a published state dict, one phrase each."""
    missing, misshapen = [], {}
    for name, tensor in expected.items():
        given = renamed.tensors.get(name)
        if given is None:
            if not _is_counter(name):
                missing.append(f"missing: the tensor for {name}")
        elif given.shape != tensor.shape:
            origin = renamed.origin[name]
            parts = list(renamed.origin.values()).count(origin)  # 3 where queries, keys and values are one tensor.
            shape = (parts * tensor.shape[0], *tensor.shape[1:]) if tensor.ndim else ()
            misshapen[origin] = f"misshapen: {origin} is {tuple(state[origin].shape)} instead of {shape}"
    unknown = renamed.unknown + sorted({renamed.origin[name] for name in renamed.tensors if name not in expected})
    return [*(f"unknown: {name}" for name in unknown), *missing, *misshapen.values()]


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``torch.save`` file without running any code that it may hold.

    Raises:
        InputError: If the file is absent, damaged, holds anything but tensors and plain values, or no state dict.
    """
    _check_archive(file)
    try:
        with warnings.catch_warnings():  # Of pickle protocols: what matters of them is an exception.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"There is no file {file}.") from None
    except IsADirectoryError:
        raise InputError(f"{file} is a folder, not a checkpoint file.") from None
    except PermissionError:
        raise InputError(f"{file} may not be read: ask for the permission, or copy it.") from None
    except Exception as error:  # A damaged file makes the reader fail in any way.
        if _holds_objects(file, error):
            raise InputError(
                f"{file} is refused: it holds Python objects besides tensors, which could run code when loaded; "
                "ask its author for a file of torch.save with tensors only."
            ) from None
        raise InputError(f"{file} is no checkpoint of torch.save, or is truncated: fetch it again.") from None
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{file} holds no state dict: expected tensors by name, alone or under the key 'model'.")
    _check_tensors(content, file=file)
    return {str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content.items()}


def _check_archive(file: Path) -> None:
    """Refuse an archive that would unpack to more than it is: torch.save does not compress.

    Raises:
        InputError: If a part of the archive is compressed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # Of the older format, or damaged: torch.load decides.
    if len(parts) > 2 * _MOST_TENSORS:
        raise InputError(f"{file} is refused: it has {len(parts):,} parts, of which {2 * _MOST_TENSORS:,} may be.")
    is_stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    if not is_stored or sum(part.file_size for part in parts) > file.stat().st_size:
        raise InputError(
            f"{file} is refused: its parts are compressed or overlap, which torch.save never does; fetch it again."
        )


def _check_tensors(tensors: Mapping[Any, Tensor], *, file: Path) -> None:
    """Refuse tensors that no network stores, before anything is computed from them.

    Raises:
        InputError: If there are too many; if one is sparse, quantised, complex or abstract; or if they claim more
            values than are stored, alone or together.
    """
    if len(tensors) > _MOST_TENSORS:
        raise InputError(f"{file} is refused: it holds {len(tensors):,} tensors, of which {_MOST_TENSORS:,} may be.")
    claimed, stored = 0, {}
    for name, tensor in tensors.items():
        is_dense = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not is_dense or tensor.is_complex():
            raise InputError(f"{file} is refused: its tensor '{name}' is no dense tensor of real numbers.")
        storage = tensor.untyped_storage()
        if tensor.nbytes > storage.nbytes():
            raise InputError(
                f"{file} is refused: its tensor '{name}' claims {tensor.nbytes:,} bytes, but {storage.nbytes():,} are "
                "stored."
            )
        claimed += tensor.nbytes
        stored[storage.data_ptr()] = storage.nbytes()
    if claimed > _MOST_SHARING * sum(stored.values()):
        raise InputError(
            f"{file} is refused: its tensors claim {claimed:,} bytes together, but {sum(stored.values()):,} are stored."
        )


def _holds_objects(file: Path, error: Exception) -> bool:
    """Whether a file that could not be read is whole, but holds objects that the reader does not make."""
    if isinstance(error, pickle.UnpicklingError) and re.search(
        r"unsupported (global|class)", str(error), re.IGNORECASE
    ):
        return True
    with file.open("rb") as stream:
        start = stream.read(20)
    return start.startswith(b"\x80") and _TORCH_MAGIC not in start  # A pickle of another program, for example .pkl.
