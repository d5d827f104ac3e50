"""Callbacks of a run: a clear end when training diverges, and checkpoints that can be resumed exactly."""

import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from torch.optim import Optimizer

from genvis.errors import GenVISError, TrainingDiverged
from genvis.training.run.checkpoint_files import LAST, Checkpoint, DamagedCheckpointError
from genvis.training.run.failures import PEER_LOST, PeerLost


class DivergenceGuard(Callback):
    """Stops with one clear sentence when the loss or a gradient is not finite, before any weight is spoilt."""

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Check the loss."""
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDiverged(self._sentence(f"The loss is {value}", trainer))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Check and log the norm of the gradient; with float16 the gradient scaler skips bad steps itself."""
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        if trainer.precision == "16-mixed":
            return
        if not math.isfinite(norm):
            raise TrainingDiverged(self._sentence(f"The gradient's norm is {norm}", trainer))
        pl_module.log("gradient_norm", norm)

    @staticmethod
    def _sentence(what: str, trainer: Trainer) -> str:
        return (
            f"{what} in step {trainer.global_step}: training diverged. Lower optimizer.learning_rate, or use "
            "--run.precision 32-true; the weights are as before this step, and the last checkpoint is untouched."
        )


class PeerWatch(Callback):
    """Ends the run with one sentence when another of its processes on this machine has ended before its time.

    A process that waits for a dead one in a collective of a GPU library may wait for half an hour. The first process
    looks at those that Lightning has started, and these look whether the first one is still there. Processes that
    torchrun or Slurm have started are ended by these.

    Args:
        seconds: Between two looks.
    """

    def __init__(self, *, seconds: float = 0.5) -> None:
        self._seconds = seconds
        self._ended = threading.Event()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to look."""
        children = list(getattr(trainer.strategy.launcher, "procs", None) or ())
        parent = os.getppid() if os.environ.get("LOCAL_RANK", "0") != "0" and _is_lightnings_child(trainer) else None
        if children or parent is not None:
            threading.Thread(target=self._look, args=(children, parent), name="peers", daemon=True).start()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop looking: from now on they may end."""
        self._ended.set()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop looking: this process says itself what is wrong."""
        self._ended.set()

    def _look(self, children: "list[subprocess.Popen[bytes]]", parent: int | None) -> None:
        while not self._ended.wait(self._seconds):
            lost = any(child.poll() not in (None, 0) for child in children)
            orphaned = parent is not None and os.getppid() != parent
            # Of the others, one speaks. What the main thread raises meanwhile comes first.
            if (lost or orphaned) and not self._ended.wait(4 * self._seconds):
                if lost or os.environ.get("LOCAL_RANK") == "1":
                    print(f"genvis train: error: {PEER_LOST}", file=sys.stderr, flush=True)
                for child in children:
                    child.kill()
                os._exit(PeerLost.exit_status)


def _is_lightnings_child(trainer: Trainer) -> bool:
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return isinstance(environment, LightningEnvironment)


class Restoring(Callback):
    """Guard of a restart: errors while a checkpoint is restored are the checkpoint's fault.

    Args:
        start: The checkpoint that the run continues from; None for none.
    """

    def __init__(self, start: Checkpoint | None) -> None:
        self._start = start
        self._is_done = start is None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Everything is restored: what PyTorch takes over without looking at it is checked before it is used."""
        if not self._is_done:
            for optimizer in trainer.optimizers:
                _check_optimizer(optimizer)
            for config in trainer.lr_scheduler_configs:
                _check_rates(config.scheduler.state_dict())
        self._is_done = True

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Refuse the checkpoint, in one sentence, for whatever Lightning and PyTorch raise while they restore it.

        Raises:
            DamagedCheckpointError: If its content, though whole, is not what they wrote.
        """
        try:
            yield
        except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            if self._start is None or self._is_done or isinstance(error, GenVISError):
                raise
            raise DamagedCheckpointError(
                f"The checkpoint {self._start.path} cannot be used: its content is impossible. Remove it, and the same "
                "command continues from the one before, or starts over."
            ) from error


def _check_optimizer(optimizer: Optimizer) -> None:
    """Check the options and moments of AdamW.

    Raises:
        ValueError: If they are none.
    """
    for group in optimizer.param_groups:
        numbers = [group[name] for name in ("lr", "initial_lr", "eps", "weight_decay")] + list(group["betas"])
        switches = [group[name] for name in ("amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused")]
        are_switches = all(switch is None or isinstance(switch, bool) for switch in switches)
        if len(numbers) != 6 or not all(map(_is_amount, numbers)) or not are_switches:
            raise ValueError(f"options of an optimizer: {numbers}, {switches}")
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if state is None:
                continue
            step, *moments = (state[name] for name in ("step", "exp_avg", "exp_avg_sq"))
            if not _is_amount(float(step)) or any(moment.shape != parameter.shape for moment in moments):
                raise ValueError("moments of an optimizer")


def _check_rates(state: dict[str, Any]) -> None:
    """Check the state of a schedule of learning rates.

    Raises:
        ValueError: If it is none.
    """
    counts, rates = (state["last_epoch"], state["_step_count"]), (*state["base_lrs"], *state["_last_lr"])
    if not all(isinstance(count, int) and count >= 0 for count in counts) or not all(map(_is_amount, rates)):
        raise ValueError(f"schedule of learning rates: {counts}, {rates}")


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 0


class ResumableCheckpoint(ModelCheckpoint):
    """A checkpoint that is only taken when no gradient is half accumulated, so that nothing is lost by resuming.

    One that keeps the last state, not the best, is also taken after the last step, so that the run can be made longer,
    and again after a validation at the same step, so that the best score is not forgotten.
    """

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, which does not depend on how often it saves."""
        return f"{type(self).__name__}.{self.monitor or 'last'}"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score and its file, also where the folder of the run was moved."""

        def here(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        moved = {name: here(value) if name.endswith("_path") else value for name, value in state_dict.items()}
        moved["best_k_models"] = {here(path): score for path, score in state_dict.get("best_k_models", {}).items()}
        super().load_state_dict(moved | {"dirpath": self.dirpath})

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, if it is time and a step has just been completed."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        is_saved = self._last_global_step_saved == trainer.global_step
        if self.monitor is None and self.dirpath and trainer.global_step >= trainer.max_steps and not is_saved:
            trainer.save_checkpoint(Path(self.dirpath) / LAST)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the best, or the last state once more with the best score."""
        super().on_validation_end(trainer, pl_module)
        is_saved = self._last_global_step_saved == trainer.global_step or trainer.global_step >= trainer.max_steps
        if self.monitor is None and self.dirpath and is_saved:
            trainer.save_checkpoint(Path(self.dirpath) / LAST)
