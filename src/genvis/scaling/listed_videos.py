"""The videos of a job: each with a key that never changes, and a folder of its own for the outputs."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genvis.files import printable
from genvis.storage.addresses import identity_of, is_remote, without_credentials
from genvis.storage.fetching import RemoteFile
from genvis.video.sources.opening import NamedSource, source_name

_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """One video of a list.

    Attributes:
        key: 16 hexadecimal digits of a hash of where it is; the same on every machine.
        source: For `genvis.video.open_source`.
        name: Of the video.
        folder: Of its outputs, within the output folder.
        number: Its place in the list, from 1.
        label: Where it is, for messages and records, without credentials.
    """

    key: str
    source: NamedSource
    name: str
    folder: str
    number: int
    label: str


def list_videos(sources: Sequence[NamedSource]) -> list[ListedVideo]:
    """Return the videos of some sources, each once.

    A video's folder has its name. Where several videos of the list have one name, each gets a part of its key as well,
    so that their folders do not depend on their order, and processes that see only a share agree.
    """
    places = {_place(source): source for source in sources}
    names = [source_name(source) for source in places.values()]
    taken = Counter(_safe(name) for name in names)
    videos = []
    for number, ((place, source), name) in enumerate(zip(places.items(), names, strict=True), start=1):
        key, folder = key_of(place), _safe(name)
        if taken[folder] > 1:
            folder = f"{folder}-{key[:8]}"
        videos.append(ListedVideo(key, source, name, folder, number, without_credentials(place)))
    return videos


def key_of(place: str) -> str:
    """Return the key of the video at a path or address."""
    identity = identity_of(place) if is_remote(place) else place
    return hashlib.sha256(os.fsencode(identity)).hexdigest()[:_KEY_DIGITS]


def _place(source: NamedSource) -> str:
    """Return where a source is: an address, or an absolute path, of a group of images that of their folder."""
    if isinstance(source, RemoteFile):
        return source.address
    if isinstance(source, tuple):
        names = json.dumps([path.name for path in source])
        return f"{os.path.abspath(source[0].parent)}/{hashlib.sha256(os.fsencode(names)).hexdigest()[:_KEY_DIGITS]}"
    text = str(source)
    is_path = isinstance(source, Path) or not (is_remote(text) or text.isdecimal())
    return os.path.abspath(text) if is_path else text


def _safe(name: str) -> str:
    """Return a name that is one as a folder on every system."""
    characters = ("_" if character in '/\\:*?"<>|' else character for character in printable(name))
    return "".join(characters).strip(". ") or "video"
