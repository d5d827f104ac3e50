"""``genvis train``: a recipe in, a trained model out."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from genvis.cli.common.console import Console, print_json
from genvis.cli.common.option_types import AsJson, Out
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.training.recipe.recipe import Recipe


def train(
    recipe: str | None = None,
    *options: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    init: str | None = None,
    out: Out | None = None,
    dry_run: bool = False,
    list_recipes: Annotated[bool, Parameter(name="--list")] = False,
    json: AsJson = False,
) -> int:
    """Train a model from a recipe.

    Any field of the recipe can be replaced: --optimizer.learning_rate 1e-4, --data.frames_per_clip 3, ...;
    `genvis train` alone explains recipes and all their fields.

    Args:
        recipe: A YAML file, or the name of a bundled recipe such as ovis-r50-online.
        *options: Fields of the recipe that are replaced.
        init: Weights to start from: a published .pth file, a model folder, a name of `genvis models`.
        out: Folder of the run.
        dry_run: Say what the recipe would do, with its memory and time, instead of training.
        list_recipes: List the bundled recipes.
        json: Print a list or a dry run as JSON.
    """
    from genvis.training.recipe import loading

    if list_recipes and json:
        print_json([{"name": name, "title": title} for name, title in loading.recipe_titles().items()])
        return 0
    if list_recipes or recipe is None:
        print(loading.list_recipes() if list_recipes else loading.help_text())
        return 0
    if recipe.startswith("-"):
        raise InputError("The recipe comes first: genvis train RECIPE.yaml [--OPTION VALUE ...].")
    replaced = list(options)
    if init is not None:
        replaced += ["--model.init", init]
    if out is not None:
        replaced += ["--run.output", str(out)]
    if dry_run:
        replaced += ["--run.dry_run", "true"]
    return _run(loading.load_recipe(recipe, replaced), folder=loading.recipe_file(recipe).parent, as_json=json)


def _run(recipe: "Recipe", *, folder: Path, as_json: bool) -> int:
    from genvis.errors import MissingExtraError

    if find_spec("lightning") is None:
        raise MissingExtraError("lightning", "train")
    if recipe.run.dry_run:
        from genvis.training.run.dry_run import dry_run

        costs = dry_run(recipe, beside=folder)
        if as_json:
            print_json(costs.to_json())
        else:
            costs.show(Console())
        return 0
    from genvis.training.process_group import is_first_process
    from genvis.training.run.run import train as train_recipe

    folder = train_recipe(recipe)
    if is_first_process():
        print(f"The trained model is in {folder}: try `genvis predict VIDEO --weights {folder}`.")
    return 0
