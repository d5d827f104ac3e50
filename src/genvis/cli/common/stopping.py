"""A clean stop: Ctrl-C and termination are heeded between two clips."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the user, or the system, asked to stop.

    Attributes:
        is_requested: Set by the first signal; a second one interrupts at once.
    """

    def __init__(self) -> None:
        self.is_requested = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.is_requested

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
        print("\nStopping after this clip; what is done will be written. Once more stops at once.", file=sys.stderr)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn Ctrl-C and termination into a request that is heeded between two clips."""
    request = StopRequest()
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, request.handle) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
