"""Identity of a training run: what a checkpoint belongs to, and what may change when the run goes on."""

import shutil
from dataclasses import asdict
from pathlib import Path

from genvis.errors import InputError
from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, tensors_stamp, value_stamp
from genvis.model.genvis import GenVIS
from genvis.training.recipe.recipe import Recipe
from genvis.training.recipe.source_identity import source_identity
from genvis.training.run.checkpoint_files import BEST, LAST, PREVIOUS, Checkpoint, usable_checkpoint
from genvis.training.stages.stage import StageModule

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints below the run's."""

_REMEDY = "name another folder with --run.output, or start over in this one with --run.resume false"

MAY_CHANGE: dict[str, tuple[str, ...]] = {
    "run": (
        "output",
        "max_steps",
        "resume",
        "accelerator",
        "devices",
        "nodes",
        "threads",
        "checkpoint_steps",
        "checkpoint_minutes",
        "validate_steps",
        "log_steps",
        "picture_steps",
        "tensorboard",
        "dry_run",
    ),
    "model": ("compile",),
    "data": ("workers",),
    "cache": ("folder",),
}
"""Options that a run which goes on may have different from before, by section; docs/training.md lists them."""

# The weights to start from and the configuration stand in the fingerprint themselves, whatever their names.
_RESOLVED = ("name", "config", "init", "backbone", "categories")
_NOT_THE_NETWORK = ("transformers_version", "architectures", "dtype", "_name_or_path")


def run_fingerprint(recipe: Recipe, model: GenVIS) -> Fingerprint:
    """Return the fingerprint that the checkpoints of a run belong to.

    Args:
        recipe: All settings but those of `MAY_CHANGE` count; annotations by their content.
        model: The network with its first weights.

    Raises:
        InputError: If annotations cannot be read.
    """
    settings = asdict(recipe)
    is_cached = bool(recipe.cache.folder)
    for section, names in MAY_CHANGE.items():
        for name in names:
            del settings[section][name]
    for name in _RESOLVED:
        del settings["model"][name]
    for name in ("clip_lengths", "identity", "query_noise"):
        if not settings["loss"][name]:
            del settings["loss"][name]  # As in runs from before there was this choice.
    settings["cache"] = settings["cache"] if is_cached else {"used": False}
    data = settings["data"]
    data["sources"] = {str(place): source_identity(source) for place, source in enumerate(recipe.data.sources)}
    data["validation"] = None if recipe.data.validation is None else source_identity(recipe.data.validation)
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NOT_THE_NETWORK}
    if config["propagation"] == "full":
        del config["propagation"]  # As above.
    del config["no_object_weight"]  # It is that of the losses, which are among the settings.
    settings["model"] |= {
        "weights": tensors_stamp(model.state_dict(), name=recipe.model.init or recipe.model.backbone or "new weights"),
        "categories": value_stamp([config.pop("id2label"), config.pop("label2id", None)], name="categories"),
        "detector": value_stamp(config.pop("detector"), name="configuration of the detector"),
        "config": config,
    }
    return Fingerprint("training run", **settings)


def open_run(recipe: Recipe, module: StageModule) -> Checkpoint | None:
    """Find out where a run goes on, and write into its folder what it is.

    With ``run.resume`` off, what an earlier run left is removed.

    Args:
        recipe: All of it.
        module: The stage with its first weights.

    Returns:
        The checkpoint to continue from, or None to start.

    Raises:
        InputError: If the folder holds a run of other settings or longer than this one, or only damaged checkpoints.
        OutputError: If the folder cannot be written.
    """
    output = Path(recipe.run.output)
    record, checkpoints = output / FINGERPRINT_FILE, output / CHECKPOINTS
    fingerprint = run_fingerprint(recipe, module.model)
    for left in checkpoints.glob(".*.part.ckpt"):  # Of runs that were killed.
        left.unlink(missing_ok=True)
    if not recipe.run.resume:
        for name in (LAST, PREVIOUS, BEST):
            (checkpoints / name).unlink(missing_ok=True)
        shutil.rmtree(output / "model", ignore_errors=True)
        fingerprint.write(record)
        return None
    if not record.exists() and any((checkpoints / name).exists() for name in (LAST, PREVIOUS, BEST)):
        raise InputError(f"'{output}' holds checkpoints of a run whose settings are not known: {_REMEDY}.")
    fingerprint.bind(record, remedy=_REMEDY)
    start = usable_checkpoint(checkpoints, weights=module.state_dict())
    if start is not None and start.step > recipe.run.max_steps:
        raise InputError(
            f"run.max_steps is {recipe.run.max_steps:,}, but the run in '{output}' has taken {start.step:,} steps: "
            "give at least as many, or name another folder with --run.output."
        )
    return start
