from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from genvis.data.samples.pseudo_video import PseudoVideos, repeat_image
from genvis.data.samples.sample import VideoSample
from genvis.data.samples.transforms import SlidingCrop, pseudo_video_transform, video_transform
from genvis.data.sampling.clip_sampling import ClipSampling
from genvis.data.sampling.random_key import RandomKey
from genvis.data.sampling.training_source import VideoClips, augment, keep_visible
from genvis.errors import InputError
from tests.data.samples.patterns import certain, colour_coded, mistakes


@dataclass(frozen=True)
class Patterns:
    """Videos held in memory; pixel (0, 0) of the red channel counts the frames."""

    videos: tuple[VideoSample, ...]

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> VideoSample:
        return self.videos[index]

    def length(self, index: int) -> int:
        return len(self.videos[index].frames)

    def sample(self, index: int, frames: Sequence[int] | None = None) -> VideoSample:
        video = self.videos[index]
        chosen = list(range(self.length(index)) if frames is None else frames)
        return VideoSample(video.frames[chosen], video.masks[:, chosen], video.labels, video.video_id, video.source)


def _numbered(video_id: int, frames: int) -> VideoSample:
    video = colour_coded(50, 70, frames=frames)
    pixels = video.frames.clone()
    pixels[:, 0, 0, 0] = torch.arange(frames)
    return VideoSample(pixels, video.masks, video.labels, video_id, "patterns")


def _one_object(*, height: int = 40, width: int = 60, frames: int = 2) -> VideoSample:
    return VideoSample(
        frames=torch.zeros(frames, 3, height, width, dtype=torch.uint8),
        masks=torch.zeros(1, frames, height, width, dtype=torch.bool),
        labels=torch.tensor([4]),
    )


def test_objects_stay_while_some_frame_shows_them() -> None:
    sample = colour_coded(20, 20, frames=3)
    sample.masks[0] = False
    sample.masks[1, 1:] = False
    kept = keep_visible(sample)

    assert kept is not None
    assert kept.labels.tolist() == [1, 2]
    assert kept.visible.tolist() == [[True, False, False], [True, True, True]]
    assert keep_visible(_one_object()) is None
    whole = colour_coded(20, 20, frames=1)
    assert keep_visible(whole) is whole


def test_an_object_that_a_crop_loses_in_one_frame_is_invisible_there() -> None:
    sample = _one_object(height=40, width=40, frames=5)
    sample.masks[0, :, 5:9, 5:9] = True
    random = np.random.default_rng(0)
    visible = [augment(sample, SlidingCrop(10, 12), random).visible[0] for _ in range(80)]

    partly = [frames for frames in visible if frames.any() and not frames.all()]
    gone = [frames for frames in visible if not frames.any()]
    assert partly
    assert gone


def test_augmenting_leaves_the_sample_and_the_global_random_state_alone() -> None:
    sample = colour_coded(60, 80, frames=2)
    before, state = sample.frames.clone(), torch.get_rng_state()
    transform = v2.Compose([video_transform(short_sides=(30, 40, 50), crop=False), v2.ColorJitter(0.4)])
    results = [augment(sample, transform, np.random.default_rng(5)) for _ in range(2)]

    assert torch.equal(sample.frames, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(results[0].frames, results[1].frames)
    assert (results[0].video_id, results[0].source) == (sample.video_id, sample.source)
    others = [augment(sample, transform, np.random.default_rng(seed)).frames.shape[-1] for seed in range(20)]
    assert len(set(others)) == 3


def test_clips_show_the_sampled_frames() -> None:
    videos = Patterns((_numbered(1, 30), _numbered(2, 4)))
    source = VideoClips(videos, ClipSampling(clips=3, frames_per_clip=2, frame_range=5))
    for index in range(20):
        sample = source.draw(RandomKey(0, index))
        assert sample is not None
        numbers = sample.frames[:, 0, 0, 0].tolist()
        assert len(numbers) == 6
        assert numbers == sorted(numbers)
        assert numbers[-1] - numbers[0] <= 10
    assert {source.draw(RandomKey(0, index)).video_id for index in (0, 1)} == {1, 2}


def test_a_sample_is_a_pure_function_of_its_key() -> None:
    transform = video_transform(short_sides=(30, 40), max_size=None, crop_short_sides=(45,), crop_size=(20, 40))
    source = VideoClips(Patterns((_numbered(1, 30), _numbered(2, 9))), ClipSampling(), transform)
    first = [source.draw(RandomKey(3, index)) for index in range(6)]
    for index in reversed(range(6)):
        torch.manual_seed(index)
        again, sample = source.draw(RandomKey(3, index)), first[index]
        assert again is not None
        assert sample is not None
        assert torch.equal(again.frames, sample.frames)
        assert torch.equal(again.masks, sample.masks)
        assert torch.equal(again.labels, sample.labels)


def test_clips_without_objects_are_no_sample() -> None:
    assert VideoClips(Patterns((_one_object(),)), ClipSampling()).draw(RandomKey(0, 0)) is None
    assert PseudoVideos(Patterns((_one_object(frames=1),)), 5, None).draw(RandomKey(0, 0)) is None


def test_pseudo_videos_move_although_the_image_stands_still() -> None:
    image = colour_coded(90, 120, frames=1, square=20)
    transform = pseudo_video_transform(short_sides=(60, 70), max_size=None)
    sample = PseudoVideos(Patterns((image,)), 5, transform).draw(RandomKey(0, 0))

    assert sample is not None
    assert sample.frames.shape[0] == 5
    assert sample.labels.tolist() == [0, 1, 2]
    for earlier, later in zip(sample.frames[:-1], sample.frames[1:], strict=True):
        assert (earlier != later).float().mean() > 0.01
    assert not (mistakes(sample) & certain(sample)).any()


def test_pseudo_videos_are_made_of_single_images() -> None:
    still = repeat_image(colour_coded(20, 30, frames=1), 4)
    assert still.frames.shape == (4, 3, 20, 30)
    assert still.masks.shape == (3, 4, 20, 30)
    with pytest.raises(InputError, match="has 2 frames: sample clips of it instead"):
        repeat_image(colour_coded(20, 30, frames=2), 4)
