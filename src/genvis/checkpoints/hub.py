"""Places of models by name: files, folders, the package, the cache of the Hub; and fetching that is announced first.

Only configurations and weights are fetched: safetensors, or ``pytorch_model.bin`` where a model has nothing else.
Nothing of a repository is ever executed.
"""

import logging
import re
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from genvis.checkpoints.registry import DEMO_MODEL, did_you_mean, find_entry, weights_elsewhere
from genvis.errors import GenVISError, InputError
from genvis.files import REASONS, atomic_folder, cannot_write, require_file
from genvis.runtimes.runtime_names import is_export
from genvis.storage.addresses import is_remote

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_log = logging.getLogger(__name__)

_CONFIGURATIONS = ("config.json", "preprocessor_config.json", "video_preprocessor_config.json")
_SECONDS_TO_ANSWER = 20.0


def check_name(name: str) -> None:
    """Refuse a name that no model has, without fetching anything and without heavy libraries.

    Raises:
        InputError: If there is no such file, folder or registered model, and the name is no Hub id; or if the model is
            not cached and the Hub is switched off.
    """
    from huggingface_hub import constants

    if is_remote(name):
        return  # Found out when it is fetched.
    path, folder = Path(name), local_folder(name)
    if is_published_file(path):
        require_file(path)
    elif folder is not None:
        if not is_export(folder):
            require_model_folder(folder)
    else:
        hub_id = _hub_id(name)
        if constants.HF_HUB_OFFLINE:
            raise InputError(without_network(hub_id))


def require_model_folder(folder: Path) -> Path:
    """Return the folder if it holds a model.

    Raises:
        InputError: If it has no ``config.json``, or holds an export.
    """
    if is_export(folder):
        raise InputError(f"'{folder}' is an export, which only runs: give the model that it was made of.")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} is no model folder: it has no config.json; save_pretrained writes one.")
    return folder


def is_published_file(path: Path) -> bool:
    """Whether a name stands for a file of published weights, which need not exist."""
    return path.suffix in (".pth", ".pt") or path.is_file()


def bundled_models() -> tuple[str, ...]:
    """Return the names of the models that the package ships."""
    return tuple(sorted(config.parent.name for config in _bundled_folder().glob("*/config.json")))


def local_folder(name: str) -> Path | None:
    """Return the folder of a model that is on this machine, also in the Hub's cache, or None; nothing is fetched."""
    path, entry = Path(name), find_entry(name)
    if name and ((path / "config.json").is_file() or (path.is_dir() and entry is None)):
        return path
    if name in bundled_models():
        return _bundled_folder() / name
    hub_id = entry.hub_id if entry else name
    return cached_snapshot(hub_id) if hub_id and is_hub_id(hub_id) and not path.exists() else None


def find_folder(name: str) -> Path:
    """Return the folder of a model on this machine; one of the Hub is fetched if it is not cached.

    Raises:
        InputError: If there is no such model, or it is not cached and cannot be fetched.
    """
    return local_folder(name) or fetch_snapshot(_hub_id(name))


def _hub_id(name: str) -> str:
    """Return the Hub id of a model that is not on this machine."""
    entry = find_entry(name)
    if entry is not None:
        if entry.hub_id is None:
            raise weights_elsewhere(entry)
        return entry.hub_id
    if is_hub_id(name) and not Path(name).exists():
        return name
    raise InputError(
        f"There is no model '{name}'{did_you_mean(name)}; give a folder, a .pth file, a Hub id (owner/name) or a name "
        "that `genvis models` lists."
    )


def _bundled_folder() -> Path:
    return Path(str(resources.files("genvis"))) / "assets" / "models"


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Files of one model repository that are worth fetching.

    Attributes:
        hub_id: ``owner/name``.
        names: Names of the files, configurations and weights.
        size_in_bytes: Their sizes together.
        licence: As the model card states it; empty if it states none.
    """

    hub_id: str
    names: tuple[str, ...]
    size_in_bytes: int
    licence: str


def is_hub_id(name: str) -> bool:
    """Whether a name has the form ``owner/name``."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII) is not None


def is_on_hub(name: str) -> bool:
    """Whether a name, of the registry or as ``owner/name``, stands for a model of the Hub, cached or not."""
    entry = find_entry(name)
    if entry is not None:
        return entry.hub_id is not None
    return is_hub_id(name) and not Path(name).exists()


def hub_cache() -> Path:
    """Return the folder of the local Hub cache (``HF_HOME`` and ``HF_HUB_CACHE`` move it)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_snapshot(hub_id: str) -> Path | None:
    """Return the folder of a model in the local cache, or None if it is not there, or not completely."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, "config.json")
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("model.safetensors", "pytorch_model.bin")) or _has_shards(folder)


