"""Recipes as YAML files: a short file names another one as its base and says what differs."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from genvis.errors import InputError
from genvis.files import make_folder, write_text
from genvis.training.recipe.checks import check_recipe
from genvis.training.recipe.recipe import Recipe
from genvis.training.recipe.recipe_paths import anchored, written_for
from genvis.training.recipe.yaml_files import read_yaml


def bundled_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that the package ships, without their bases."""
    folder = _bundled_folder()
    return tuple(sorted(file.stem for file in folder.glob("*.yaml") if not file.stem.startswith("base-")))


def _bundled_folder() -> Path:
    return Path(str(files("genvis.training"))) / "recipes"


def recipe_file(name: str | Path) -> Path:
    """Return the file of a recipe: a path, or the name of a bundled recipe with or without ``.yaml``.

    Raises:
        InputError: If there is no such recipe.
    """
    path = Path(name)
    if path.is_file():
        return path
    bundled = _bundled_folder() / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.parent == Path() and bundled.is_file():
        return bundled
    raise InputError(
        f"There is no recipe '{name}': give a YAML file or one of the bundled {', '.join(bundled_recipes())}."
    )


def read_recipe(path: Path, *, _above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a recipe and its bases: values of a file replace those of its ``base``, level by level.

    Paths in a file start from its folder, and are returned as seen from the current one; those of bundled recipes
    start from the current folder.

    Raises:
        InputError: If a file is missing, no YAML, no mapping, or names itself as its base.
    """
    if path.resolve() in _above:
        raise InputError(f"The recipe {path} is its own base: remove one of the 'base' lines.")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"The recipe {path} must be a mapping of options, not {type(content).__name__}.")
    base = content.pop("base", None)
    if path.parent != _bundled_folder():  # Bundled recipes name places in the folder where they are run.
        content = anchored(content, path.parent)
    if base is None:
        return content
    beside = path.parent / str(base)
    parent = beside if beside.is_file() else recipe_file(str(base))
    return _merged(read_recipe(parent, _above=(*_above, path.resolve())), content)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for name, value in above.items():
        known = result.get(name)
        result[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def recipe_parser() -> ArgumentParser:
    """Return the parser whose options are the fields of a recipe."""
    parser = ArgumentParser(
        prog="genvis train",
        usage="genvis train RECIPE.yaml [--OPTION VALUE ...]",
        description="Train a model from a recipe; options of the command line replace those of the recipe.",
        exit_on_error=False,
    )
    parser.add_argument("--recipe", action="config", help="The recipe, if it is not the first word.")
    parser.add_class_arguments(Recipe)
    return parser


def help_text() -> str:
    """Return the help of all options, and the names of the bundled recipes."""
    return f"{recipe_parser().format_help()}\n{list_recipes()}"


def list_recipes() -> str:
    """Return the bundled recipes with the first line of their comments."""
    titles = recipe_titles()
    width = max(map(len, titles), default=0)
    return "\n".join(["bundled recipes:", *(f"  {name:<{width}}  {title}" for name, title in titles.items())])


def recipe_titles() -> dict[str, str]:
    """Return the first line of the comments of each bundled recipe, by its name."""
    folder = _bundled_folder()
    return {
        name: (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for name in bundled_recipes()
    }


def load_recipe(name: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Load a recipe.

    Args:
        name: A YAML file or the name of a bundled recipe.
        overrides: Options as on the command line, for example ``["--optimizer.learning_rate", "1e-4"]``.

    Raises:
        InputError: If an option is unknown or its value impossible, or options contradict each other.
    """
    path = recipe_file(name)
    content = yaml.safe_dump(read_recipe(path), sort_keys=False)
    return _parsed(["--recipe", content, *(overrides or [])], source=str(path))


def _parsed(words: list[str], *, source: str) -> Recipe:
    parser = recipe_parser()
    try:
        parsed: Namespace = parser.parse_args(words)
        values = parser.instantiate(parsed)
    except Exception as error:  # argparse, jsonargparse and the dataclasses raise several kinds for a wrong option.
        raise InputError(f"{source}: {' '.join(str(error).split()).rstrip('.')}.") from None
    recipe = Recipe(**{name: values[name] for name in Recipe.__dataclass_fields__})
    check_recipe(recipe)
    return recipe


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe with all its values, so that the run can be repeated from this file alone.

    Its paths are seen from the current folder, and are written as seen from that of the file.

    Raises:
        OutputError: If it cannot be written.
    """
    from dataclasses import asdict

    make_folder(path.parent)
    content = written_for(_plain(asdict(recipe)), path.parent)
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
