from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from genvis.data.samples.sample import VideoSample
from genvis.data.samples.transforms import (
    LargeScaleJitter,
    RandomShortSide,
    RotateFrames,
    SlidingCrop,
    image_transform,
    pseudo_video_transform,
    resize,
    video_transform,
)
from genvis.data.sampling.training_source import augment
from genvis.errors import InputError
from tests.data.samples.patterns import certain, checkerboard, colour_coded, mistakes

# Sizes of the frames go up to 160, so the recipes' sizes are divided by about 4.
VIDEO = {"short_sides": (72, 96, 130), "max_size": 190, "crop_short_sides": (100, 125), "crop_size": (60, 110)}
STEPS: dict[str, Callable[[], torch.nn.Module]] = {
    "short side": lambda: RandomShortSide((60, 90, 150), 200),
    "sliding crop": lambda: SlidingCrop(40, 90),
    "rotation": lambda: RotateFrames(15),
    "large scale jitter": lambda: LargeScaleJitter(120, min_scale=0.5),
    "flip": lambda: v2.RandomHorizontalFlip(0.5),
}
PIPELINES: dict[str, Callable[[], torch.nn.Module]] = {
    "video": lambda: video_transform(**VIDEO),
    "pseudo video": lambda: video_transform(**VIDEO, rotation=15),
    "image": lambda: image_transform(image_size=120, min_scale=0.6),
}
SIZES = st.tuples(st.integers(70, 160), st.integers(70, 160))


@pytest.mark.parametrize("name", STEPS)
@settings(deadline=None, max_examples=25)
@given(size=SIZES, seed=st.integers(0, 2**32))
def test_masks_stay_on_their_pixels(name: str, size: tuple[int, int], seed: int) -> None:
    torch.manual_seed(seed)
    result = augment(colour_coded(*size, frames=3, square=20), STEPS[name]())

    wrong = mistakes(result)
    assert not (wrong & certain(result)).any()
    # What is left is pixels that mix two squares, where the nearest one and the mean disagree: corners only. A square
    # is at least 7 pixels wide after all steps, so that at most one pixel in 49 is a corner.
    assert wrong.float().mean() < 1 / 49
    if name in ("sliding crop", "flip"):
        assert not wrong.any()


@pytest.mark.parametrize("name", PIPELINES)
@settings(deadline=None, max_examples=20)
@given(size=SIZES, seed=st.integers(0, 2**32))
def test_masks_stay_on_their_pixels_through_a_whole_pipeline(name: str, size: tuple[int, int], seed: int) -> None:
    torch.manual_seed(seed)
    result = augment(colour_coded(*size, frames=3, square=20), PIPELINES[name]())

    wrong = mistakes(result)
    assert not (wrong & certain(result)).any()
    # Each of two resizings and a rotation takes nearest pixels: at most a third of a pixel along the edges, of which
    # squares of 20 pixels have about one pixel in ten.
    assert wrong.float().mean() < 0.04


