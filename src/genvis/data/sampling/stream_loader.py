"""Batches of an endless stream of samples, which continue where a run was interrupted."""

from collections.abc import Iterator
from functools import partial
from typing import TypedDict

from torch.utils.data import DataLoader, Sampler

from genvis.data.samples.batch import VideoBatch, collate
from genvis.data.sampling.mixture import SampleStream
from genvis.errors import InputError


class StreamState(TypedDict):
    """Where a stream stands.

    Attributes:
        seed: Of the stream.
        samples: How many samples all processes together have taken.
    """

    seed: int
    samples: int


class StreamBatches(Sampler[list[int]]):
    """The positions of the samples of each batch, endlessly.

    Every step takes the next `batch_size * processes` positions, of which each process has its own part: the stream of
    all processes together does not depend on their number.

    Args:
        batch_size: Of each process.
        rank: Of this process.
        processes: Their number.
        start: The first position; a multiple of ``batch_size * processes``.
    """

    def __init__(self, *, batch_size: int, rank: int = 0, processes: int = 1, start: int = 0) -> None:
        if batch_size < 1 or not 0 <= rank < processes or start < 0:
            raise InputError(
                "Batches of a stream need batch_size >= 1, 0 <= rank < processes and start >= 0, "
                f"not {batch_size}, {rank}, {processes} and {start}."
            )
        self.batch_size = batch_size
        self.rank = rank
        self.processes = processes
        self.start = start

    @property
    def step_size(self) -> int:
        """How many samples all processes together take in a step."""
        return self.batch_size * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        position = self.start + self.rank * self.batch_size
        while True:
            yield list(range(position, position + self.batch_size))
            position += self.step_size


class StreamLoader:
    """Loads the batches of a stream, and knows where it stands.

    `state_dict` counts the batches that were handed over, not those that workers have prepared: saved together with
    the model after a step and loaded before the next run, the run continues with the very batch that comes next. A
    trainer that itself takes a batch ahead of the step knows better: it counts its steps and calls `seek`.

    Args:
        stream: The samples.
        batch_size: Of each process.
        rank: Of this process.
        processes: Their number.
        workers: Number of processes that prepare the batches; 0 prepares them in this one.
        divisor: Height and width of a batch are multiples of it.
        pin_memory: Put batches into page-locked memory, for faster copies to a GPU.
    """

    def __init__(
        self,
        stream: SampleStream,
        *,
        batch_size: int,
        rank: int = 0,
        processes: int = 1,
        workers: int = 0,
        divisor: int = 32,
        pin_memory: bool = False,
    ) -> None:
        self.stream = stream
        self.batches = StreamBatches(batch_size=batch_size, rank=rank, processes=processes)
        self._samples = 0
        self._loader: DataLoader[VideoBatch] = DataLoader(
            stream,  # type: ignore[arg-type]  # the loader's type is that of a batch, the data set's that of a sample
            batch_sampler=self.batches,
            num_workers=workers,
            collate_fn=partial(collate, divisor=divisor),
            pin_memory=pin_memory,
        )

    def __iter__(self) -> Iterator[VideoBatch]:
        """Go on from where the stream stands, endlessly."""
        self.batches.start = self._samples
        for batch in self._loader:
            self._samples += self.batches.step_size
            yield batch

    def seek(self, samples: int) -> None:
        """Continue, from the next iteration on, after this many samples of all processes together.

        Raises:
            InputError: If a batch does not begin there.
        """
        if samples < 0 or samples % self.batches.step_size:
            raise InputError(
                f"A run of {self.batches.step_size} samples per step cannot continue after {samples} samples: "
                "use a batch size and a number of processes whose product divides that number."
            )
        self._samples = samples

    def state_dict(self) -> StreamState:
        """Return where the stream stands after the batch that was handed over last."""
        return {"seed": self.stream.seed, "samples": self._samples}

    def load_state_dict(self, state: StreamState) -> None:
        """Continue, from the next iteration on, where another loader stood.

        Raises:
            InputError: If that loader's stream had another seed, or if no batch begins there.
        """
        if state["seed"] != self.stream.seed:
            raise InputError(
                f"The run was started with the data seed {state['seed']} and cannot continue with {self.stream.seed}: "
                "use the same seed."
            )
        self.seek(state["samples"])
