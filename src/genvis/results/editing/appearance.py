"""Appearance of tracks: a few unit vectors of each, by which an object is recognised after an absence.

The vectors are the model's own embeddings of the objects, averaged over a few frames. `genvis predict` writes them
beside the result, from where the review of the result reads them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from genvis.errors import InputError
from genvis.files import atomic_file
from genvis.fingerprint import content_stamp
from genvis.results.editing.edits import (
    DeleteFrames,
    DeleteTrack,
    Edit,
    MergeTracks,
    SplitTrack,
    SwapTracks,
    TrimTrack,
)
from genvis.results.formats.genvis_json import RESULT_FILE

APPEARANCE_FILE = "appearance.safetensors"

_FORMAT = "genvis-appearance 1"
_NAMES = ("track_ids", "first_frames", "last_frames", "counts", "vectors")
# Observations that the look at one end of a track is the mean of, where it has so many.
_END = 8


@dataclass(frozen=True, slots=True, eq=False)
class TrackAppearance:
    """Look of one track through its life, in S samples.

    Attributes:
        first_frames: (S,) int32, ascending positions in the result: the first frame of each sample.
        last_frames: (S,) int32, the last.
        counts: (S,) int32, how many observations a sample is the mean of.
        vectors: (S, C) float32 of length 1.
    """

    first_frames: NDArray[np.int32]
    last_frames: NDArray[np.int32]
    counts: NDArray[np.int32]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.counts)

    def at_start(self) -> NDArray[np.float32]:
        """Return the look at the first frames, (C,), of length 1."""
        return self._mean(np.arange(len(self)))

    def at_end(self) -> NDArray[np.float32]:
        """Return the look at the last frames, (C,), of length 1."""
        return self._mean(np.arange(len(self))[::-1])

    def only(self, kept: NDArray[np.bool_]) -> "TrackAppearance":
        """Return some of the samples."""
        return TrackAppearance(self.first_frames[kept], self.last_frames[kept], self.counts[kept], self.vectors[kept])

    def _mean(self, order: NDArray[np.int64]) -> NDArray[np.float32]:
        taken = order[: int(np.searchsorted(self.counts[order].cumsum(), _END)) + 1]
        return unit(self.counts[taken] @ self.vectors[taken])


Appearance = Mapping[int, TrackAppearance]
"""Looks by track id; tracks may be missing."""


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (..., C) with length 1; those without a length stay 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.maximum(length, 1e-12)).astype(np.float32)
    return scaled


def save_appearance(appearance: Appearance, folder: Path) -> Path:
    """Write looks beside the ``result.json`` that they belong to.

    Args:
        appearance: Of the tracks of that result.
        folder: Of the result.

    Returns:
        The file, ``appearance.safetensors``: float16, some kilobytes a track.

    Raises:
        OutputError: If it cannot be written.
    """
    looks = [(number, appearance[number]) for number in sorted(appearance) if len(appearance[number])]
    width = looks[0][1].vectors.shape[1] if looks else 0
    tensors = {
        "track_ids": np.array([number for number, look in looks for _ in range(len(look))], np.int32),
        "first_frames": _joined([look.first_frames for _, look in looks], np.zeros(0, np.int32)),
        "last_frames": _joined([look.last_frames for _, look in looks], np.zeros(0, np.int32)),
        "counts": _joined([look.counts for _, look in looks], np.zeros(0, np.int32)),
        "vectors": _joined([look.vectors for _, look in looks], np.zeros((0, width))).astype(np.float16),
    }
    metadata = {"format": _FORMAT, "result": content_stamp(folder / RESULT_FILE).digest}
    path = folder / APPEARANCE_FILE
    with atomic_file(path) as partial:
        # Not by safetensors itself, which leaves a file of its own behind where it is killed.
        partial.write_bytes(save(tensors, metadata))
    return path


def load_appearance(result: str | Path) -> Appearance | None:
    """Read the looks of the tracks of a result.

    Args:
        result: The folder of the result, or its JSON file.

    Returns:
        The looks; None if there are none, or those beside the result are of another one.

    Raises:
        InputError: If the file is damaged.
    """
    file = Path(result) / RESULT_FILE if Path(result).is_dir() else Path(result)
    path = file.with_name(APPEARANCE_FILE)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in _NAMES}
    except (OSError, SafetensorError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"'{path}' is damaged ({reason}): remove it, or segment the video again.") from None
    ids, vectors = tensors["track_ids"], tensors["vectors"]
    if (
        metadata.get("format") != _FORMAT
        or vectors.ndim != 2
        or any(tensors[name].shape != (len(vectors),) or tensors[name].dtype != np.int32 for name in _NAMES[:-1])
        or not np.isfinite(vectors).all()
    ):
        raise InputError(f"'{path}' is damaged (its tensors do not fit): remove it, or segment the video again.")
    if metadata.get("result") != content_stamp(file).digest:
        return None
    whole = TrackAppearance(
        tensors["first_frames"], tensors["last_frames"], tensors["counts"], unit(vectors.astype(np.float32))
    )
    return {int(number): whole.only(ids == number) for number in np.unique(ids)}


def edited_appearance(appearance: Appearance, edits: Iterable[Edit]) -> dict[int, TrackAppearance]:
    """Return the looks of the tracks after some edits.

    A sample goes where its middle frame goes.

    Args:
        appearance: Of the original result.
        edits: Those in force, in their order: `EditLog.edits`.
    """
    looks = dict(appearance)
    for edit in edits:
        if isinstance(edit, MergeTracks):
            parts = [looks.pop(number) for number in edit.track_ids if number in looks]
            if parts:
                looks[edit.track_ids[0]] = _merged(parts)
        elif isinstance(edit, SplitTrack):
            before, after = _cut(looks.pop(edit.track_id, None), edit.frame)
            looks |= {number: look for number, look in ((edit.track_id, before), (edit.new_id, after)) if look}
        elif isinstance(edit, SwapTracks):
            first, second = (_cut(looks.pop(number, None), edit.frame) for number in (edit.first_id, edit.second_id))
            for number, halves in ((edit.first_id, (first[0], second[1])), (edit.second_id, (second[0], first[1]))):
                parts = [half for half in halves if half]
                if parts:
                    looks[number] = _merged(parts)
        elif isinstance(edit, DeleteTrack):
            looks.pop(edit.track_id, None)
        elif isinstance(edit, DeleteFrames | TrimTrack) and edit.track_id in looks:
            look = looks.pop(edit.track_id)
            middle = _middle(look)
            inside = (middle >= edit.first) & (middle <= edit.last)
            left = look.only(~inside if isinstance(edit, DeleteFrames) else inside)
            looks |= {edit.track_id: left} if len(left) else {}
    return looks


def _middle(look: TrackAppearance) -> NDArray[np.int32]:
    return (look.first_frames + look.last_frames) // 2


def _cut(look: TrackAppearance | None, frame: int) -> tuple[TrackAppearance | None, TrackAppearance | None]:
    """Return the samples before a frame and those from it on; None where there are none."""
    if look is None:
        return None, None
    after = _middle(look) >= frame
    parts = look.only(~after), look.only(after)
    return parts[0] if len(parts[0]) else None, parts[1] if len(parts[1]) else None


def _merged(parts: list[TrackAppearance]) -> TrackAppearance:
    joined = TrackAppearance(
        np.concatenate([part.first_frames for part in parts]),
        np.concatenate([part.last_frames for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.vectors for part in parts]),
    )
    order = np.argsort(joined.first_frames, kind="stable")
    return TrackAppearance(
        joined.first_frames[order], joined.last_frames[order], joined.counts[order], joined.vectors[order]
    )


def _joined(parts: list[NDArray[np.generic]], empty: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.concatenate(parts) if parts else empty
