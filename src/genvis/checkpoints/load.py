"""The front door: a model by its name, whatever kind of name it is and whichever family it belongs to."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genvis.checkpoints.build import build_config, build_network
from genvis.checkpoints.hub import fetch_snapshot, is_hub_id
from genvis.checkpoints.hub_families import genvis_from_mask2former
from genvis.checkpoints.infer_config import PublishedSettings
from genvis.checkpoints.model_folder import ModelFolder
from genvis.checkpoints.published_files import load_published
from genvis.checkpoints.registry import RegistryEntry, did_you_mean, find_entry
from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS


def load(name: str | Path, *, dtype: torch.dtype = torch.float32, settings: PublishedSettings | None = None) -> GenVIS:
    """Load a pretrained model.

    Args:
        name: Tried in this order: a published ``.pth`` file of GenVIS, VITA or Mask2Former; a model folder; a bundled
            model, for example ``"sprites-tiny"``; a name of the registry (``genvis models`` lists them); a Hub id
            ``owner/name``. Folders and Hub models may be of the families genvis and mask2former: ``model_type`` of
            their ``config.json`` decides.
        dtype: Of the network. Weights may be stored in another; CPUs compute fastest in float32.
        settings: Settings of a ``.pth`` file that its tensors cannot tell; None takes the published ones.

    Returns:
        The model, in evaluation mode, on the CPU. A model that comes without a tracker is one that detects
        (``config.method`` is "minvis").

    Raises:
        InputError: If there is no such model, it is not cached and the Hub cannot be reached, its configuration is out
            of bounds, or its tensors do not fit it one by one.
    """
    path = Path(name)
    if path.suffix in (".pth", ".pt") or path.is_file():
        # The typed `to`: transformers' own only adds a guard for quantised models.
        model = load_published(path, settings=settings)
        nn.Module.to(model, dtype=dtype)
        return model
    if settings is not None:
        raise InputError(f"'{name}' is no .pth file: its configuration says what settings would.")
    folder = ModelFolder.read(_find_folder(str(name)), name=str(name))
    build = _FAMILIES.get(folder.model_type)
    if build is None:
        raise InputError(
            f"'{name}' holds a model of type '{folder.model_type}': supported are {', '.join(sorted(_FAMILIES))}."
        )
    return build(folder, dtype)


def bundled_models() -> tuple[str, ...]:
    """Return the names of the models that the package ships."""
    folder = Path(str(files("genvis"))) / "assets" / "models"
    return tuple(sorted(config.parent.name for config in folder.glob("*/config.json")))


def _find_folder(name: str) -> Path:
    """Return the folder of a model on this machine; one of the Hub is fetched if it is not cached."""
    path = Path(name)
    entry = find_entry(name)
    if (path / "config.json").is_file() or (path.is_dir() and entry is None):
        return path
    if name in bundled_models():
        return Path(str(files("genvis"))) / "assets" / "models" / name
    if entry is not None:
        return fetch_snapshot(_hub_id(entry))
    if is_hub_id(name) and not path.exists():
        return fetch_snapshot(name)
    raise InputError(
        f"There is no model '{name}'{did_you_mean(name)}; give a folder, a .pth file, a Hub id (owner/name) or a name "
        f"that `genvis models` lists."
    )


def _hub_id(entry: RegistryEntry) -> str:
    if entry.hub_id is None:
        raise InputError(f"The weights of '{entry.name}' are {entry.source}; then: {entry.usage}")
    return entry.hub_id


def _load_genvis(folder: ModelFolder, dtype: torch.dtype) -> GenVIS:
    config = build_config(GenVISConfig, folder.config, name=folder.name)
    return build_network(GenVIS, config, folder.tensors(), name=folder.name, dtype=dtype)


_FAMILIES: dict[str, Callable[[ModelFolder, torch.dtype], GenVIS]] = {
    "genvis": _load_genvis,
    "mask2former": genvis_from_mask2former,
}


def load_pretrained(
    name: str | Path, from_folder: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Load for `GenVIS.from_pretrained`, until that is transformers' own again."""
    if not options and not arguments:
        return load(name)
    if Path(name).suffix == ".pth":
        raise InputError(f"{name} takes no options here: use genvis.checkpoints.load_published for a .pth file.")
    return from_folder(str(_find_folder(str(name))), *arguments, **{"dtype": torch.float32, **options})