def _has_shards(folder: Path) -> bool:
    """Whether all parts ``model-00001-of-0000N.safetensors`` of a model are there."""
    parts = [match for path in folder.glob("model-*-of-*.safetensors") if (match := _shard(path.name)) is not None]
    return bool(parts) and len(parts) == int(parts[0][1]) and all(part[1] == parts[0][1] for part in parts)


def _shard(name: str) -> re.Match[str] | None:
    return re.fullmatch(r"model-\d{5}-of-(\d{5})\.safetensors", name)


def fetch_snapshot(hub_id: str) -> Path:
    """Return the folder of a model of the Hub; what is not in the local cache is fetched, and said before.

    Args:
        hub_id: ``owner/name``.

    Raises:
        InputError: If there is no such model, it may not be read, or it is not cached and the Hub cannot be reached.
    """
    folder = cached_snapshot(hub_id)
    if folder is not None:
        return folder
    files = _files_to_fetch(hub_id)
    _log.warning("%s", announcement(files))
    from huggingface_hub import snapshot_download

    try:
        # No revision is named: only so does the cache remember that this one is the latest.
        return Path(snapshot_download(hub_id, allow_patterns=list(files.names)))
    except Exception as error:  # The network, the disk and the Hub fail in many ways.
        raise _failure(hub_id, error) from error


def announcement(files: HubFiles) -> str:
    """Return the announcement of a fetch: what, how large, under which licence, and where it will be kept."""
    entry = find_entry(files.hub_id)
    licence = (entry.licence if entry else "") or files.licence
    return (
        f"Fetching {files.hub_id} from the Hugging Face Hub: {megabytes(files.size_in_bytes)}, "
        f"licence {licence or 'not stated'}, kept in {hub_cache()}."
    )


def megabytes(size: int | None) -> str:
    """Return a size in words, for example ``"96 MB"``; an unknown one is empty."""
    if size is None:
        return ""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def copy_snapshot(folder: Path, out: Path) -> None:
    """Copy a model of the cache into a plain folder, which can be carried to a machine without a network.

    Args:
        folder: Of `fetch_snapshot`.
        out: Folder to write; it must not exist, or be empty.

    Raises:
        InputError: If ``out`` holds something already.
        OutputError: If ``out`` cannot be written.
    """
    with atomic_folder(out) as partial:
        for path in folder.iterdir():
            if path.is_file():
                shutil.copyfile(path, partial / path.name)


def _files_to_fetch(hub_id: str) -> HubFiles:
    from huggingface_hub import HfApi

    try:
        information = HfApi().model_info(hub_id, files_metadata=True, timeout=_SECONDS_TO_ANSWER)
    except Exception as error:
        raise _failure(hub_id, error) from error
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in information.siblings or []}
    names = model_files(tuple(sizes))
    if "config.json" not in names or len(names) == len([name for name in names if name.endswith(".json")]):
        raise InputError(
            f"'{hub_id}' holds no model that this program reads: it has no config.json with model.safetensors or "
            "pytorch_model.bin beside it."
        )
    return HubFiles(
        hub_id=hub_id,
        names=names,
        size_in_bytes=sum(sizes[name] for name in names),
        licence=_licence(information),
    )


def model_files(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which files of a repository, or of a folder elsewhere, are the model: safetensors where there are any."""
    configurations = [name for name in names if name in _CONFIGURATIONS]
    weights = [name for name in names if name == "model.safetensors"]
    weights = weights or [name for name in names if _shard(name) or name == "model.safetensors.index.json"]
    weights = weights or [name for name in names if name == "pytorch_model.bin"]
    return (*configurations, *weights)


def _licence(information: "ModelInfo") -> str:
    card = information.card_data
    licence = card.get("license") if card is not None else None
    return licence if isinstance(licence, str) else ""


def _failure(hub_id: str, error: Exception) -> GenVISError:
    """Return the sentence for an exception of the Hub's client."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return InputError(f"'{hub_id}' asks for a consent first: give it on huggingface.co, then run `hf auth login`.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(f"The Hub has no model '{hub_id}', or it is private: check the name, or run `hf auth login`.")
    if isinstance(error, OSError) and error.errno in REASONS:
        return cannot_write(hub_cache(), error)
    return InputError(without_network(hub_id))


def without_network(hub_id: str) -> str:
    """Return the remedies for a model that is not cached while the Hub cannot be reached, in one sentence."""
    entry = find_entry(hub_id)
    name = entry.name if entry else hub_id
    return (
        f"'{name}' is not in the cache ({hub_cache()}) and the Hugging Face Hub cannot be reached: run `genvis models "
        f"fetch {name} --out FOLDER` on a machine with a network and give --weights FOLDER here, or use --weights "
        f"{DEMO_MODEL} for the demo (it only knows emoji)."
    )
