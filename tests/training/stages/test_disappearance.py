"""Simulated disappearance: what is gone is gone in tokens, masks and matching alike, and nothing else changes."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from genvis.training.cache.detected_videos import DetectedVideos
from genvis.training.criterion.targets import join_targets
from genvis.training.stages.disappearance import simulate_disappearance


def _videos(*, seed: int, frames: int, objects: tuple[int, ...], queries: int = 6, layers: int = 2) -> DetectedVideos:
    """Return videos in which query q of frame t in video b and layer l is the number of all four."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    held = np.full((layers, sum(objects), frames), -1)
    masks, row = [], 0
    for count in objects:
        visible = random.random((count, frames)) < 0.8
        for layer in range(layers):
            for frame in range(frames):
                places = random.permutation(queries)[:count]
                held[layer, row : row + count, frame] = np.where(visible[:, frame], places, -1)
        masks.append(torch.from_numpy(visible)[:, :, None, None].expand(-1, -1, 4, 4).clone())
        row += count
    numbers = torch.arange(layers * len(objects) * frames * queries, dtype=torch.float32)
    targets = join_targets([torch.zeros(count, dtype=torch.int64) for count in objects], masks, height=4, width=4)
    return DetectedVideos(
        numbers.reshape(layers, len(objects), frames, queries, 1),
        torch.zeros(len(objects), frames, 3, 4, 4),
        held,
        targets,
    )


@given(
    seed=st.integers(0, 1000),
    frames=st.integers(1, 9),
    frames_per_clip=st.integers(1, 3),
    objects=st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple),
    probability=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_objects_are_gone_for_whole_clips_and_nothing_else_changes(
    seed: int, frames: int, frames_per_clip: int, objects: tuple[int, ...], probability: float
) -> None:
    before = _videos(seed=seed, frames=frames, objects=objects)
    kept = before.frame_queries.clone()
    after = simulate_disappearance(
        before, probability=probability, frames_per_clip=frames_per_clip, random=np.random.default_rng(seed)
    )
    assert torch.equal(before.frame_queries, kept)
    was, now = before.targets.in_frame, after.targets.in_frame
    gone = was & ~now
    assert not (now & ~was).any()
    assert not gone[:, :frames_per_clip].any()  # The first clip shows what there is.
    assert np.array_equal(now, after.targets.masks.flatten(2).any(2).numpy())
    assert np.array_equal(
        after.frame_assignment == -1, np.broadcast_to(gone, was.shape) | (before.frame_assignment == -1)
    )
    for thing in range(sum(objects)):
        clips = np.unique(np.flatnonzero(gone[thing]) // frames_per_clip)
        for clip in range(clips[0], clips[-1] + 1) if clips.size else ():
            assert not now[thing, clip * frames_per_clip : (clip + 1) * frames_per_clip].any()
    for layer in range(2):
        for video in range(len(objects)):
            of_video = before.targets.videos == video
            for frame in range(frames):
                held_before = before.frame_assignment[layer, of_video, frame]
                removed = held_before[gone[of_video, frame]]
                old, new = (
                    before.frame_queries[layer, video, frame, :, 0],
                    after.frame_queries[layer, video, frame, :, 0],
                )
                changed = np.flatnonzero((old != new).numpy())
                assert set(changed) == set(removed)
                # What stands there instead holds no object.
                free = old[np.setdiff1d(np.arange(len(old)), held_before)]
                assert np.isin(new[changed].numpy(), free.numpy()).all()


def test_every_object_disappears_if_it_must_and_none_if_it_may_not() -> None:
    videos = _videos(seed=3, frames=6, objects=(3, 2))
    same = simulate_disappearance(videos, probability=0.0, frames_per_clip=1, random=np.random.default_rng(0))
    assert same is videos
    gone = np.zeros(5, np.bool_)
    for seed in range(20):
        random = np.random.default_rng(seed)
        after = simulate_disappearance(videos, probability=1.0, frames_per_clip=1, random=random)
        gone |= (videos.targets.in_frame & ~after.targets.in_frame).any(axis=1)
    assert gone.all()


def test_one_clip_alone_has_no_absence() -> None:
    videos = _videos(seed=1, frames=3, objects=(2,))
    assert simulate_disappearance(videos, probability=1.0, frames_per_clip=3, random=np.random.default_rng(0)) is videos
