"""Building of a network from a configuration and tensors: every tensor accounted for, nothing allocated in vain."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as logging_of_transformers

from genvis.errors import InputError

_Model = TypeVar("_Model", bound=PreTrainedModel)
# A network may have values that its file lacks, such as tables that follow from a size; not many more.
_MOST_VALUES_PER_STORED_VALUE = 2
_SPARE_VALUES = 10_000_000
# Tensors that follow from sizes, count steps, or belong to a loss or a classifier of images.
_DERIVED = re.compile(r"relative_position_index$|position_ids$|num_batches_tracked$|^criterion\.|^classifier\.")
_MOST_NAMES = 12
_LONGEST_REASON = 300
_log = logging.getLogger(__name__)


def build_config(config_class: type[PreTrainedConfig], fields: Mapping[str, Any], *, name: str) -> Any:
    """Return a configuration from the fields of a ``config.json``.

    Raises:
        InputError: If transformers or the class itself refuses them; the reason is passed on.
    """
    with explained(name):
        return config_class.from_dict(dict(fields))


def build_network(
    network: type[_Model],
    config: PreTrainedConfig,
    tensors: Mapping[str, Tensor],
    *,
    name: str,
    dtype: torch.dtype = torch.float32,
    may_lack: Callable[[str], bool] = lambda _: False,
    may_ignore: Callable[[str], bool] = lambda _: False,
) -> _Model:
    """Return a network in evaluation mode, on the CPU, with the given weights.

    Args:
        network: Class of the network.
        config: Its sizes.
        tensors: Weights by the network's names, or by older names that transformers knows how to convert.
        name: Of the model, for messages.
        dtype: Of the network; stored weights may have another.
        may_lack: Whether a weight of this name may be missing.
        may_ignore: Whether a tensor of this name need not have a place; a warning names those that are not derived.

    Raises:
        InputError: If the configuration is impossible, or a tensor is missing, unknown or misshapen; each is named.
    """
    with explained(name):
        _check_finite(tensors, name=name)
        _check_size(network, config, tensors, name=name)
        with _without_warnings(), without_progress_bars():
            # Tensors of other sizes are let through here to be named below.
            loaded: Any = network.from_pretrained(
                None,
                config=config,
                state_dict=dict(tensors),
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    model, information = loaded
    ignored = sorted(key for key in information["unexpected_keys"] if may_ignore(key) and not _DERIVED.search(key))
    if ignored:
        _log.warning("Tensors of '%s' that have no place are left out: %s.", name, listed(ignored))
    problems = [
        f"{problem}: {listed(sorted(map(_describe, keys)))}"
        for problem, keys in (
            ("missing", [key for key in information["missing_keys"] if not may_lack(key)]),
            ("unknown", [key for key in information["unexpected_keys"] if not may_ignore(key)]),
            ("misshapen", information["mismatched_keys"]),
        )
        if keys
    ]
    if problems:
        raise InputError(f"The weights of '{name}' do not fit its config.json; {'; '.join(problems)}.")
    return model


def listed(names: Sequence[str]) -> str:
    """Return names for a message: all of a few, the first of many and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _check_finite(tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Refuse weights that are infinite or no number: every result would be."""
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel() and not all(map(torch.isfinite, tensor.aminmax())):
            raise InputError(f"The weights of '{name}' hold values that are not finite numbers, in {key} for one.")


def _check_size(
    network: type[PreTrainedModel], config: PreTrainedConfig, tensors: Mapping[str, Tensor], *, name: str
) -> None:
    """Refuse a configuration of far more values than there are stored, before they are allocated."""
    with torch.device("meta"):
        expected = sum(tensor.numel() for tensor in network(config).state_dict().values())
    stored = sum(tensor.numel() for tensor in tensors.values())
    if expected > _MOST_VALUES_PER_STORED_VALUE * stored + _SPARE_VALUES:
        raise InputError(
            f"The weights of '{name}' do not fit its config.json, which describes a network of {expected:,} values: "
            f"the weights hold {stored:,}."
        )


def first_line(error: Exception) -> str:
    """Return the first line of an exception's text, without its full stop, cut where it is long."""
    line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn whatever transformers, torch or safetensors raise for an unusable model into one sentence."""
    try:
        yield
    except InputError as error:
        if name in str(error):
            raise
        raise InputError(f"The model '{name}' could not be loaded: {error}") from None
    except MemoryError:
        raise InputError(f"The model '{name}' could not be loaded: it does not fit into the memory.") from None
    except Exception as error:
        raise InputError(f"The model '{name}' could not be loaded: {first_line(error)}.") from error


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing its bars for work that takes no time."""
    was_on = logging_of_transformers.is_progress_bar_enabled()
    logging_of_transformers.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
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


def _describe(key: str | tuple[str, Any, Any]) -> str:
    """Name a tensor; one that is misshapen comes with its shape and the right one."""
    return key if isinstance(key, str) else f"{key[0]} is {tuple(key[1])} instead of {tuple(key[2])}"
