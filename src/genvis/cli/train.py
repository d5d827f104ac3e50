"""``genvis train``: a recipe in, a trained model out."""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genvis.training.recipe.recipe import Recipe

# Short names of what is asked for most often.
ALIASES = {
    "--init": "--model.init",
    "--out": "--run.output",
    "-o": "--run.output",
    "--dry-run": "--run.dry_run=true",
}


def train(recipe: str) -> int:
    """Train a model from a recipe.

    Args:
        recipe: A YAML file, or the name of a bundled recipe such as ovis-r50-online.
    """
    return run([recipe])


def run(words: list[str]) -> int:
    """Train as the words of a command line say: the recipe first, then options that replace its own.

    Args:
        words: For example ``["ovis-r50-online", "--optimizer.learning_rate", "1e-4"]``.

    Returns:
        The exit status.

    Raises:
        InputError: If the recipe or an option is wrong, or training diverges.
    """
    from genvis.training.recipe.loading import help_text, list_recipes, load_recipe

    if not words or words[0] in ("-h", "--help"):
        print(help_text())
        return 0
    if words[0] == "--list":
        print(list_recipes())
        return 0
    if words[0].startswith("-"):
        from genvis.errors import InputError

        raise InputError("The recipe comes first: genvis train RECIPE.yaml [--OPTION VALUE ...].")
    return _run(load_recipe(words[0], spelled(words[1:])))


def spelled(words: list[str]) -> list[str]:
    """Replace short names of options, which may carry their value after an equals sign."""
    result = []
    for word in words:
        name, equals, value = word.partition("=")
        result.append(ALIASES.get(name, name) + equals + value)
    return result


def _run(recipe: "Recipe") -> int:
    from genvis.errors import MissingExtraError

    if find_spec("lightning") is None:
        raise MissingExtraError("lightning", "train")
    if recipe.run.dry_run:
        from genvis.training.recipe.dry_run import dry_run

        dry_run(recipe)
        return 0
    from genvis.training.run.run import train as train_recipe

    folder = train_recipe(recipe)
    print(f"The trained model is in {folder}: try `genvis predict VIDEO --weights {folder}`.")
    return 0


COMPONENTS = train

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
