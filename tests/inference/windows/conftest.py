from itertools import pairwise

import numpy as np
import pytest

from genvis.inference.windows.scene_changes import changed_share, thumbnail


@pytest.fixture(scope="session")
def two_scenes(golden_frames):
    """(10, 96, 144, 3) uint8 RGB: a hard cut before frame 5, and none but it."""
    frames = np.concatenate([golden_frames[:5], 255 - golden_frames[:5]])
    shares = [changed_share(thumbnail(a), thumbnail(b)) for a, b in pairwise(frames)]
    assert shares[4] > 0.8
    assert max(shares[:4] + shares[5:]) < 0.5
    return frames
