"""Reading a JSON file that holds one object, with one sentence for whatever is wrong."""

import json
from pathlib import Path
from typing import Any

from genvis.errors import InputError


def read_json_object(path: Path, *, expected: str) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Args:
        path: The file.
        expected: What it should hold, for messages, for example "an object with 'videos'".

    Raises:
        InputError: If there is no such file, it is not JSON, or it holds something else.
    """
    if not path.is_file():
        raise InputError(f"There is no file '{path}'.")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is not JSON: {error}; is it complete, and the right file?") from None
    if not isinstance(content, dict):
        held = "a list, as files of results do" if isinstance(content, list) else f"a {type(content).__name__}"
        raise InputError(f"'{path}' holds {held}, instead of {expected}.")
    return content
