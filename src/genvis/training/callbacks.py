"""What happens around the steps: a clear end when training diverges, and checkpoints that can be resumed exactly."""

import math
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from genvis.errors import InputError


class DivergenceGuard(Callback):
    """Stops with one clear sentence when the loss or the gradient is not finite, before any weight is spoilt."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss of the step."""
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is {loss} in step {trainer.global_step}: training diverged. Lower "
                "optimizer.learning_rate, or run with --run.precision 32-true; the last checkpoint is untouched."
            )


class ResumableCheckpoint(ModelCheckpoint):
    """A checkpoint that is only taken when no gradient is half accumulated, so that nothing is lost by resuming."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, if it is time and a step has just been completed."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
