"""Random numbers that depend on a seed and a position only, so that any process can make any sample of a stream."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Purpose = Literal["sample", "mixture", "shuffle"]
_PURPOSES: tuple[Purpose, ...] = ("sample", "mixture", "shuffle")


@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, _PURPOSES.index("shuffle"), epoch, length]).permutation(length)


@dataclass(frozen=True)
class RandomKey:
    """The place of one sample in a random stream.

    Attributes:
        seed: Of the whole stream, 0 or more.
        index: Position in the stream, from 0.
        attempt: How many earlier tries at this position gave no usable sample.
    """

    seed: int
    index: int
    attempt: int = 0

    def generator(self, purpose: Purpose = "sample") -> np.random.Generator:
        """Return a new generator; its numbers depend on the key and the purpose alone.

        Args:
            purpose: What the numbers are for; different purposes never share numbers.
        """
        return np.random.default_rng([self.seed, _PURPOSES.index(purpose), self.index, self.attempt])

    def next_attempt(self) -> "RandomKey":
        """Return the key of the next try at the same position."""
        return replace(self, attempt=self.attempt + 1)

    def choose(self, length: int) -> int:
        """Choose one of `length` videos: epoch after epoch, each in a new order, every video once.

        A second attempt at a position chooses freely, since its turn has been used up.
        """
        if self.attempt:
            return int(self.generator("shuffle").integers(length))
        epoch, position = divmod(self.index, length)
        return int(_permutation(self.seed, epoch, length)[position])
