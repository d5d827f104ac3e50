"""A live source that drops or stalls is connected to again: a bounded number of times, after growing pauses."""

import time
from collections.abc import Callable, Iterator
from threading import Event

from genvis.errors import InputError
from genvis.video.sources.decoding import Decoding, Location

DEFAULT_ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
# A connection that held this long counts as good: the next drop has all attempts again.
STEADY_SECONDS = 30.0

Tell = Callable[[str], None]


class Reconnection:
    """Keeps a live source connected; its clock runs on while it is away.

    Args:
        location: The source.
        attempts: How often in a row it is tried, after pauses of 1, 2, 4, ... at most 30 seconds; 0 gives up at once.
        tell: Called, in the thread that reads, with a sentence whenever the source drops; None tells nobody.

    Attributes:
        outages: Seconds of the source at which it dropped, and how many seconds each lasted.

    Raises:
        InputError: If ``attempts`` is negative.
    """

    def __init__(self, location: Location, *, attempts: int, tell: Tell | None) -> None:
        if attempts < 0:
            raise InputError(f"A stream cannot be connected to {attempts} times: give 0 or more for reconnect.")
        self.outages: list[tuple[float, float]] = []
        self._location = location
        self._attempts = attempts
        self._tell = tell
        self._used = 0
        self._connected_at = time.monotonic()
        self._outage = (0.0, 0.0)
        self._last_failure = ""
        self._is_stopped = Event()

    def connections(self, *, ending: str, now: float) -> Iterator[Decoding]:
        """Try to connect again; each answer is one that worked, to be kept, or followed by the next attempt.

        Args:
            ending: The sentence on why frames ended.
            now: Seconds of the source at which they did.
        """
        dropped_at = time.monotonic()
        if dropped_at - self._connected_at > STEADY_SECONDS:
            self._used = 0
        if self._used < self._attempts and self._tell is not None:
            self._tell(f"{ending} Connecting again, at most {_times(self._attempts - self._used)}.")
        while self._used < self._attempts:
            pause = min(FIRST_PAUSE * 2**self._used, LONGEST_PAUSE)
            self._used += 1
            if self._is_stopped.wait(pause):
                self._last_failure = "reading was stopped."
                return
            try:
                decoding = Decoding(self._location, begin=now + time.monotonic() - dropped_at)
            except InputError as error:
                self._last_failure = str(error)
                continue
            self._last_failure = f"'{self._location.label}' answered without a frame."
            self._connected_at = time.monotonic()
            self._outage = (now, self._connected_at - dropped_at)
            yield decoding

    def succeed(self) -> None:
        """The last connection goes on with frames."""
        self.outages.append(self._outage)
        self._last_failure = "it dropped each time."

    def refuse(self, why: str) -> None:
        """The last connection is not what dropped."""
        self._last_failure = why

    def failure(self) -> str:
        """Say, after the last attempt, how many there were and why the source was given up; empty if there was none."""
        if not self._used:
            return ""
        attempts = "1 attempt" if self._used == 1 else f"{self._used} attempts"
        return f" After {attempts} to connect again it was given up: {self._last_failure}"

    def stop(self) -> None:
        """End a pause at once, and all attempts."""
        self._is_stopped.set()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
