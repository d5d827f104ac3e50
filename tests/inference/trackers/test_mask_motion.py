"""Memory matching whose last masks move on as their tracks moved."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.trackers.frame_association import FrameDetections, associate
from genvis.inference.trackers.matching_options import MemoryMatchingOptions
from genvis.inference.trackers.track_memory import TrackMemory, moved_masks

HEIGHT, WIDTH = 12, 48
few = settings(deadline=None, max_examples=30)


def frame(places: list[int]) -> FrameDetections:
    """Return a detection for each left edge: all of one look and one class, squares of 6 pixels."""
    masks = torch.full((len(places), HEIGHT, WIDTH), -6.0)
    for mask, left in zip(masks, places, strict=True):
        mask[3:9, left : left + 6] = 6.0
    return FrameDetections(torch.ones(len(places), 4), torch.full((len(places), 2), 0.9), masks)


def ids_of(found: FrameDetections, memory: TrackMemory | None, options: MemoryMatchingOptions) -> tuple:
    """Return the track id of each detection, in their order, and the memory."""
    tracks, memory = associate(found, memory, options)
    by_row = dict(zip(tracks.detections.tolist(), tracks.track_ids.tolist(), strict=True))
    return [by_row[row] for row in range(len(by_row))], memory


def ids_before_and_after_crossing(options: MemoryMatchingOptions) -> tuple[list[int], list[int]]:
    """Two squares of one look come towards each other, are unseen for four frames, and have passed each other."""
    memory, before = None, []
    for number in range(8):
        before, memory = ids_of(frame([2 * number, 40 - 2 * number]), memory, options)
    assert memory is not None
    for _ in range(4):
        _, memory = associate(frame([]), memory, options)
    after, _ = ids_of(frame([2 * 12, 40 - 2 * 12]), memory, options)
    return before, after


def test_look_alikes_that_cross_unseen_keep_their_ids() -> None:
    moving = MemoryMatchingOptions(velocity_gain=0.8, position_frames=10)
    before, after = ids_before_and_after_crossing(moving)
    assert after == before
    before, after = ids_before_and_after_crossing(MemoryMatchingOptions(position_frames=10))
    assert after == before[::-1], "without motion each is taken for the other one"


@few
@given(right=st.integers(-60, 60), down=st.integers(-15, 15), seed=st.integers(0, 99))
def test_masks_are_moved_by_whole_pixels_and_what_leaves_is_gone(right: int, down: int, seed: int) -> None:
    masks = torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) > 0.5
    wanted = torch.zeros_like(masks)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            if 0 <= row + down < HEIGHT and 0 <= column + right < WIDTH:
                wanted[:, row + down, column + right] = masks[:, row, column]
    ways = torch.tensor([[right, down]] * 2) + torch.tensor([[0.4, -0.4]])
    assert torch.equal(moved_masks(masks, ways), wanted)


@few
@given(speed=st.integers(-4, 4), gain=st.floats(0.3, 1.0))
def test_the_velocity_of_steady_motion_is_found(speed: int, gain: float) -> None:
    options, memory = MemoryMatchingOptions(velocity_gain=gain, position_weight=0.1, match_threshold=0.5), None
    start = 0 if speed >= 0 else 40
    for number in range(10):
        _, memory = associate(frame([start + speed * number]), memory, options)
    assert memory is not None
    torch.testing.assert_close(memory.velocities, torch.tensor([[float(speed), 0.0]]), atol=0.2, rtol=0.0)


def test_a_gain_of_zero_leaves_masks_where_they_were() -> None:
    memory = None
    for number in range(6):
        _, memory = associate(frame([4 * number]), memory, MemoryMatchingOptions())
    assert memory is not None
    assert not memory.velocities.any()
    assert float(memory.mask_overlap(frame([20]).mask_logits > 0).max()) == 1.0


def saved(memory: TrackMemory, **changes: Tensor) -> TrackMemory:
    tensors = {**memory.tensors(), **changes}
    size = MemoryMatchingOptions().bank_size
    return TrackMemory.from_tensors(tensors, classes=2, channels=4, bank_size=size, device=torch.device("cpu"))


def test_velocities_are_saved_and_states_without_them_still_load() -> None:
    options, memory = MemoryMatchingOptions(velocity_gain=0.8), None
    for number in range(6):
        _, memory = associate(frame([2 * number, 40]), memory, options)
    assert memory is not None
    assert memory.velocities.any()
    assert torch.equal(saved(memory).velocities, memory.velocities)
    tensors = memory.tensors()
    del tensors["velocities"]
    size = options.bank_size
    old = TrackMemory.from_tensors(tensors, classes=2, channels=4, bank_size=size, device=torch.device("cpu"))
    assert torch.equal(old.velocities, torch.zeros(2, 2))
    with pytest.raises(InputError, match="saved 'velocities' does not fit the 2 saved masks"):
        saved(memory, velocities=torch.zeros(1, 2))
    with pytest.raises(InputError, match="damaged"):
        saved(memory, velocities=torch.full((2, 2), torch.nan))


def test_a_frame_of_another_size_forgets_velocities() -> None:
    options, memory = MemoryMatchingOptions(velocity_gain=0.8), None
    for number in range(4):
        _, memory = associate(frame([2 * number]), memory, options)
    found = frame([8])
    _, memory = associate(found._replace(mask_logits=found.mask_logits[:, :, :40]), memory, options)
    assert not memory.velocities.any()
    assert memory.ids.tolist() == [1]


@pytest.mark.parametrize("gain", [-0.1, 1.1])
def test_gains_out_of_range_are_refused(gain: float) -> None:
    with pytest.raises(InputError, match=f"velocity_gain is {gain}; give a number from 0 to 1"):
        MemoryMatchingOptions(velocity_gain=gain)


def test_settings_from_before_stay_what_they_were() -> None:
    assert "velocity_gain" not in MemoryMatchingOptions().settings()
    assert MemoryMatchingOptions(velocity_gain=0.5).settings()["velocity_gain"] == 0.5
    assert MemoryMatchingOptions(nms_iou=0.6).settings()["nms_iou"] == 0.6
