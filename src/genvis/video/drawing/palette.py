"""One colour per track id, the same in every picture, video, table and run."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

DISTINCT_COLORS = 300
# Light enough for dark frames, strong enough for light ones (OKLCH).
LIGHTNESS = np.linspace(0.63, 0.87, 7)
CHROMA = np.linspace(0.13, 0.25, 7)
HUES = np.linspace(0, 2 * np.pi, 60, endpoint=False)


def track_color(track_id: int) -> tuple[int, int, int]:
    """Return the colour of a track id, RGB in 0..255.

    Each of the first 300 track ids gets the colour that is farthest, to the eye, from those before it; later ones
    begin anew. Track id 0, the background, is black.
    """
    if track_id == 0:
        return 0, 0, 0
    red, green, blue = _distinct_colors()[(track_id - 1) % DISTINCT_COLORS]
    return red, green, blue


def palette(size: int = 256) -> NDArray[np.uint8]:
    """Return the colours of track ids 0 to ``size - 1``, (size, 3) uint8."""
    return np.array([track_color(track_id) for track_id in range(size)], np.uint8)


@cache
def _distinct_colors() -> tuple[tuple[int, int, int], ...]:
    """Choose colours one by one, each the farthest in OKLab from all before; the first is a warm red."""
    lightness, chroma, hue = (axis.ravel() for axis in np.meshgrid(LIGHTNESS, CHROMA, HUES, indexing="ij"))
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    linear = _oklab_to_linear(lab)
    exists = ((linear >= 0) & (linear <= 1)).all(axis=1)
    lab, linear = lab[exists], linear[exists]
    chosen = [int(np.linalg.norm(lab - (0.69, 0.17, 0.08), axis=1).argmin())]
    distance = np.full(len(lab), np.inf)
    while len(chosen) < DISTINCT_COLORS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    rgb = np.rint(255 * _gamma(linear[chosen])).astype(int)
    return tuple((red, green, blue) for red, green, blue in rgb.tolist())


def _oklab_to_linear(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert (N, 3) OKLab to linear sRGB with Ottosson's matrices (2020)."""
    to_cones = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear: NDArray[np.float64] = (lab @ to_cones.T) ** 3 @ to_rgb.T
    return linear


def _gamma(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
