"""Batches by their step alone: which samples a step takes never depends on when the run was last resumed."""

from collections.abc import Callable

import lightning
from torch.utils.data import DataLoader, Subset

from genvis.data.samples.batch import VideoBatch, collate
from genvis.data.sampling.mixture import SampleStream
from genvis.data.sampling.stream_batches import StreamBatches
from genvis.errors import InputError
from genvis.training.cache.cached_stream import CachedViews
from genvis.training.cache.detected_videos import DetectedVideos
from genvis.training.run.failures import FaultCarrier, FaultCollate
from genvis.training.run.sample_stream import ValidationSet


class TrainingData(lightning.LightningDataModule):
    """Training samples in the order of the steps, and validation samples.

    Args:
        stream: The training samples, or cached views: an item depends on its position alone.
        collate_items: Puts items into a batch.
        batch_size: Samples of a batch over all processes.
        accumulate: Batches of a step.
        workers: Processes that prepare samples, for each training process; 0 for none.
        validation: Validation samples, or None.
        fill: Fills the cache that the stream reads from, to be called by all processes together; None if it is full.
    """

    def __init__(
        self,
        stream: SampleStream | CachedViews,
        *,
        collate_items: Callable[..., VideoBatch | DetectedVideos] = collate,
        batch_size: int,
        accumulate: int = 1,
        workers: int = 0,
        validation: ValidationSet | None = None,
        fill: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.fill = fill
        self.stream, self.collate_items, self.validation = stream, collate_items, validation
        self._batch_size, self._accumulate = batch_size, accumulate
        self._workers = workers

    def train_dataloader(self) -> "DataLoader[VideoBatch | DetectedVideos]":
        """Return the endless batches of this process, from the trainer's current step on.

        Raises:
            InputError: If the processes cannot share a batch evenly.
        """
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("The training data needs a trainer, which knows the step.")
        if self._batch_size % trainer.world_size:
            raise InputError(
                f"data.batch_size {self._batch_size} cannot be shared by {trainer.world_size} processes: make it a "
                f"multiple of {trainer.world_size}."
            )
        # A loader without a state of its own: it would have counted the batch that Lightning takes ahead of the step.
        return DataLoader(
            FaultCarrier(self.stream),
            batch_sampler=StreamBatches(
                batch_size=self._batch_size // trainer.world_size,
                rank=trainer.global_rank,
                processes=trainer.world_size,
                start=trainer.global_step * self._accumulate * self._batch_size,
            ),
            num_workers=self._workers,
            collate_fn=FaultCollate(self.collate_items),
            pin_memory=trainer.strategy.root_device.type == "cuda" and isinstance(self.stream, SampleStream),
        )

    def val_dataloader(self) -> "DataLoader[VideoBatch] | list[DataLoader[VideoBatch]]":
        """Return this process's share of the validation samples, in their order; an empty list without any."""
        if self.validation is None:
            return []
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = Subset(self.validation, range(rank, len(self.validation), processes))
        return DataLoader(share, batch_size=1, collate_fn=collate)  # type: ignore[arg-type]  # as above
