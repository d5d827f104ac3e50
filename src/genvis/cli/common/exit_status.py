"""Exit status of the command line: what goes wrong becomes one sentence and a number."""

import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO

from genvis.errors import GenVISError, OutputError
from genvis.files import REASONS

INTERRUPTED = 130
READER_GONE = 141
"""As shells report a program that writes into a closed pipe (128 + SIGPIPE)."""

# What the system refuses without anybody's mistake in the program.
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


def guarded(work: Callable[[], int], *, program: str) -> int:
    """Do the work of a command and return its exit status.

    Errors that users can correct are printed without a traceback. A reader that closes the pipe (``| head``) ends the
    command quietly. An output that cannot be written is named, the standard output included.

    Args:
        work: Returns the status of success, or of a failure that it has reported itself.
        program: Name in front of messages, for example ``"genvis train"``.
    """
    try:
        return _flushed(work)
    except GenVISError as error:
        return _ended(f"{program}: error: {error}", error.exit_status)
    except BrokenPipeError:
        _silence(sys.stdout)
        return READER_GONE
    except KeyboardInterrupt:
        return _ended(f"{program}: interrupted.", INTERRUPTED)
    except MemoryError:
        return _ended(f"{program}: error: there is not enough memory: close other programs or take smaller files.", 1)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        what = "An output cannot be written" if error.filename is None else f"Cannot use '{error.filename}'"
        return _ended(f"{program}: error: {what}: {REASONS[error.errno]}.", OutputError.exit_status)


def _flushed(work: Callable[[], int]) -> int:
    """Do the work; what it printed has left the process, or the failure is raised here."""
    try:
        status = work()
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def _ended(sentence: str, status: int) -> int:
    """Print a last sentence, if there is still a place to print it."""
    try:
        sys.stdout.flush()
    except OSError:
        _silence(sys.stdout)
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return status


def _silence(stream: TextIO) -> None:
    """Send what is left in a stream's buffer nowhere: the interpreter would fail on it once more when it ends."""
    try:
        descriptor = stream.fileno()
    except OSError:  # A stream in memory.
        return
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), descriptor)
