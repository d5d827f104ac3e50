"""Status of a job: which of its videos are finished, failed, missing or being done, from its output folder alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from genvis.scaling.claims import SUFFIX, Claim
from genvis.scaling.job_list import ListEntry, read_head, read_list
from genvis.scaling.manifests import FOLDER, keys_with_manifest, read_manifests
from genvis.scaling.shards import array_of, shard_of
from genvis.storage.stores import Store


@dataclass(frozen=True)
class VideoStatus:
    """One video of a job.

    Attributes:
        source: Where it is.
        folder: Of its outputs.
        note: What is wrong with it, or who does it.
    """

    source: str
    folder: str
    note: str = ""


@dataclass(frozen=True)
class JobStatus:
    """All videos of a job.

    Attributes:
        finished: How many are finished.
        incomplete: Those whose source lacks frames; their results are there.
        failed: Those without a result.
        running: Those that a process does now.
        missing: Those that are still to be done.
        frames: That were segmented, in all finished videos.
        seconds: Of work that they took together.
        shards: How many shares there are.
        array: The shares with missing and failed videos that no process works at, as Slurm's ``--array`` takes them;
            empty if there are none.
    """

    finished: int
    incomplete: tuple[VideoStatus, ...]
    failed: tuple[VideoStatus, ...]
    running: tuple[VideoStatus, ...]
    missing: tuple[VideoStatus, ...]
    frames: int
    seconds: float
    shards: int
    array: str

    @property
    def videos(self) -> int:
        """How many there are."""
        return self.finished + sum(map(len, (self.incomplete, self.failed, self.running, self.missing)))

    @property
    def is_done(self) -> bool:
        """Whether every video has a result."""
        return not (self.failed or self.running or self.missing)

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {"videos": self.videos, **asdict(self)}


def job_status(store: Store) -> JobStatus:
    """Return the status of the job of an output folder.

    Raises:
        InputError: If a record in it is damaged.
    """
    head, listed = read_head(store), read_list(store)
    running = _running(store)
    manifests = {found.key: found for found in read_manifests(store, sorted(keys_with_manifest(store)))}
    others = [ListEntry(key, found.folder, found.source) for key, found in manifests.items()]
    entries = {entry.key: entry for entry in (*others, *listed)}
    groups: dict[str, list[VideoStatus]] = {"incomplete": [], "failed": [], "running": [], "missing": []}
    finished = 0
    open_keys = []
    for key, entry in entries.items():
        manifest = manifests.get(key)
        if manifest is not None and manifest.has_result:
            if manifest.state == "finished":
                finished += 1
            else:
                groups["incomplete"].append(VideoStatus(entry.source, entry.folder, manifest.problem or ""))
        elif key in running:
            groups["running"].append(VideoStatus(entry.source, entry.folder, running[key]))
        else:
            open_keys.append(key)
            state, note = ("missing", "") if manifest is None else ("failed", manifest.problem or "")
            groups[state].append(VideoStatus(entry.source, entry.folder, note))
    shards, first = (head.shards, head.first) if head else (1, 1)
    at_work = {shard_of(key, shards) for key in running}
    idle = {shard_of(key, shards) for key in open_keys} - at_work
    return JobStatus(
        finished=finished,
        **{name: tuple(videos) for name, videos in groups.items()},
        frames=sum(found.frames for found in manifests.values()),
        seconds=round(sum(found.seconds for found in manifests.values()), 3),
        shards=shards,
        array=array_of([first + index for index in idle]),
    )


def _running(store: Store) -> dict[str, str]:
    """Return the keys of the videos that processes do now, with the machine of each."""
    names = [name for name in store.names(FOLDER) if name.endswith(SUFFIX)]
    claims = {name: Claim.from_bytes(content) for name, content in store.read_many(names).items()}
    held = {name: claim for name, claim in claims.items() if claim.is_held()}
    return {
        name[len(FOLDER) + 1 : -len(SUFFIX)]: f"on {claim.owner.host.partition('/')[0]}, process {claim.owner.pid}"
        for name, claim in held.items()
    }


def shown(videos: Sequence[VideoStatus], most: int) -> list[str]:
    """Return lines for people, at most some."""
    lines = [f"{video.source}" + (f": {video.note}" if video.note else "") for video in videos[:most]]
    return lines + ([f"... and {len(videos) - most:,} more"] if len(videos) > most else [])
