"""Positions of the samples in each batch of an endless stream, which continue where a run was interrupted."""

from collections.abc import Iterator

from torch.utils.data import Sampler

from genvis.errors import InputError


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
        """Samples that all processes together take in a step."""
        return self.batch_size * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        position = self.start + self.rank * self.batch_size
        while True:
            yield list(range(position, position + self.batch_size))
            position += self.step_size
