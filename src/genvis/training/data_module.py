"""Batches by their step alone: which samples a step takes never depends on when the run was last resumed."""

from collections.abc import Iterator

import lightning
from torch.utils.data import DataLoader, Dataset, Sampler

from genvis.data.batch import VideoBatch, collate
from genvis.data.sample import VideoSample
from genvis.errors import InputError


class StepBatches(Sampler[list[int]]):
    """The positions in the stream of samples that a process takes in each batch.

    Batch ``i`` of all processes together is ``[i * size, (i + 1) * size)``; each process takes its share of it.

    Args:
        start: The first batch.
        stop: The batch after the last.
        size: Samples of a batch over all processes.
        rank: This process.
        processes: How many there are.

    Raises:
        InputError: If the batch cannot be shared evenly.
    """

    def __init__(self, *, start: int, stop: int, size: int, rank: int = 0, processes: int = 1) -> None:
        if size % processes:
            raise InputError(
                f"data.batch_size {size} cannot be shared by {processes} processes: make it a multiple of {processes}."
            )
        self._batches = range(start, stop)
        self._stop = stop
        self._size, self._share, self._rank = size, size // processes, rank

    def __len__(self) -> int:
        # Lightning counts the batches of the whole run, also after resuming.
        return self._stop

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            first = batch * self._size + self._rank * self._share
            yield list(range(first, first + self._share))


class TrainingData(lightning.LightningDataModule):
    """Training samples in the order of the steps, and held-out samples.

    Args:
        samples: The stream of training samples: an item depends on its position alone.
        batch_size: Samples of a batch over all processes.
        steps: Optimizer steps of the whole run.
        accumulate: Batches of a step.
        workers: Processes that prepare samples; 0 for none.
        held_out: Validation samples, or None.
        held_out_batch: Validation samples of a batch.
    """

    def __init__(
        self,
        samples: Dataset[VideoSample],
        *,
        batch_size: int,
        steps: int,
        accumulate: int = 1,
        workers: int = 0,
        held_out: Dataset[VideoSample] | None = None,
        held_out_batch: int = 1,
    ) -> None:
        super().__init__()
        self.samples, self.held_out = samples, held_out
        self._batch_size, self._steps, self._accumulate = batch_size, steps, accumulate
        self._workers, self._held_out_batch = workers, held_out_batch

    def train_dataloader(self) -> DataLoader[VideoBatch]:
        """Return the batches from the trainer's current step on."""
        trainer = self.trainer
        batches = StepBatches(
            start=(trainer.global_step if trainer else 0) * self._accumulate,
            stop=self._steps * self._accumulate,
            size=self._batch_size,
            rank=trainer.global_rank if trainer else 0,
            processes=trainer.world_size if trainer else 1,
        )
        return DataLoader(
            self.samples,
            batch_sampler=batches,
            num_workers=self._workers,
            collate_fn=collate,
            persistent_workers=self._workers > 0,
        )

    def val_dataloader(self) -> DataLoader[VideoBatch] | list[DataLoader[VideoBatch]]:
        """Return the held-out samples in their order; an empty list without any."""
        if self.held_out is None:
            return []
        return DataLoader(self.held_out, batch_size=self._held_out_batch, collate_fn=collate)
