"""What the tests of this folder share: numbers in grey levels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

MakeVideo = Callable[..., Path]


def grey_of(number: int) -> int:
    return 20 + 8 * number % 220


def number_of(image: np.ndarray) -> int:
    """The frame number that a frame of a test video carries."""
    return round((float(image.mean()) - 20) / 8)
