"""List of a job: all its videos and the number of its shards, so that it is known what is missing."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genvis.errors import InputError, OutputError
from genvis.scaling.listed_videos import ListedVideo
from genvis.scaling.manifests import FOLDER
from genvis.scaling.shards import Shard
from genvis.storage.stores import Store

_HEAD, _LIST = f"{FOLDER}/job.json", f"{FOLDER}/list.jsonl"
_FORMAT = "genvis job"


class ListEntry(NamedTuple):
    """One video of a job's list.

    Attributes:
        key: Of the video.
        folder: Of its outputs.
        source: Where it is, without credentials.
    """

    key: str
    folder: str
    source: str


@dataclass(frozen=True)
class JobHead:
    """What a job is.

    Attributes:
        videos: How many.
        shards: How many shares they are divided into; 1 for none.
        first: The number of the first share, as its starter counts.
        digest: Of the list.
    """

    videos: int
    shards: int
    first: int
    digest: str


def write_list(store: Store, videos: Sequence[ListedVideo], shard: Shard | None) -> None:
    """Write down the videos of a job, unless they are written already.

    Raises:
        OutputError: If it cannot be written.
    """
    lines = [json.dumps([video.key, video.folder, video.label], ensure_ascii=True) for video in videos]
    content = "".join(f"{line}\n" for line in lines).encode()
    digest = hashlib.sha256(content).hexdigest()
    shards, first = (1, 1) if shard is None else (shard.count, shard.first)
    head = JobHead(len(lines), shards, first, digest)
    if read_head(store) == head:
        return
    for name, text in ((_LIST, content), (_HEAD, (json.dumps({"format": _FORMAT, **vars(head)}) + "\n").encode())):
        store.remove_leftovers(name)
        try:
            store.write(name, text)
        except OutputError:  # Another machine took what this process was writing for a leftover.
            store.write(name, text)


def read_head(store: Store) -> JobHead | None:
    """Return what the job of an output folder is; None if there is none, or its record is damaged."""
    content = store.read(_HEAD)
    try:
        document = json.loads(content or b"{}")
        if document.pop("format", None) != _FORMAT:
            return None
        head = JobHead(**document)
        Shard(0, head.shards, head.first)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return head if isinstance(head.first, int) and isinstance(head.videos, int) else None


def read_list(store: Store) -> list[ListEntry]:
    """Return the videos of the job of an output folder; none if there is no list.

    Raises:
        InputError: If the list is damaged.
    """
    entries = []
    for line in (store.read(_LIST) or b"").splitlines():
        try:
            key, folder, source = json.loads(line)
            int(key, 16)
            entries.append(ListEntry(str(key), str(folder), str(source)))
        except (ValueError, TypeError):
            where = f"{store.label}/{_LIST}"
            raise InputError(f"'{where}' is damaged: start the job once more, which writes it anew.") from None
    return entries
