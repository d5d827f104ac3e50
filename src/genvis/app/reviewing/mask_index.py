"""Masks of a result in the order of its frames, on disk, so that any stretch of any length of video is one short read.

A ``result.json`` holds track after track, and has to be read whole: of an hour of video that is hundreds of megabytes.
The index is made of it once, in a process of its own, and belongs to that very file (fingerprint).
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.errors import InputError
from genvis.files import atomic_folder, read_json_object, write_json
from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, files_stamp
from genvis.masks import RLEMask
from genvis.results.types import FrameStamp, Track, VideoResult

KIND = "index of masks"
VERSION = 1
REMEDY = "remove the folder .genvis, which is made anew"
_META, _MASKS = "index.json", "masks.bin"
_ARRAYS = ("indices", "times", "frame_starts", "rows", "offsets")


@dataclass(frozen=True, slots=True)
class IndexedTrack:
    """A track without its masks.

    Attributes:
        id: Track id, from 1.
        label: Name of the class.
        label_id: Contiguous class from 0, as the model numbers it.
        category_id: The data set's own id of the class.
        score: Confidence in [0, 1].
        runs: Stretches of frames in which it is visible: first position, and the position after the last.
    """

    id: int
    label: str
    label_id: int
    category_id: int
    score: float
    runs: tuple[tuple[int, int], ...]


class MaskIndex:
    """An index that was made by :func:`build_index`; opening it reads next to nothing.

    Attributes:
        name: Name of the video.
        height: Rows of its frames.
        width: Columns of its frames.
        categories_name: Name of the categories, or nothing.
        problem: What the source could not deliver; None if all is well.
        tracks: The tracks in the order of the result, whose places are the rows of the masks.
        indices: Place of every frame in the source, (T,).
        times: Its seconds since the first, (T,).

    Args:
        folder: Where it lies.

    Raises:
        InputError: If it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        meta = read_json_object(folder / _META, expected="an index of masks")
        try:
            self.name = str(meta["name"])
            self.problem: str | None = meta["problem"]
            self.height, self.width = int(meta["height"]), int(meta["width"])
            self.categories_name = str(meta["categories_name"])
            self.tracks = tuple(
                IndexedTrack(**{**entry, "runs": tuple((int(first), int(stop)) for first, stop in entry["runs"])})
                for entry in meta["tracks"]
            )
            self._names: Sequence[str] | None = meta["names"]
            self.indices, self.times, self._frame_starts, self._rows, self._offsets = (
                np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS
            )
            self._masks = _mapped(folder / _MASKS)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise InputError(f"The index '{folder.name}' is damaged ({type(error).__name__}): {REMEDY}.") from None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def mask_count(self) -> int:
        """How many masks there are in all."""
        return len(self._rows)

    def frame(self, position: int) -> Iterator[tuple[int, bytes]]:
        """Deliver the masks of one frame: the row of the track, and the counts of its RLE; it may have no pixel."""
        first, stop = int(self._frame_starts[position]), int(self._frame_starts[position + 1])
        offsets = self._offsets[first : stop + 1].tolist()
        for place, row in enumerate(self._rows[first:stop].tolist()):
            yield row, self._masks[offsets[place] : offsets[place + 1]]

    def result(self) -> VideoResult:
        """Return the whole result, in a fraction of the time of its JSON: its masks were checked when this was made."""
        masks: list[list[RLEMask | None]] = [[None] * len(self) for _ in self.tracks]
        for position in range(len(self)):
            for row, counts in self.frame(position):
                masks[row][position] = RLEMask(self.height, self.width, counts)
        indices = self.indices.tolist()
        names = map(_number, indices) if self._names is None else self._names
        return VideoResult(
            name=self.name,
            height=self.height,
            width=self.width,
            frames=tuple(
                FrameStamp(index=index, time=time, name=name)
                for index, time, name in zip(indices, self.times.tolist(), names, strict=True)
            ),
            tracks=tuple(
                Track(
                    id=track.id,
                    label=track.label,
                    label_id=track.label_id,
                    category_id=track.category_id,
                    score=track.score,
                    masks=tuple(own),
                )
                for track, own in zip(self.tracks, masks, strict=True)
            ),
            categories_name=self.categories_name,
            problem=self.problem,
        )


