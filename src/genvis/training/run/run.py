"""A training run from its recipe to the finished model."""

import logging
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch

from genvis.checkpoints.save import save_model
from genvis.data.samples.batch import collate
from genvis.data.sampling.mixture import SampleStream
from genvis.fingerprint import claim, release_ended
from genvis.training.cache.cached_stream import (
    CachedViews,
    CacheFilling,
    cached_data,
    collate_views,
    fill_cache,
    open_cache,
)
from genvis.training.planned_launch import planned_launch
from genvis.training.process_group import is_first_process
from genvis.training.recipe.checks import check_recipe
from genvis.training.recipe.loading import save_recipe
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.callbacks import Restoring
from genvis.training.run.checkpoint_files import Checkpoint, usable_checkpoint
from genvis.training.run.data_module import TrainingData
from genvis.training.run.failures import explained_failures
from genvis.training.run.run_identity import CHECKPOINTS, open_run
from genvis.training.run.sample_stream import training_stream, validation_set
from genvis.training.run.trainer import build_trainer
from genvis.training.stages.detector_stage import DetectorStage
from genvis.training.stages.genvis_stage import GenVISStage
from genvis.training.stages.model_building import build_model
from genvis.training.stages.stage import StageModule
from genvis.training.stages.vita_stage import VITAStage

_STAGES: dict[str, type[StageModule]] = {"detector": DetectorStage, "genvis": GenVISStage, "vita": VITAStage}


def train(recipe: Recipe) -> Path:
    """Train as the recipe says, from its last checkpoint if there is one; a finished run is left as it is.

    Args:
        recipe: All of it.

    Returns:
        The folder of the finished model.

    Raises:
        InputError: If the recipe is impossible, or the output folder holds a run of other settings.
        OutputError: If the output folder cannot be written.
        TrainingDiverged: If the loss or a gradient is not finite.
    """
    check_recipe(recipe)
    output = Path(recipe.run.output)
    _quieten_lightning()
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    module = build_module(recipe)
    is_first = is_first_process()
    with claim(output) if is_first else nullcontext(), explained_failures(output):
        start = open_run(recipe, module) if is_first else _start_of_the_first(recipe, module)
        if start is not None and start.step == recipe.run.max_steps and (output / "model" / "config.json").is_file():
            print(f"The run in {output} has finished its {start.step:,} steps; a larger run.max_steps continues it.")
            return output / "model"
        if start is None and recipe.run.resume and (output / "model" / "config.json").is_file():
            print(
                f"The run in {output} has finished, and its checkpoints are gone; --run.resume false trains it again."
            )
            return output / "model"
        if is_first:
            save_recipe(recipe, output / "recipe.yaml")
        data = build_data(recipe, module)
        restoring = Restoring(start)
        filling = [] if data.fill is None else [CacheFilling(data.fill)]
        trainer = build_trainer(recipe, data, callbacks=[restoring, *filling])
        if recipe.model.compile:
            module.compile_network()
        if start is not None and is_first:
            print(f"Continuing from {start.path}, step {start.step:,}.", flush=True)
        with restoring.explained():
            trainer.fit(module, data, ckpt_path=None if start is None else start.path, weights_only=True)
        if trainer.is_global_zero:
            save_model(module.model.eval(), output / "model", overwrite=True)
    return output / "model"


def _start_of_the_first(recipe: Recipe, module: StageModule) -> Checkpoint | None:
    """Return the checkpoint from which the first process continues, which may be about to remove the earlier ones."""
    if not recipe.run.resume:
        return None
    return usable_checkpoint(Path(recipe.run.output) / CHECKPOINTS, weights=module.state_dict())


def _quieten_lightning() -> None:
    """Silence hints about Lightning's own services, and warnings about what is meant here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r"Found \d+ module\(s\) in eval mode",
        r"You have overridden `transfer_batch_to_device`",
        ".*LeafSpec",
    ):
        warnings.filterwarnings("ignore", message=message)


def build_module(recipe: Recipe) -> StageModule:
    """Build the network with its first weights, and the stage that trains it."""
    torch.manual_seed(recipe.run.seed)
    model = build_model(recipe.model, freeze_detector=recipe.stage == "genvis")
    if recipe.stage == "genvis":
        model.config.clip_length = recipe.data.frames_per_clip
    if recipe.stage != "detector":
        model.config.no_object_weight = recipe.loss.weights.no_object
    return _STAGES[recipe.stage](
        model,
        optimizer=recipe.optimizer,
        loss=recipe.loss,
        matches_classes=model.config.detector_shares_categories,
        max_steps=recipe.run.max_steps,
        seed=recipe.run.seed,
        freeze_batch_norm=recipe.model.freeze_batch_norm,
        freeze_backbone=recipe.model.freeze_backbone,
    )


def build_data(recipe: Recipe, module: StageModule) -> TrainingData:
    """Build the stream of training samples, or of cached views, and the validation set, in the model's classes.

    A cache that is not full is filled at once by a run of one process; by many, when they are all there (`fill`).

    Raises:
        InputError: If the recipe or a source is impossible.
    """
    check_recipe(recipe)
    labels = module.model.config.categories
    fill: Callable[[], None] | None = None
    stream: SampleStream | CachedViews
    if recipe.cache.folder:
        stream, fill = _cached(recipe, module)
    else:
        stream = training_stream(recipe.data, labels=labels, seed=recipe.run.seed)
    return TrainingData(
        stream,
        fill=fill,
        collate_items=collate_views if isinstance(stream, CachedViews) else collate,
        batch_size=recipe.data.batch_size,
        accumulate=recipe.run.accumulate,
        workers=recipe.data.workers,
        validation=validation_set(recipe.data, labels=labels) if recipe.run.validate_steps else None,
    )


def _cached(recipe: Recipe, module: StageModule) -> tuple[CachedViews, Callable[[], None] | None]:
    data, options = recipe.data, recipe.cache
    seed = recipe.run.seed if options.seed is None else options.seed
    samples = cached_data(options, data)
    cache = open_cache(options, module=module, data=samples, seed=seed)
    fill = None
    if cache.missing(options.views):
        stream = training_stream(samples, labels=module.model.config.categories, seed=seed)
        fill = partial(fill_cache, cache, stream, views=options.views, module=module, seed=seed, workers=data.workers)
    elif is_first_process():
        release_ended(cache.folder)
    if fill is not None and planned_launch(recipe.run).processes == 1:
        fill()
        fill = None
    drawn = data.sampling() if options.frames else None
    return CachedViews(cache, seed=recipe.run.seed, views=options.views, sampling=drawn), fill
