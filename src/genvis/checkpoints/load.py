"""What a model's name may be: a bundled model, a folder, a Hub id or a published file."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.utils import logging as logging_of_transformers

from genvis.checkpoints.published_files import load_published
from genvis.errors import InputError

_log = logging.getLogger(__name__)


def bundled_models() -> tuple[str, ...]:
    """Return the names of the models that the package ships."""
    folder = Path(str(files("genvis"))) / "assets" / "models"
    return tuple(sorted(config.parent.name for config in folder.glob("*/config.json")))


def load_pretrained(
    name: str | Path, from_folder: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Load a model by name.

    Args:
        name: A published ``.pth`` file, a folder, a bundled name or a Hub id, tried in this order.
        from_folder: transformers' own ``from_pretrained``.
        arguments: Positional arguments for it.
        options: Keyword arguments for it.

    Raises:
        InputError: If there is no such model, or its tensors do not fit it one by one.
    """
    path = Path(name)
    if path.suffix in (".pth", ".pt"):
        if options or arguments:
            raise InputError(f"{path} takes no options here: use genvis.checkpoints.load_published for a .pth file.")
        return load_published(path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is no model folder: it has no config.json; save_pretrained writes one.")
        source = str(path)
    elif str(name) in bundled_models():
        source = str(Path(str(files("genvis"))) / "assets" / "models" / str(name))
    elif is_hub_id(str(name)) and not path.exists():
        announce_hub(str(name))
        source = str(name)
    else:
        bundled = ", ".join(bundled_models()) or "none"
        raise InputError(
            f"There is no model '{name}': give a folder, a .pth file, a Hub id (owner/name) or a bundled model "
            f"({bundled})."
        )
    # Weights may be stored in half precision to save space; CPUs compute in single.
    options = {"dtype": torch.float32, **options}
    wants_information = options.get("output_loading_info", False)
    try:
        kind = PreTrainedConfig.get_config_dict(source, **options)[0].get("model_type")
        if kind != "genvis":
            raise InputError(f"'{name}' holds a model of type '{kind}', not 'genvis'.")
        with without_progress_bars(enabled=not is_hub_id(str(name))), _without_warnings():
            # Tensors of other sizes are let through here to be named below.
            changed = {"output_loading_info": True, "ignore_mismatched_sizes": True}
            model, information = from_folder(source, *arguments, **{**options, **changed})
    except InputError:
        raise
    except Exception as error:  # transformers, safetensors and the Hub raise many kinds for an unusable model.
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"The model '{name}' could not be loaded: {reason}.") from error
    problems = [
        f"{problem}: {', '.join(sorted(map(_describe, information[key])))}"
        for problem, key in (
            ("missing", "missing_keys"),
            ("unknown", "unexpected_keys"),
            ("misshapen", "mismatched_keys"),
        )
        if information.get(key)
    ]
    if problems and not options.get("ignore_mismatched_sizes"):
        raise InputError(f"The weights of '{name}' do not fit its config.json; {'; '.join(problems)}.")
    return (model, information) if wants_information else model


def _describe(key: str | tuple[str, Any, Any]) -> str:
    """Name a tensor; one that is misshapen comes with its shape and the right one."""
    return key if isinstance(key, str) else f"{key[0]} is {tuple(key[1])} instead of {tuple(key[2])}"


def announce_hub(name: str) -> None:
    """Say that a model comes from the network, before it does."""
    _log.warning("Fetching %s from the Hugging Face Hub, unless it is in the local cache.", name)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form ``owner/name``."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None


@contextmanager
def without_progress_bars(*, enabled: bool = True) -> Iterator[None]:
    """Keep transformers from drawing its bars for work that takes no time; ``enabled=False`` changes nothing."""
    was_on = logging_of_transformers.is_progress_bar_enabled()
    if enabled:
        logging_of_transformers.disable_progress_bar()
    try:
        yield
    finally:
        if enabled and was_on:
            logging_of_transformers.enable_progress_bar()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep transformers from printing its own table of tensors that do not fit."""
    verbosity = logging_of_transformers.get_verbosity()
    logging_of_transformers.set_verbosity_error()
    try:
        yield
    finally:
        logging_of_transformers.set_verbosity(verbosity)
