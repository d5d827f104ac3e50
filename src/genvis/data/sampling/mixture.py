"""Several data sets as one stream of training samples, the same on any number of processes and after any interruption.

Sample i of a stream is a function of (seed, i). Nothing else needs to be remembered: to continue a run is to continue
at a position.
"""

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from torch.utils.data import Dataset

from genvis.data.samples.sample import VideoSample
from genvis.data.sampling.random_key import RandomKey
from genvis.data.sampling.training_source import TrainingSource
from genvis.errors import InputError


class Mixture:
    """Draws each sample from one of several sources, with given weights.

    Args:
        sources: The data sets.
        ratios: A weight per data set, as `dataset_ratio` of the recipes; only their proportions count.

    Raises:
        InputError: If there is no source, or if the weights do not fit.
    """

    def __init__(self, sources: Sequence[TrainingSource], ratios: Sequence[float]) -> None:
        if not sources or len(sources) != len(ratios):
            raise InputError(f"A mixture needs one ratio per data set, not {len(ratios)} for {len(sources)}.")
        if min(ratios) < 0 or not 0 < sum(ratios) < math.inf:
            raise InputError(f"The ratios of a mixture must be 0 or more and not all 0, not {list(ratios)}.")
        self.sources = tuple(sources)
        self.ratios = tuple(ratios)

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return the sample of the data set that is drawn for this key."""
        # Another purpose than the sample's own random numbers, and the same data set at every attempt: one that often
        # fails must not lose its share.
        share = RandomKey(key.seed, key.index).generator("mixture").random() * sum(self.ratios)
        bounds = list(accumulate(self.ratios))
        last = max(index for index, ratio in enumerate(self.ratios) if ratio > 0)
        return self.sources[min(bisect(bounds, share), last)].draw(key)


class SampleStream(Dataset[VideoSample]):
    """An endless map-style data set: item i is the i-th sample of the stream.

    Args:
        source: What makes the samples.
        seed: Of the stream, 0 or more.
        attempts: A position whose sample came out without objects is drawn again this often before it is an error.
    """

    def __init__(self, source: TrainingSource, *, seed: int = 0, attempts: int = 100) -> None:
        if seed < 0:
            raise InputError(f"The seed of a stream must be 0 or more, not {seed}.")
        self.source = source
        self.seed = seed
        self.attempts = attempts

    def __getitem__(self, index: int) -> VideoSample:
        key = RandomKey(self.seed, index)
        for _ in range(self.attempts):
            sample = self.source.draw(key)
            if sample is not None:
                return sample
            key = key.next_attempt()
        raise InputError(
            f"{self.attempts} samples in a row came out without a visible object: check the annotations with "
            "`genvis data check`, and the sizes of the crop."
        )
