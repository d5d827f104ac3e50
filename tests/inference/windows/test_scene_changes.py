import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.data.sprites import SpriteVideos
from genvis.inference.windows.scene_changes import changed_share, is_scene_change, thumbnail


def reference_thumbnail(image):
    """Block by block, pixel by pixel."""
    height, width = image.shape[:2]
    rows = [int(row * (height - 1) / 71) for row in range(72)]
    columns = [int(column * (width - 1) / 127) for column in range(128)]
    blocks = np.zeros((18, 32, 3), np.uint8)
    for row in range(18):
        for column in range(32):
            pixels = [image[r, c] for r in rows[4 * row : 4 * row + 4] for c in columns[4 * column : 4 * column + 4]]
            blocks[row, column] = np.sum(pixels, axis=0, dtype=int) // 16
    return blocks


@pytest.mark.parametrize("size", [(96, 160), (1, 1), (7, 300), (720, 40)])
def test_a_thumbnail_holds_the_mean_colours(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert np.abs(thumbnail(image).astype(int) - reference_thumbnail(image)).max() <= 2  # Of rounded places.


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), level=st.integers(0, 255), seed=st.integers(0, 99))
def test_the_share_of_changed_blocks_is_counted(share, level, seed):
    random = np.random.default_rng(seed)
    before = np.zeros((18, 32, 3), np.uint8)
    changed = random.random((18, 32)) < share
    after = before.copy()
    after[changed, random.integers(3)] = level
    expected = changed.mean() if level > 18 else 0.0
    assert changed_share(before, after) == changed_share(after, before) == pytest.approx(expected)
    assert is_scene_change(before, after) == (expected > 0.7)


def test_cuts_between_videos_are_found_and_motion_is_none():
    """Videos that no threshold was chosen on; every eighth frame moves like a fast scene."""
    videos = SpriteVideos(12, height=96, width=160, length=41, difficulty="normal", split="validation", seed=99)
    thumbnails = [
        [thumbnail(frame) for frame in videos[index].frames.permute(0, 2, 3, 1).numpy()] for index in range(12)
    ]
    within = [is_scene_change(a, b) for of in thumbnails for a, b in zip(of[::8], of[8::8], strict=False)]
    between = [is_scene_change(a[-1], b[0]) for a in thumbnails for b in thumbnails if a is not b]
    assert sum(within) == 0
    assert np.mean(between) > 0.9
