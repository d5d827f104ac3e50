"""Lightning's trainer of a run, with its loggers and callbacks."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from genvis.errors import InputError
from genvis.training.planned_launch import planned_launch
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.callbacks import DivergenceGuard, PeerWatch, ResumableCheckpoint
from genvis.training.run.checkpoint_files import PlainCheckpointIO
from genvis.training.run.data_module import TrainingData
from genvis.training.run.progress import TrainingProgress
from genvis.training.run.run_identity import CHECKPOINTS
from genvis.training.run.sample_stream import ValidationSet
from genvis.training.validation.sample_pictures import SamplePictures

_BEST_BY = {"detector": "frame_AP", "vita": "video_AP", "genvis": "video_AP"}


def build_trainer(
    recipe: Recipe, data: TrainingData | None = None, *, callbacks: Sequence[Callback] = ()
) -> lightning.Trainer:
    """Build Lightning's trainer.

    Args:
        recipe: All of it.
        data: With validation samples of which pictures are drawn, if the recipe asks for them.
        callbacks: Of one run, besides those that the recipe asks for.

    Raises:
        InputError: If there are no such devices.
    """
    run, output = recipe.run, Path(recipe.run.output)
    launch = planned_launch(run)
    processes = launch.processes
    validates = bool(run.validate_steps and recipe.data.validation is not None)
    try:
        return lightning.Trainer(
            accelerator=run.accelerator,
            devices=launch.per_machine,
            num_nodes=launch.machines,
            strategy="ddp" if processes > 1 else "auto",
            precision=run.precision,
            max_steps=run.max_steps,
            max_epochs=-1,
            accumulate_grad_batches=run.accumulate,
            gradient_clip_val=recipe.optimizer.clip_norm or None,
            val_check_interval=run.validate_steps * run.accumulate if validates else None,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            limit_val_batches=None if validates else 0,
            log_every_n_steps=run.log_steps,
            logger=_loggers(recipe, output),
            callbacks=[
                *_callbacks(recipe, output, validates=validates, validation=data.validation if data else None),
                *callbacks,
            ],
            sync_batchnorm=processes > 1 and not recipe.model.freeze_batch_norm and run.accelerator != "cpu",
            use_distributed_sampler=False,
            enable_model_summary=False,
            default_root_dir=output,
            plugins=[PlainCheckpointIO()],
        )
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"run.accelerator, run.devices or run.precision does not fit: {reason}.") from None


def _loggers(recipe: Recipe, output: Path) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(output, name="log", flush_logs_every_n_steps=recipe.run.log_steps)]
    if recipe.run.tensorboard:
        loggers.append(TensorBoardLogger(output, name="tensorboard"))
    return loggers


def _callbacks(recipe: Recipe, output: Path, *, validates: bool, validation: ValidationSet | None) -> list[Callback]:
    run, folder = recipe.run, output / CHECKPOINTS
    callbacks: list[Callback] = [
        PeerWatch(),
        DivergenceGuard(),
        LearningRateMonitor("step"),
        TrainingProgress(every=run.log_steps),
    ]
    if run.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=run.ema_decay))
    if run.picture_steps and validates and validation is not None:
        callbacks.append(SamplePictures(validation, folder=output / "pictures", every=run.picture_steps))
    if validates:
        callbacks.append(
            ResumableCheckpoint(
                dirpath=folder,
                filename="best",
                monitor=_BEST_BY[recipe.stage],
                mode="max",
                save_top_k=1,
                enable_version_counter=False,
            )
        )
    # Behind the best, whose score it holds.
    resuming: dict[str, Any] = {"dirpath": folder, "filename": "last", "save_top_k": 1, "enable_version_counter": False}
    if run.checkpoint_minutes and not run.checkpoint_steps:
        resuming["train_time_interval"] = timedelta(minutes=run.checkpoint_minutes)
    else:
        resuming["every_n_train_steps"] = run.checkpoint_steps or run.max_steps
    callbacks.append(ResumableCheckpoint(**resuming))
    return callbacks
