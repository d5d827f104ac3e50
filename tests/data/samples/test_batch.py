import pytest
import torch

from genvis.data.samples.batch import VideoBatch, collate
from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError


def _sample(height: int, width: int, *, objects: int = 2, frames: int = 3, video_id: int = 7) -> VideoSample:
    generator = torch.Generator().manual_seed(height * width + objects)
    return VideoSample(
        frames=torch.randint(1, 256, (frames, 3, height, width), generator=generator, dtype=torch.uint8),
        masks=torch.rand((objects, frames, height, width), generator=generator) > 0.5,
        labels=torch.arange(objects),
        video_id=video_id,
        source="test",
    )


def test_collate_pads_right_and_bottom_only() -> None:
    samples = [_sample(20, 30), _sample(33, 10, objects=4, video_id=8), _sample(5, 5, objects=0)]
    batch = collate(samples, divisor=16)

    assert batch.frames.shape == (3, 3, 3, 48, 32)
    assert len(batch) == 3
    assert batch.sizes.tolist() == [[20, 30], [33, 10], [5, 5]]
    assert batch.video_ids == (7, 8, 7)
    for index, sample in enumerate(samples):
        height, width = sample.frames.shape[-2:]
        assert torch.equal(batch.frames[index, ..., :height, :width], sample.frames)
        assert torch.equal(batch.masks[index][..., :height, :width], sample.masks)
        assert batch.frames[index].sum() == sample.frames.sum()
        assert batch.masks[index].sum() == sample.masks.sum()
        assert batch.masks[index].shape == (len(sample.labels), 3, 48, 32)
        assert torch.equal(batch.labels[index], sample.labels)


def test_valid_is_one_inside_the_video_and_zero_in_its_padding() -> None:
    batch = collate([_sample(20, 30), _sample(33, 10)], divisor=1)

    assert batch.valid.shape == (2, 1, 1, 33, 30)
    # The random frames have no zero pixel, so what is zero is padding.
    assert torch.equal(batch.valid.expand_as(batch.frames), batch.frames > 0)


def test_visible_says_where_an_object_has_pixels() -> None:
    sample = _sample(8, 8)
    sample.masks[1, 2] = False
    assert collate([sample]).visible[0].tolist() == [[True, True, True], [True, True, False]]


def test_samples_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"same number of frames, not \[2, 3\]"):
        collate([_sample(8, 8, frames=2), _sample(8, 8, frames=3)])
    with pytest.raises(InputError, match="at least one sample"):
        collate([])


def test_to_moves_every_tensor_but_the_sizes() -> None:
    batch = collate([_sample(8, 8)]).to("meta")
    assert isinstance(batch, VideoBatch)
    assert {batch.frames.device.type, batch.masks[0].device.type, batch.labels[0].device.type} == {"meta"}
    assert batch.sizes.tolist() == [[8, 8]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinning needs an accelerator")
def test_pin_memory_pins_every_tensor() -> None:
    batch = collate([_sample(8, 8)]).pin_memory()
    assert batch.frames.is_pinned()
    assert batch.masks[0].is_pinned()
    assert batch.labels[0].is_pinned()


def test_the_data_loader_collates_in_worker_processes() -> None:
    samples = [_sample(8, 8, video_id=number) for number in range(4)]
    loader = torch.utils.data.DataLoader(samples, batch_size=2, collate_fn=collate, num_workers=1)
    assert [batch.video_ids for batch in loader] == [(0, 1), (2, 3)]
