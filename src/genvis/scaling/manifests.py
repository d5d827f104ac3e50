"""Manifest: the small record of one video of a job, written when the video is finished or has failed.

Manifests lie beside each other in ``manifests/``, so that one listing tells what is done, on a disk or a bucket.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from genvis.errors import InputError
from genvis.storage.stores import Store

FOLDER = "manifests"
_FORMAT, _VERSION = "genvis manifest", 1
_AT_ONCE = 500
_NAME = re.compile(FOLDER + r"/([0-9a-f]{16})\.json")

State = Literal["finished", "incomplete", "failed"]
"""``finished``: all is well. ``incomplete``: there is a result, but frames of the source are missing. ``failed``: there
is none."""


@dataclass(frozen=True)
class Manifest:
    """What became of one video.

    Attributes:
        key: Of the video.
        name: Of the video.
        source: Where it is, without credentials.
        folder: Of its outputs, within the output folder.
        state: How it ended.
        frames: That were segmented; 0 if it failed.
        seconds: That it took, from opening to the last output.
        problem: What is missing, or why it failed; None if all is well.
        fingerprint: What the result belongs to, see `genvis.fingerprint`; of a failed video without its source.
        machine: Where it was done.
    """

    key: str
    name: str
    source: str
    folder: str
    state: State
    frames: int
    seconds: float
    problem: str | None
    fingerprint: dict[str, Any]
    machine: str

    @property
    def has_result(self) -> bool:
        """Whether the video need not be done again."""
        return self.state != "failed"

    def write(self, store: Store) -> None:
        """Write it.

        Raises:
            OutputError: If it cannot be written.
        """
        document = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        store.write(manifest_file(self.key), (json.dumps(document, indent=1) + "\n").encode())

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> "Manifest":
        """Read what :meth:`write` wrote.

        Raises:
            InputError: If it is something else.
        """
        try:
            document = json.loads(content)
            if document.pop("format") != _FORMAT or document.pop("version") != _VERSION:
                raise ValueError
            manifest = cls(**document)
            texts = (manifest.key, manifest.name, manifest.source, manifest.folder, manifest.machine)
            numbers = (manifest.frames, manifest.seconds)
            if not all(isinstance(text, str) for text in texts) or manifest.state not in get_args(State):
                raise ValueError
            if any(isinstance(number, bool) or not 0 <= number < math.inf for number in numbers):
                raise ValueError
            if not isinstance(manifest.fingerprint, dict) or not isinstance(manifest.problem, str | None):
                raise ValueError
            if manifest.folder in ("", ".", "..") or any(sign in manifest.folder for sign in "/\\\0"):
                raise ValueError  # It leads out of the output folder.
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InputError(
                f"'{where}' is no manifest, or a damaged one: remove it, and the video is done again."
            ) from None
        return manifest


def manifest_file(key: str) -> str:
    """Return the name of a video's manifest in the output folder."""
    return f"{FOLDER}/{key}.json"


def read_manifest(store: Store, key: str) -> Manifest | None:
    """Return the manifest of a video, or None if it has none.

    Raises:
        InputError: If it is damaged.
    """
    content = store.read(manifest_file(key))
    return None if content is None else Manifest.from_bytes(content, where=f"{store.label}/{manifest_file(key)}")


def keys_with_manifest(store: Store) -> set[str]:
    """Return the keys of all videos with a manifest, by one listing."""
    return {match[1] for name in store.names(FOLDER) if (match := _NAME.fullmatch(name))}


def read_manifests(store: Store, keys: Iterable[str]) -> Iterator[Manifest]:
    """Deliver the manifests of some videos, in their order, some hundred in memory at a time.

    Raises:
        InputError: If one is damaged.
    """
    wanted = list(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        names = [manifest_file(key) for key in wanted[start : start + _AT_ONCE]]
        contents = store.read_many(names)
        for name in names:
            if name in contents:
                yield Manifest.from_bytes(contents[name], where=f"{store.label}/{name}")
