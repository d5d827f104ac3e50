"""Paths in recipes: they start from the folder of the file in which they stand."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genvis.checkpoints.hub import is_hub_id
from genvis.checkpoints.registry import find_entry

_WEIGHTS = (("model", "init"), ("model", "backbone"))
_PLACES = (("run", "output"), ("cache", "folder"))


def anchored(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content of a recipe with its paths as seen from the current folder.

    Args:
        content: As read from a file; values that are no text are left for the checks.
        folder: Of that file.
    """

    def seen_from_here(path: str) -> str:
        place = Path(os.path.normpath(folder / path))
        is_below = not Path(path).is_absolute() and place.is_relative_to(Path.cwd())
        return str(place.relative_to(Path.cwd()) if is_below else place)

    return _changed(content, seen_from_here, folder)


def written_for(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content of a recipe, whose paths are seen from the current folder, to be written into a folder."""
    return _changed(content, lambda path: path_from(folder, path), Path())


def path_from(folder: Path, path: str | Path) -> str:
    """Return a path, seen from the current folder, as seen from another one; absolute ones stay as they are."""
    if Path(path).is_absolute():
        return str(path)
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # On another drive.
        return str(Path(path).resolve())


def is_path(weights: str, folder: Path) -> bool:
    """Whether weights are named by a path, rather than by a name of the registry or of the Hub.

    Args:
        weights: As in a recipe.
        folder: That a path would start from.
    """
    if not weights or "://" in weights or find_entry(weights) is not None:
        return False
    if weights.endswith((".pth", ".pt")) or (folder / weights).exists():
        return True
    if is_hub_id(weights):  # A folder that a run will make has the same form.
        return (folder / weights).parent.is_dir()
    return len(Path(weights).parts) > 1


def _changed(content: dict[str, Any], change: Callable[[str], str], folder: Path) -> dict[str, Any]:
    result = {name: dict(value) if isinstance(value, dict) else value for name, value in content.items()}

    def replace(section: Any, name: str, *, wanted: Callable[[str], bool] = bool) -> None:
        value = section.get(name) if isinstance(section, dict) else None
        if isinstance(value, str) and "://" not in value and wanted(value):
            section[name] = change(value)

    for section, name in _WEIGHTS:
        replace(result.get(section), name, wanted=lambda weights: is_path(weights, folder))
    replace(result.get("model"), "categories", wanted=lambda name: name.endswith(".json"))
    for section, name in _PLACES:
        replace(result.get(section), name)
    data = result.get("data")
    if isinstance(data, dict):
        if isinstance(data.get("sources"), list):
            data["sources"] = [dict(entry) if isinstance(entry, dict) else entry for entry in data["sources"]]
        if isinstance(data.get("validation"), dict):
            data["validation"] = dict(data["validation"])
        sources = data["sources"] if isinstance(data.get("sources"), list) else []
        for source in [*sources, data.get("validation")]:
            replace(source, "annotations")
            replace(source, "images")
    return result
