"""A stage of training: optimizer, schedule, seeds and logging, which the three stages share."""

from abc import abstractmethod
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from genvis.errors import InputError
from genvis.model.detector.base import FrameDetector
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.training.criterion.set_criterion import SetCriterion
from genvis.training.process_group import process_count, process_rank
from genvis.training.recipe.loss_options import LossOptions
from genvis.training.recipe.recipe import OptimizerOptions
from genvis.training.run.failures import without_fault
from genvis.training.run.optimization import parameter_groups, rate_factor

_BATCH_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


class StageModule(lightning.LightningModule):
    """One stage of training.

    The random numbers of a step (points, drop path) depend on the seed, the step and the process alone, so that a run
    that was killed continues exactly.

    Args:
        model: The network; the stage decides which part of it is trained.
        optimizer: Rates, decay and schedule.
        loss: Losses and matching.
        matches_classes: Whether the detector's class scores count in the matching of frames.
        max_steps: Optimizer steps of the whole run.
        seed: Of the random numbers.
        freeze_batch_norm: Whether batch norm keeps its statistics and affine values.
        freeze_backbone: Whether the detector's backbone is left as it is, where the stage trains the detector.

    Attributes:
        frame_criterion: Matches, and scores in training, the detector's predictions of single frames.
        clip_criterion: Matches and scores the tracker's predictions of clips.
        finds_videos: Whether the stage's model segments whole videos, or single frames only.

    Raises:
        InputError: If the detector has fewer layers than the losses ask for.
    """

    finds_videos = True

    def __init__(
        self,
        model: GenVIS,
        *,
        optimizer: OptimizerOptions,
        loss: LossOptions,
        max_steps: int,
        matches_classes: bool = True,
        seed: int = 0,
        freeze_batch_norm: bool = True,
        freeze_backbone: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.optimizer_options = optimizer
        self.loss_options = loss
        self.matches_classes = matches_classes
        self.frame_criterion = SetCriterion(loss, matches_classes=matches_classes)
        self.clip_criterion = SetCriterion(loss)
        self.max_steps = max_steps
        self.seed = seed
        self.freeze_batch_norm = freeze_batch_norm
        self.freeze_backbone = freeze_backbone
        if loss.detector_layers > model.detector.sizes.layers:
            raise InputError(
                f"loss.detector_layers is {loss.detector_layers}, but the detector has {model.detector.sizes.layers} "
                "layers that a tracker can learn from: give at most as many."
            )
        for part in self.frozen_parts():
            part.requires_grad_(False)
        self.train()

    @abstractmethod
    def frozen_parts(self) -> list[nn.Module]:
        """Return the parts of the model that are neither trained nor in training mode."""

    @abstractmethod
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return the weighted losses of a batch by name; their sum is minimised."""

    def train(self, mode: bool = True) -> "StageModule":
        """Switch to training mode, except for what is frozen."""
        super().train(mode)
        for part in self.frozen_parts():
            part.eval()
        return self

    def compile_network(self) -> None:
        """Compile detector and tracker in place with torch.compile; names and weights stay as they are."""
        self.model.detector.compile(dynamic=True)
        if self.model.tracker is not None:
            self.model.tracker.compile(dynamic=True)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the sum of the losses."""
        torch.manual_seed(hash((self.seed, batch_idx, self.global_rank)) & 0x7FFF_FFFF_FFFF_FFFF)
        losses = self.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        self.log("loss", total.detach(), prog_bar=True, batch_size=len(batch))
        self.log("joint_loss", total.detach(), sync_dist=True, batch_size=len(batch))
        self.log_dict({f"loss/{name}": value.detach() for name, value in losses.items()}, batch_size=len(batch))
        return total

    def validation_number(self, batch_idx: int) -> int:
        """Return which of the validation samples a batch of this process is: they are dealt out one by one."""
        return batch_idx * process_count() + process_rank()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch of whichever kind; Lightning does not know ours. An error from a worker is raised here."""
        return without_fault(batch).to(device, non_blocking=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with its schedule, which advances in every optimizer step."""
        groups = parameter_groups(self, self.optimizer_options)
        optimizer = torch.optim.AdamW(
            groups, lr=self.optimizer_options.learning_rate, eps=self.optimizer_options.epsilon
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, options=self.optimizer_options, max_steps=self.max_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def frozen_detector_parts(detector: FrameDetector, *, backbone: bool, batch_norm: bool) -> list[nn.Module]:
    """Return the parts of a detector that is trained which are nevertheless left as they are."""
    frozen = [as_mask2former(detector).parts()["backbone"]] if backbone else []
    return frozen + (batch_norms(detector) if batch_norm else [])


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Return the batch norms of a network."""
    return [module for module in model.modules() if isinstance(module, _BATCH_NORMS)]
