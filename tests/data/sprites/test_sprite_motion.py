from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.data.sprites import DIFFICULTIES, Difficulty
from genvis.data.sprites.motion import draw_motion

HEIGHT, WIDTH = 96, 160


def draw(seed, difficulty, *, count=5, length=60):
    generator = np.random.default_rng(seed)
    sizes = generator.uniform(*difficulty.size, count) * HEIGHT
    return draw_motion(generator, difficulty, sizes=sizes, height=HEIGHT, width=WIDTH, length=length)


def outside(motion, sprite):
    centre = motion.centres[:, sprite]
    away = 0.5 * motion.sizes[:, sprite, None]
    return ((centre < -away) | (centre > np.array([WIDTH, HEIGHT]) + away)).any(axis=-1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(DIFFICULTIES)), st.integers(1, 12), st.integers(1, 90))
def test_invariants(seed, name, count, length):
    motion = draw(seed, DIFFICULTIES[name], count=count, length=length)
    assert motion.centres.shape == (length, count, 2)
    for values in (motion.sizes, motion.angles, motion.headings, motion.light, motion.order):
        assert values.shape == (length, count)
    assert np.isfinite(motion.centres).all()
    assert (motion.sizes > 0).all()
    assert (np.abs(motion.headings) <= 1 + 1e-9).all()
    assert ((motion.light > 0) & (motion.light <= 1)).all()
    np.testing.assert_array_equal(np.sort(motion.order, axis=1), np.tile(np.arange(count), (length, 1)))
    # The first sprite stays.
    assert (motion.centres[:, 0] > 0).all()
    assert (motion.centres[:, 0] < [WIDTH, HEIGHT]).all()


@pytest.mark.parametrize("name", sorted(DIFFICULTIES))
def test_paths_are_smooth(name):
    difficulty = DIFFICULTIES[name]
    for seed in range(20):
        motion = draw(seed, difficulty, length=200)
        speed = np.diff(motion.centres, axis=0)
        assert np.abs(speed).max() < 6.0 * WIDTH / difficulty.pace
        # Away from the frame's edge, where the first sprite is held, speed changes gradually.
        assert np.abs(np.diff(speed[:, 1:], axis=0)).max() < 20.0 * WIDTH / difficulty.pace**2
        assert np.abs(np.diff(motion.angles, axis=0)).max() < 0.6


def test_nobody_leaves_when_leaving_is_off():
    difficulty = Difficulty(leaving=0.0, late=0.0)
    assert not any(outside(draw(seed, difficulty), sprite).any() for seed in range(10) for sprite in range(5))


def test_sprites_leave_and_come_back():
    difficulty = Difficulty(leaving=0.3, late=0.0, out_of_sight=(10, 30))
    returns = 0
    for seed in range(20):
        motion = draw(seed, difficulty, length=150)
        for sprite in range(1, 5):
            away = outside(motion, sprite)
            edges = np.flatnonzero(np.diff(away.astype(int)))
            returns += any(away[start + 1] and stop - start >= 8 for start, stop in pairwise(edges))
    assert returns >= 10


def test_late_sprites_are_away_at_first_and_appear():
    difficulty = Difficulty(leaving=0.0, late=1.0)
    for seed in range(10):
        motion = draw(seed, difficulty, length=120)
        for sprite in range(1, 5):
            away = outside(motion, sprite)
            assert away[0]
            assert not away[-1]


def test_meetings_bring_sprites_together():
    def closest(occlusion):
        near = []
        for seed in range(20):
            motion = draw(seed, Difficulty(occlusion=occlusion, leaving=0.0, late=0.0), count=2, length=120)
            gaps = np.linalg.norm(motion.centres[:, 0] - motion.centres[:, 1], axis=-1)
            near.append((gaps < 0.5 * motion.sizes.max(axis=1)).mean())
        return np.mean(near)

    assert closest(0.9) > 2.0 * closest(0.0)


def test_depth_changes_only_while_apart():
    swaps = 0
    for seed in range(30):
        motion = draw(seed, DIFFICULTIES["normal"], length=200)
        ranks = np.argsort(motion.order, axis=1)
        for frame in range(1, 200):
            for a in range(5):
                for b in range(a):
                    if (ranks[frame, a] < ranks[frame, b]) != (ranks[frame - 1, a] < ranks[frame - 1, b]):
                        swaps += 1
                        gap = np.linalg.norm(motion.centres[frame, a] - motion.centres[frame, b])
                        assert gap > 0.5 * (motion.sizes[frame, a] + motion.sizes[frame, b])
    assert swaps > 0


def test_sprites_look_where_they_go():
    agree, total = 0, 0
    for seed in range(20):
        motion = draw(seed, DIFFICULTIES["normal"], length=100)
        speed = np.gradient(motion.centres[..., 0], axis=0)
        fast = np.abs(speed) > 0.1 * WIDTH / DIFFICULTIES["normal"].pace
        agree += (np.sign(motion.headings) == np.sign(speed))[fast].sum()
        total += fast.sum()
    assert agree / total > 0.95
