"""Hard cuts: frames that show another scene than the frame before.

A frame is compared with the one before it on a grid of blocks. At a cut nearly all blocks change their colour; a moving
object changes as many as it covers, a moving camera those at edges. So the share of changed blocks tells them apart,
where a mean over the picture (as of other detectors) also grows with the speed of large objects. A comparison needs no
later frame, and all that is kept of the past is one thumbnail of 1.7 kB, which is saved with a session.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Blocks of a thumbnail, and pixels of a block that are looked at in each direction.
ROWS, COLUMNS, SAMPLES = 18, 32, 4
# A block has changed if a colour channel changed by more, of 255.
CHANGED_BY = 18
# A frame begins a scene if more than this share of its blocks changed.
LEAST_SHARE = 0.7

Thumbnail = NDArray[np.uint8]
"""(18, 32, 3), the mean colour of each block of a frame."""


def thumbnail(image: NDArray[np.uint8]) -> Thumbnail:
    """Return the mean colours of the blocks of a frame, from 16 pixels of each.

    Args:
        image: (H, W, 3) RGB of any size.
    """
    rows, columns = _places(image.shape[0], ROWS), _places(image.shape[1], COLUMNS)
    sampled = image.take(rows, axis=0).take(columns, axis=1).astype(np.uint16)
    blocks = sampled.reshape(ROWS, SAMPLES, COLUMNS, SAMPLES, 3)
    # One axis after the other is several times as fast as both at once, and this runs for every frame.
    total = blocks.sum(axis=1, dtype=np.uint16).sum(axis=2, dtype=np.uint16)
    mean: Thumbnail = (total // SAMPLES**2).astype(np.uint8)
    return mean


@lru_cache(maxsize=16)
def _places(pixels: int, blocks: int) -> NDArray[np.intp]:
    """Return which rows or columns of a frame are looked at."""
    return np.linspace(0, pixels - 1, blocks * SAMPLES).astype(np.intp)


def changed_share(before: Thumbnail, after: Thumbnail) -> float:
    """Return the share of blocks, in [0, 1], whose colour changed."""
    change = np.abs(after.astype(np.int16) - before).max(axis=-1)  # (18, 32)
    return float((change > CHANGED_BY).mean())


def is_scene_change(before: Thumbnail, after: Thumbnail) -> bool:
    """Return whether a frame begins a new scene.

    Fails where both scenes are nearly black or have the same background, and at dissolves, which change little from
    frame to frame. A flash, or a camera that turns by more than an eighth of the picture in a frame, can look like a
    cut.

    Args:
        before: Of the frame before.
        after: Of the frame.
    """
    return changed_share(before, after) > LEAST_SHARE
