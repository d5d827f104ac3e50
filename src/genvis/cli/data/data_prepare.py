"""``genvis data prepare``: from annotations of one's own to recipes that can be trained here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from genvis.errors import GenVISError, InputError

if TYPE_CHECKING:
    from genvis.training.recipe.hardware_presets import TrainingPreset
    from genvis.training.recipe.own_videos import OwnRecipes


def prepare(
    file: Path,
    *,
    images: Path = Path("images"),
    init: str = "",
    hardware: Literal["auto", "cpu", "gpu"] = "auto",
    validation: float = 0.1,
    seed: int = 0,
    name: str | None = None,
    estimate: Annotated[bool, Parameter(negative="--no-estimate")] = True,
) -> None:
    """Get annotations of your own ready for training: split them, choose a model, and write the recipes of its stages.

    Writes NAME_train.json, NAME_validation.json, NAME_detector.yaml and NAME_genvis.yaml beside the file, and says how
    long training will take on this machine. A single video cannot be split: all of it is trained on, and nothing is
    measured. Images of a COCO file become videos of one frame (NAME_videos.json).

    Args:
        file: The YouTube-VIS, OVIS or COCO instances file (JSON).
        images: The folder that the file names start from.
        init: Weights to start from. A model folder, a name of `genvis models`, a published .pth file, or a Hub id, of
            a GenVIS or of a detector: a Mask2Former learns your classes first; an EoMT or RF-DETR stays frozen.
            Default: mask2former-t-coco, or sprites-tiny where it cannot be fetched.
        hardware: What the recipes are for: cpu takes small frames, a frozen backbone and a cache; auto is this machine.
        validation: The share of the videos for the validation set.
        seed: Another seed, another split.
        name: Of the recipes and the runs; that of the file if not given.
        estimate: Take a step of each stage, to say how long training will take here.
    """
    from genvis.data.split import split_annotations
    from genvis.files import read_json_object
    from genvis.training.recipe.hardware_presets import preset_for, this_machine
    from genvis.training.recipe.own_videos import write_own_recipes

    machine = this_machine()
    preset = preset_for(machine, None if hardware == "auto" else hardware)
    name = name or file.stem
    expected = "an object with 'videos' or 'images', 'annotations' and 'categories'"
    content = read_json_object(file, expected=expected)
    recipes, note = _plan(init, name=name, images=images, folder=file.parent, preset=preset)
    file, count = _as_videos(file, content)
    train, out = file, None
    if count == 1:
        print("One video cannot be split: all of it is trained on, and no AP is measured.")
    else:
        result = split_annotations(file, validation=validation, seed=seed)
        train, out = result.train.path, result.validation.path
        print(f"{result.train.videos:,} videos to train on, {result.validation.videos:,} to validate on.")
    write_own_recipes(recipes, train=train, validation=out)
    print(f"This machine: {machine}. {preset.reason}")
    print(f"Model: {note}")
    if estimate:
        _print_estimates(recipes)
    print("\n".join(["Now run", *(f"  genvis train {recipe}" for recipe in recipes.files)]))
    print(f"  genvis predict VIDEO --weights {recipes.model} -o out")


def _plan(init: str, *, name: str, images: Path, folder: Path, preset: "TrainingPreset") -> "tuple[OwnRecipes, str]":
    """Return the recipes to write, and what to know of the model that training starts from."""
    from huggingface_hub import constants

    from genvis.training.recipe.hardware_presets import default_weights
    from genvis.training.recipe.own_videos import plan_own_recipes

    if init:
        return plan_own_recipes(name=name, images=images, init=init, folder=folder, preset=preset), init
    weights, note = default_weights(can_fetch=not constants.HF_HUB_OFFLINE)
    try:
        return plan_own_recipes(name=name, images=images, init=weights, folder=folder, preset=preset), note
    except InputError as error:
        spare, note = default_weights(can_fetch=False)
        if spare == weights or "cannot be reached" not in str(error):
            raise
        return plan_own_recipes(name=name, images=images, init=spare, folder=folder, preset=preset), note


def _as_videos(file: Path, content: dict[str, object]) -> tuple[Path, int]:
    """Return the file of videos, and how many it has; images of a COCO file are written as videos of one frame."""
    from genvis.data.merge import is_coco, merge_annotations

    if not is_coco(content):
        videos = content.get("videos")
        return file, len(videos) if isinstance(videos, list) else 0
    merged = merge_annotations([file], file.with_name(f"{file.stem}_videos.json"))
    print(f"{merged.path}: {merged.videos:,} images as videos of one frame, of which training makes pseudo videos.")
    return merged.path, merged.videos


def _print_estimates(recipes: "OwnRecipes") -> None:
    """Print how long each stage will take here, measured on a sample."""
    from importlib.util import find_spec

    from genvis.cli.common.console import Console
    from genvis.training.recipe.loading import load_recipe

    if find_spec("lightning") is None:
        print("How long training takes is measured where it is installed: pip install 'genvis[train]'.")
        return
    from genvis.training.run.dry_run import dry_run, duration

    with Console(stderr=True).status("Measuring a step of each stage ..."):
        lines, seconds = [], 0.0
        for path in recipes.files:
            try:
                costs = dry_run(load_recipe(path), beside=path.parent, is_brief=True)
            except GenVISError as error:
                lines.append(f"  {path}: not measured ({error})")
                continue
            seconds += costs.seconds
            cache = costs.measurement.cache_seconds
            filling = f", {duration(cache)} of it to fill a cache of {costs.measurement.cache_bytes / 1e9:.1f} GB"
            lines.append(
                f"  {path}: about {duration(costs.seconds)} ({costs.recipe.run.max_steps:,} steps of "
                f"{costs.step_seconds:.2g} s{filling if cache else ''})"
            )
    print("\n".join(["Time on this machine, without validation:", *lines]))
    if len(lines) > 1:
        print(f"  together: about {duration(seconds)}; --run.max_steps changes it, and Ctrl-C loses nothing")