def test_resizing_masks_as_torchvision_does_would_be_noticed() -> None:
    sample = colour_coded(151, 157, frames=2, square=20)

    def corners_instead_of_centres(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        masks = F.resize_image(tensors["masks"].as_subclass(torch.Tensor), [60, 62], F.InterpolationMode.NEAREST)
        return {"frames": resize(tensors["frames"], (60, 62)), "masks": masks}

    assert mistakes(augment(sample, corners_instead_of_centres)).float().mean() > 0.02
    assert mistakes(augment(sample, lambda t: {k: resize(v, (60, 62)) for k, v in t.items()})).float().mean() < 0.006


@given(height=st.integers(1, 400), width=st.integers(1, 400), short=st.integers(1, 300), most=st.integers(1, 400))
@settings(deadline=None)
def test_short_side_and_limit(height: int, width: int, short: int, most: int) -> None:
    params = RandomShortSide((short,), most).make_params([tv_tensors.Video(torch.empty(1, 3, height, width))])
    new = params["size"]

    scale = min(short / min(height, width), most / max(height, width))
    assert max(new) <= max(most, 1)
    assert new == (max(1, round(height * scale)), max(1, round(width * scale)))


def test_every_short_side_of_the_recipe_is_drawn_and_holds_for_all_frames() -> None:
    sides = {
        min(augment(colour_coded(40, 60, frames=2), RandomShortSide((20, 30, 35))).frames.shape[-2:]) for _ in range(60)
    }
    assert sides == {20, 30, 35}


def _places(frames: int, smallest: int, largest: int) -> list[dict[str, list[list[int]]]]:
    video = [tv_tensors.Video(torch.empty(frames, 3, 80, 120))]
    return [SlidingCrop(smallest, largest).make_params(video) for _ in range(300)]


def test_the_window_slides_linearly_between_two_places() -> None:
    torch.manual_seed(0)
    corners = torch.tensor([params["corners"] for params in _places(5, 40, 60)], dtype=torch.float64)

    ideal = torch.lerp(corners[:, :1], corners[:, -1:], torch.linspace(0, 1, 5, dtype=torch.float64)[None, :, None])
    assert (corners - ideal).abs().max() <= 0.5 + 1e-6
    assert (corners[:, 0] != corners[:, -1]).any(dim=1).float().mean() > 0.9


def test_windows_take_all_sizes_and_places_inside_the_frame() -> None:
    torch.manual_seed(0)
    params = _places(3, 40, 100)
    windows = torch.tensor([value["window"] for value in params])
    ends = torch.tensor([value["corners"] for value in params]) + windows[:, None]

    # The frame is only 80 high, so windows of 80 are the largest there.
    assert (windows[:, 0].min(), windows[:, 0].max()) == (40, 80)
    assert windows[:, 1].min() < 45
    assert windows[:, 1].max() > 95
    assert (ends <= torch.tensor([80, 120])).all()
    assert (ends == torch.tensor([80, 120])).any(dim=1).any(dim=0).all()
    assert torch.tensor([value["corners"] for value in params]).min() == 0


def test_each_frame_is_rotated_by_its_own_angle_within_the_limit() -> None:
    torch.manual_seed(0)
    video = [tv_tensors.Video(torch.empty(4, 3, 80, 120))]
    draws = [RotateFrames(15).make_params(video) for _ in range(200)]
    angles = torch.stack([draw["angles"] for draw in draws])
    centres = torch.stack([draw["centres"] for draw in draws])

    assert angles.abs().max() <= 15
    assert angles.min() < -14
    assert angles.max() > 14
    assert (angles[:, 0] != angles[:, 1]).all()
    assert 0.4 <= centres.min() < 0.41
    assert 0.59 < centres.max() <= 0.6


@given(size=SIZES, angle=st.floats(-15, 15), centre=st.tuples(st.floats(0.4, 0.6), st.floats(0.4, 0.6)))
@settings(deadline=None, max_examples=25)
def test_rotation_is_that_of_torchvision(size: tuple[int, int], angle: float, centre: tuple[float, float]) -> None:
    sample = colour_coded(*size, frames=1)
    video, mask = tv_tensors.Video(sample.frames), tv_tensors.Mask(sample.masks.view(torch.uint8))
    params = {"angles": torch.tensor([angle]), "centres": torch.tensor([centre])}
    pixels = [centre[1] * size[1], centre[0] * size[0]]

    for value in (video, mask):
        expected = F.rotate(value, angle, F.InterpolationMode.BILINEAR, center=pixels)
        result = RotateFrames().transform(value, params)
        assert type(result) is type(value)
        difference = (result.float() - expected.float()).abs()
        if value is video:
            assert difference.max() <= 1
        else:
            # Places that lie exactly between two pixels may be rounded to either.
            assert difference.mean() < 0.002


def test_rotation_turns_about_its_centre() -> None:
    sample = VideoSample(
        frames=torch.zeros(1, 3, 41, 61, dtype=torch.uint8),
        masks=torch.zeros(1, 1, 41, 61, dtype=torch.bool),
        labels=torch.zeros(1, dtype=torch.int64),
    )
    sample.masks[0, 0, 18:23, 28:33] = True
    turned = augment(sample, RotateFrames(180, centre=(0.5, 0.5))).masks
    rows, columns = torch.where(turned[0, 0])
    assert (rows.float().mean() - 20).abs() < 0.6
    assert (columns.float().mean() - 30).abs() < 0.6


@pytest.mark.parametrize("size", [(50, 90), (200, 130)])
def test_large_scale_jitter_gives_a_square_padded_right_and_below(size: tuple[int, int]) -> None:
    sample = VideoSample(
        frames=torch.full((1, 3, *size), 7, dtype=torch.uint8),
        masks=torch.ones(1, 1, *size, dtype=torch.bool),
        labels=torch.zeros(1, dtype=torch.int64),
    )
    areas = []
    for seed in range(40):
        torch.manual_seed(seed)
        result = augment(sample, LargeScaleJitter(100))
        assert result.frames.shape == (1, 3, 100, 100)
        assert set(result.frames.unique().tolist()) <= {7, 128}
        assert torch.equal(result.frames[0, 0] == 7, result.masks[0, 0])
        assert result.masks[0, 0, 0, 0]
        areas.append(int(result.masks.sum()))
    assert min(areas) < 0.05 * 100 * 100
    assert max(areas) == 100 * 100


def test_the_crop_is_skipped_half_of_the_time() -> None:
    sample = colour_coded(100, 160, frames=2)
    transform = video_transform(short_sides=(80,), max_size=None, crop_short_sides=(100,), crop_size=(50, 60))
    torch.manual_seed(0)
    shapes = [augment(sample, transform).frames.shape[-2:] for _ in range(120)]
    # Without crop the aspect ratio stays 1.6; a window of 50 to 60 pixels is at most 1.2.
    whole = sum(shape == (80, 128) for shape in shapes)
    assert 40 <= whole <= 80


def test_no_objects_and_single_frames_are_no_exception() -> None:
    sample = VideoSample(
        frames=torch.zeros(1, 3, 90, 80, dtype=torch.uint8),
        masks=torch.zeros(0, 1, 90, 80, dtype=torch.bool),
        labels=torch.zeros(0, dtype=torch.int64),
    )
    for seed in range(6):
        torch.manual_seed(seed)
        for transform in (pseudo_video_transform(short_sides=(50,)), image_transform(image_size=60)):
            result = augment(sample, transform)
            assert result.masks.shape == (0, 1, *result.frames.shape[-2:])


def test_images_of_torchvision_are_transformed_as_well() -> None:
    mask = checkerboard(60, 80, square=20)
    image = tv_tensors.Image((mask * 255).to(torch.uint8).expand(3, -1, -1))
    transform = v2.Compose([RotateFrames(15), SlidingCrop(30, 40), RandomShortSide((25,))])
    frame, masks = transform(image, tv_tensors.Mask(mask[None]))
    assert frame.shape[-2:] == masks.shape[-2:]
    assert ((frame[0] > 127) != masks[0]).float().mean() < 0.05


def test_impossible_values_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 pixel"):
        RandomShortSide(())
    with pytest.raises(InputError, match="1 <= smallest <= largest, not 5 and 4"):
        SlidingCrop(5, 4)
    with pytest.raises(InputError, match="0 to 180 degrees, not -3"):
        RotateFrames(-3)
    with pytest.raises(InputError, match="image_size of at least 1"):
        LargeScaleJitter(100, min_scale=0)
