"""Failures around a run in one sentence: a full disk, a killed data worker, wrong data found by a worker."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import distributed
from torch.utils.data import Dataset

from genvis.errors import GenVISError
from genvis.files import cannot_write

_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


PEER_LOST = (
    "Another process of this run was killed or failed, so that this one stops: the same command, on all machines, "
    "continues from the last checkpoint."
)
# In what the libraries of process groups say when a peer is gone.
_PEER_WORDS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "process group", "broken pipe")


class PeerLost(GenVISError):
    """Run of several processes, of which one has ended."""


def is_peer_lost(error: RuntimeError) -> bool:
    """Whether an error of PyTorch says that another process is gone."""
    return isinstance(error, distributed.DistError) or any(word in str(error).lower() for word in _PEER_WORDS)


@contextmanager
def explained_failures(output: Path) -> Iterator[None]:
    """Raise what libraries say of disks and processes as errors of ours, one sentence each.

    Args:
        output: Folder of the run.

    Raises:
        OutputError: If logs or checkpoints cannot be written.
        PeerLost: If another process of the run ended.
        GenVISError: If a process that prepares samples died.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _WRITING:
            raise
        raise cannot_write(error.filename or output, error) from error
    except RuntimeError as error:
        if is_peer_lost(error):
            raise PeerLost(PEER_LOST) from error
        if "DataLoader worker" not in str(error):
            raise
        raise GenVISError(
            "A process that prepares samples was killed, mostly because memory ran out: lower data.workers or "
            "data.batch_size; the same command continues from the last checkpoint."
        ) from error


class FaultCarrier(Dataset[Any]):
    """A stream whose errors are items, so that a sentence from a worker process arrives without its traceback.

    Args:
        stream: The samples.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getitem__(self, index: int) -> Any:
        try:
            return self._stream[index]
        except GenVISError as error:
            return error


class FaultCollate:
    """Puts items into a batch; an error among them becomes the batch.

    Args:
        collate_items: Of items without an error.
    """

    def __init__(self, collate_items: Callable[..., Any]) -> None:
        self._collate_items = collate_items

    def __call__(self, items: Sequence[Any]) -> Any:
        """Return the batch, or the first error."""
        try:
            return next((item for item in items if isinstance(item, GenVISError)), None) or self._collate_items(items)
        except GenVISError as error:
            return error


def without_fault(batch: Any) -> Any:
    """Return the batch, or raise the error that stands in its place."""
    if isinstance(batch, GenVISError):
        raise batch
    return batch