def index_fingerprint(result_file: Path) -> Fingerprint:
    """Return what an index belongs to: a file as it is now.

    Raises:
        InputError: If there is no such file.
    """
    return Fingerprint(KIND, version=VERSION, result=files_stamp([result_file], name=result_file.name))


def open_index(result_file: Path, folder: Path) -> MaskIndex | None:
    """Open the index of a result; None if there is none yet, or the result was changed since.

    Args:
        result_file: The ``result.json``.
        folder: Where the index lies, if there is one.

    Raises:
        InputError: If there is no such result, or the index is damaged.
    """
    fingerprint = index_fingerprint(result_file)
    record = Fingerprint.read(folder / FINGERPRINT_FILE, remedy=REMEDY)
    if record is None or record.kind != KIND or fingerprint.differences(record):
        return None
    return MaskIndex(folder)


def build_index(result_file: Path, folder: Path) -> None:
    """Make the index of a result; it appears whole or not at all.

    Args:
        result_file: The ``result.json``.
        folder: Where the index goes; what is there is replaced.

    Raises:
        InputError: If the result is damaged.
        OutputError: If the index cannot be written.
    """
    fingerprint = index_fingerprint(result_file)  # Before it is read: what changes meanwhile is noticed.
    result = VideoResult.load(result_file)
    # Masks without a pixel are kept, too: edits count them.
    where = [
        np.array([position for position, mask in enumerate(track.masks) if mask is not None], np.int64)
        for track in result.tracks
    ]
    rows = np.repeat(np.arange(len(where), dtype=np.int32), [len(own) for own in where])
    positions = np.concatenate([np.zeros(0, np.int64), *where])
    order = np.argsort(positions, kind="stable")
    rows, positions = rows[order], positions[order]
    lengths = np.zeros(len(rows), np.int64)
    with atomic_folder(folder, overwrite=True) as made:
        with (made / _MASKS).open("wb") as file:
            for place, (row, position) in enumerate(zip(rows.tolist(), positions.tolist(), strict=True)):
                mask = result.tracks[row].masks[position]
                assert mask is not None
                lengths[place] = file.write(mask.counts)
        names = [stamp.name for stamp in result.frames]
        arrays: dict[str, NDArray[Any]] = {
            "indices": np.array([stamp.index for stamp in result.frames], np.int64),
            "times": np.array([stamp.time for stamp in result.frames], np.float64),
            "frame_starts": np.searchsorted(positions, np.arange(len(result) + 1)).astype(np.int64),
            "rows": rows,
            "offsets": np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        }
        for name in _ARRAYS:
            np.save(made / f"{name}.npy", arrays[name])
        tracks = [
            IndexedTrack(track.id, track.label, track.label_id, track.category_id, track.score, runs_of(track.visible))
            for track in result.tracks
        ]
        meta = {
            "name": result.name,
            "problem": result.problem,
            "height": result.height,
            "width": result.width,
            "categories_name": result.categories_name,
            "tracks": [asdict(track) for track in tracks],
            # Frames of videos are called by their number.
            "names": None if names == [_number(stamp.index) for stamp in result.frames] else names,
        }
        write_json(made / _META, meta)
        fingerprint.write(made / FINGERPRINT_FILE)


def runs_of(flags: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return the stretches of (T,) flags that are set: first position, and the position after the last."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _number(index: int) -> str:
    return f"{index:05d}"


def _mapped(path: Path) -> mmap.mmap | bytes:
    if path.stat().st_size == 0:  # An empty file cannot be mapped.
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
