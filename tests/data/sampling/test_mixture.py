from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from torch.utils.data import DataLoader

from genvis.data.samples.batch import VideoBatch, collate
from genvis.data.samples.sample import VideoSample
from genvis.data.sampling.mixture import Mixture, SampleStream
from genvis.data.sampling.random_key import RandomKey
from genvis.data.sampling.stream_batches import StreamBatches
from genvis.errors import InputError


@dataclass(frozen=True)
class Source:
    """Samples that say which key they belong to; every third first attempt fails."""

    name: str
    fails: bool = False

    def draw(self, key: RandomKey) -> VideoSample | None:
        if self.fails or (key.index % 3 == 0 and key.attempt == 0):
            return None
        side = int(key.generator().integers(8, 20))
        return VideoSample(
            frames=torch.full((2, 3, side, 10), key.index % 256, dtype=torch.uint8),
            masks=torch.ones((1, 2, side, 10), dtype=torch.bool),
            labels=torch.tensor([key.attempt]),
            video_id=key.index,
            source=self.name,
        )


def _stream(seed: int = 0) -> SampleStream:
    return SampleStream(Mixture([Source("images"), Source("videos")], [1.0, 0.25]), seed=seed)


def test_sources_are_drawn_by_their_ratio() -> None:
    stream = _stream()
    counts = Counter(stream[index].source for index in range(3000))
    assert 0.18 < counts["videos"] / 3000 < 0.22
    never = SampleStream(Mixture([Source("a"), Source("b"), Source("c")], [0, 2, 0]))
    assert {never[index].source for index in range(100)} == {"b"}


def test_a_position_without_objects_is_drawn_again_from_the_same_source() -> None:
    stream = _stream()
    assert [int(stream[index].labels) for index in range(4)] == [1, 0, 0, 1]
    first = Mixture([Source("images"), Source("videos")], [1, 1])
    for index in range(3, 90, 3):
        sample = first.draw(RandomKey(0, index, 1))
        again = first.draw(RandomKey(0, index, 2))
        assert sample is not None
        assert again is not None
        assert sample.source == again.source
    with pytest.raises(InputError, match="100 samples in a row came out without a visible object"):
        SampleStream(Source("empty", fails=True))[5]


def test_wrong_ratios_are_refused() -> None:
    with pytest.raises(InputError, match="one ratio per data set, not 1 for 2"):
        Mixture([Source("a"), Source("b")], [1])
    for ratios in ([-1, 2], [0, 0], [1, float("inf")]):
        with pytest.raises(InputError, match="0 or more and not all 0"):
            Mixture([Source("a"), Source("b")], ratios)
    with pytest.raises(InputError, match="seed of a stream must be 0 or more, not -1"):
        SampleStream(Source("a"), seed=-1)


def _take(batches: StreamBatches, number: int) -> list[list[int]]:
    return [batch for _, batch in zip(range(number), batches, strict=False)]


@pytest.mark.parametrize(("processes", "batch_size"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_all_processes_together_take_the_same_stream(processes: int, batch_size: int) -> None:
    parts = [
        _take(StreamBatches(batch_size=batch_size, rank=rank, processes=processes), 3) for rank in range(processes)
    ]
    for step in range(3):
        together = [position for part in parts for position in part[step]]
        assert together == list(range(8 * step, 8 * step + 8))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_continues_with_the_very_next_batch(workers: int) -> None:
    def batches(start: int, number: int) -> list[VideoBatch]:
        sampler = StreamBatches(batch_size=3, start=start)
        loader = DataLoader(_stream(7), batch_sampler=sampler, num_workers=workers, collate_fn=collate)
        return [batch for _, batch in zip(range(number), loader, strict=False)]

    for batch, expected in zip([*batches(0, 4), *batches(12, 2)], batches(0, 6), strict=True):
        assert batch.video_ids == expected.video_ids
        assert batch.sources == expected.sources
        assert torch.equal(batch.frames, expected.frames)
        assert torch.equal(batch.sizes, expected.sizes)


def test_impossible_batches_are_refused() -> None:
    for wrong in ({"batch_size": 0}, {"batch_size": 1, "rank": 2, "processes": 2}, {"batch_size": 1, "start": -1}):
        with pytest.raises(InputError, match="Batches of a stream need"):
            StreamBatches(**wrong)
