"""Sentences without the paths of this machine."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

# An absolute path, in quotes (then with blanks) or not.
_QUOTED = re.compile(r"""(['"`])((?:/|[A-Za-z]:[\\/]|\\\\)[^'"`\n]+)\1""")
_BARE = re.compile(r"(?<![\w.:/\\])(?:/(?=[\w.~-]+/)|[A-Za-z]:[\\/])[^\s'\"`,;:]+")


def without_paths(text: str, root: Path) -> str:
    """Return a sentence in which files below the folder are named from there, and others by their last name alone.

    Args:
        text: The sentence.
        root: The folder that the application serves.
    """
    for place in {str(root), str(root.resolve())}:
        text = text.replace(f"{place}/", "").replace(f"{place}\\", "").replace(place, "the folder")
    text = _QUOTED.sub(lambda found: f"{found[1]}{_last(found[2])}{found[1]}", text)
    return _BARE.sub(lambda found: _last(found[0]), text)


def _last(path: str) -> str:
    return (PureWindowsPath(path) if "\\" in path or path[1:2] == ":" else PurePosixPath(path)).name or "a folder"
