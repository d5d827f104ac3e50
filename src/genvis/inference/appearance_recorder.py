"""Looks of tracks, gathered clip by clip in bounded memory."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from genvis.errors import InputError
from genvis.results.editing.appearance import TrackAppearance, unit

# Observations of a sample, and samples of a track.
SAMPLE = 8
MOST_SAMPLES = 32


class AppearanceRecorder:
    """Means of the embeddings of every track over a few frames each.

    A track has samples of 8 observations. Where it would have more than 32 samples, the two neighbours with the fewest
    observations are joined, but neither the first sample nor the last two: both ends of a life stay sharp.
    """

    def __init__(self) -> None:
        self._tracks: dict[int, _Samples] = {}
        self._channels: int | None = None

    def add(self, position: int, track_ids: list[int], embeddings: Tensor) -> None:
        """Take the embeddings of the tracks that are visible in the next clip.

        Args:
            position: Of the first frame of the clip in the result.
            track_ids: N, the tracker's own numbers.
            embeddings: (N, C) on the CPU, of any length; those of length 0, and what is not finite, say nothing.

        Raises:
            InputError: If a state of another model was restored.
        """
        if self._channels not in (None, embeddings.shape[1]):
            raise InputError(
                f"The saved looks have {self._channels} channels, not {embeddings.shape[1]}: they are of another model."
            )
        self._channels = embeddings.shape[1]
        for number, vector in zip(track_ids, normalize(embeddings.float(), dim=-1).numpy(), strict=True):
            if np.isfinite(vector).all() and vector.any():
                self._tracks.setdefault(number, _Samples()).add(position, vector)

    def appearance(self, numbers: Mapping[int, int]) -> dict[int, TrackAppearance]:
        """Return the looks of some tracks.

        Args:
            numbers: Track id of the result -> the tracker's number.
        """
        return {
            track_id: self._tracks[number].appearance()
            for track_id, number in numbers.items()
            if number in self._tracks
        }

    def tensors(self) -> dict[str, Tensor]:
        """Return all as tensors by name, to be saved."""
        facts = [(number, *fact) for number, samples in self._tracks.items() for fact in samples.facts]
        sums = [vector for samples in self._tracks.values() for vector in samples.sums]
        return {
            "facts": torch.tensor(facts, dtype=torch.int64).reshape(-1, 4),
            "sums": torch.from_numpy(np.stack(sums)) if sums else torch.zeros(0, 0),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `tensors` returned.

        Raises:
            InputError: If the tensors do not fit together.
        """
        try:
            facts, sums = tensors["facts"], tensors["sums"].float()
        except KeyError as error:
            raise InputError(f"The saved looks lack {error}.") from None
        if facts.dtype != torch.int64 or facts.shape != (len(sums), 4) or sums.ndim != 2 or not sums.isfinite().all():
            raise InputError("The saved looks do not fit together.")
        if not ((facts[:, 1:] >= 0).all() and (facts[:, 1] <= facts[:, 2]).all() and (facts[:, 3] >= 1).all()):
            raise InputError("The saved looks are of no frames.")
        self._tracks = {}
        self._channels = sums.shape[1] if len(sums) else None
        for (number, first, last, count), vector in zip(facts.tolist(), sums.numpy(), strict=True):
            samples = self._tracks.setdefault(number, _Samples())
            samples.facts.append((first, last, count))
            samples.sums.append(vector)


class _Samples:
    """Samples of one track: (first frame, last frame, observations) and the sum of the unit vectors of each."""

    def __init__(self) -> None:
        self.facts: list[tuple[int, int, int]] = []
        self.sums: list[NDArray[np.float32]] = []

    def add(self, position: int, vector: NDArray[np.float32]) -> None:
        if self.facts and self.facts[-1][2] < SAMPLE:
            first, _, count = self.facts[-1]
            self.facts[-1] = (first, position, count + 1)
            self.sums[-1] = self.sums[-1] + vector
            return
        self.facts.append((position, position, 1))
        self.sums.append(vector)
        if len(self.facts) > MOST_SAMPLES:
            self._join()

    def _join(self) -> None:
        """Join the two neighbours with the fewest observations; the earliest pair in a tie."""
        place = min(range(1, len(self.facts) - 3), key=lambda one: self.facts[one][2] + self.facts[one + 1][2])
        (first, _, count), (_, last, more) = self.facts[place : place + 2]
        self.facts[place : place + 2] = [(first, last, count + more)]
        self.sums[place : place + 2] = [self.sums[place] + self.sums[place + 1]]

    def appearance(self) -> TrackAppearance:
        facts = np.array(self.facts, np.int32).reshape(-1, 3)
        return TrackAppearance(facts[:, 0], facts[:, 1], facts[:, 2], unit(np.stack(self.sums)))
