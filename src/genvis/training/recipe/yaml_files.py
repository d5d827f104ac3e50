"""YAML files of limited size: no alias bomb, no deep nesting, no objects."""

from pathlib import Path
from typing import Any

import yaml

from genvis.errors import InputError

_MOST_BYTES = 1 << 20
_MOST_VALUES = 20_000
_DEEPEST = 30


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Args:
        path: At most 1 MB, 20,000 values (a value that aliases repeat counts every time) and 30 levels.

    Raises:
        InputError: If the file cannot be read, is no YAML, or is larger.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"The recipe {path} is larger than 1 MB: give a recipe, a short YAML file.")
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if root is None:
            return None
        _check_size(root, path)
        return loader.construct_document(root)
    except RecursionError:
        raise _too_deep(path) from None
    except (OSError, ValueError, OverflowError, yaml.YAMLError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The recipe {path} cannot be read: {' '.join(str(error).split()).rstrip('.')}.") from None


def _check_size(root: yaml.Node, path: Path) -> None:
    """Count the nodes as they will be written out, before anything is built from them."""
    values, waiting = 0, [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        values += 1
        if depth > _DEEPEST:
            raise _too_deep(path)
        if values > _MOST_VALUES:
            raise InputError(f"The recipe {path} holds more than {_MOST_VALUES:,} values: remove its aliases (*name).")
        if isinstance(node, yaml.SequenceNode):
            waiting += [(part, depth + 1) for part in node.value]
        elif isinstance(node, yaml.MappingNode):
            waiting += [(part, depth + 1) for pair in node.value for part in pair]


def _too_deep(path: Path) -> InputError:
    return InputError(f"The recipe {path} is nested deeper than {_DEEPEST} levels: remove the brackets.")
