"""Claims: which process does a video now, on a disk or a bucket, where there are no locks.

A claim is a small file that only one process can create, and that its process renews. Where it was not renewed for two
minutes, or its process is seen to be dead, another process may take it. If two ever hold one claim (a machine that
slept), both write the same outputs, each whole: work is lost, no result.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from genvis.errors import GenVISError
from genvis.scaling.manifests import FOLDER
from genvis.storage.owners import Owner, this_process
from genvis.storage.stores import Store

RENEW_SECONDS = 30.0
EXPIRY_SECONDS = 120.0
SUFFIX = ".running"
HOPELESS = 1_000_000
"""Attempts of a video that nobody need try again."""


@dataclass(frozen=True)
class Claim:
    """Who does a video.

    Attributes:
        owner: The process.
        token: Tells this claim from every other.
        renewed: When it was renewed last, in seconds since 1970.
        attempt: How many processes have begun the video, with this one; those before ended without a word.
    """

    owner: Owner
    token: str
    renewed: float
    attempt: int

    def is_held(self) -> bool:
        """Whether its process may still be at work."""
        alive = self.owner.is_alive()
        return alive if alive is not None else time.time() - self.renewed < EXPIRY_SECONDS

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        document = {"owner": self.owner.to_json(), "token": self.token, "renewed": self.renewed}
        return json.dumps({**document, "attempt": self.attempt}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Claim":
        """Return the claim of a file; a damaged one is nobody's."""
        try:
            document: Any = json.loads(content)
            return cls(
                Owner.from_json(document["owner"]),
                str(document["token"]),
                float(document["renewed"]),
                max(1, int(document["attempt"])),
            )
        except (ValueError, TypeError, KeyError, OverflowError):
            return cls(Owner("", -1, 0.0), "", 0.0, 1)


def claim_file(key: str) -> str:
    """Return the name of a video's claim in the output folder."""
    return f"{FOLDER}/{key}{SUFFIX}"


def read_claim(store: Store, key: str) -> Claim | None:
    """Return the claim on a video, or None if there is none."""
    content = store.read(claim_file(key))
    return None if content is None else Claim.from_bytes(content)


@contextmanager
def video_claim(store: Store, key: str) -> Iterator[Claim | None]:
    """Claim a video as long as the block lasts.

    A process that is killed leaves its claim behind; the next one counts it as an attempt.

    Yields:
        The claim, or None if another process does the video.

    Raises:
        OutputError: If it cannot be written.
    """
    claim = _take(store, key)
    if claim is None:
        yield None
        return
    renewal = _Renewal(store, key, claim)
    renewal.start()
    try:
        yield claim
    finally:
        renewal.stop()
        with suppress(GenVISError):  # It ends by itself.
            found = read_claim(store, key)
            if found is not None and found.token == claim.token:
                store.remove(claim_file(key))


def give_up(store: Store, key: str) -> None:
    """Note on the claim of this process, which is about to end, that nobody need try the video again."""
    found = read_claim(store, key)
    if found is not None and found.owner == this_process():
        hopeless = Claim(found.owner, found.token, time.time(), HOPELESS)
        store.write(claim_file(key), hopeless.to_bytes())


def _take(store: Store, key: str) -> Claim | None:
    claim = Claim(this_process(), secrets.token_hex(8), time.time(), 1)
    for _ in range(2):
        if store.create(claim_file(key), claim.to_bytes()):
            return claim
        found = read_claim(store, key)
        if found is None:
            continue  # It ended just now.
        if found.token == claim.token:  # The answer to a first try was lost on its way.
            return claim
        if found.is_held():
            return None
        claim = Claim(claim.owner, claim.token, time.time(), found.attempt + 1)
        store.remove(claim_file(key))
    return None


class _Renewal(threading.Thread):
    """Renews a claim in the background."""

    def __init__(self, store: Store, key: str, claim: Claim) -> None:
        super().__init__(name="claim", daemon=True)
        self._store, self._key, self._claim = store, key, claim
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            renewed = Claim(self._claim.owner, self._claim.token, time.time(), self._claim.attempt)
            try:
                found = read_claim(self._store, self._key)
                if found is None or found.token != self._claim.token:
                    return  # Another process has taken it, while this one could not renew it.
                self._store.write(claim_file(self._key), renewed.to_bytes())
            except GenVISError:  # It is tried again; the outputs will say what is wrong.
                continue

    def stop(self) -> None:
        self._ended.set()
        self.join()
