"""One colour per identity, the same in every picture, video, table and run."""

from functools import cache
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

GOLDEN_RATIO = 0.6180339887498949
FIRST_HUE = 0.06
# Lightness and chroma take turns. Hues come close after 8, 13, 21, 34, 55 and 89 identities; 6 divides none of these.
TONES = ((0.71, 0.20), (0.62, 0.22), (0.86, 0.15), (0.76, 0.12), (0.65, 0.15), (0.80, 0.19))


@cache
def identity_color(identity: int) -> tuple[int, int, int]:
    """Return the colour of an identity, RGB in 0..255.

    Hues follow the golden ratio in OKLCH, so that neighbouring numbers are far apart and any first n are spread well;
    all are light enough for dark frames and strong enough for light ones. Identity 0, the background, is black.
    """
    if identity == 0:
        return 0, 0, 0
    lightness, chroma = TONES[(identity - 1) % len(TONES)]
    hue = 2 * pi * ((FIRST_HUE + (identity - 1) * GOLDEN_RATIO) % 1)
    return _oklch_to_rgb(lightness, chroma, hue)


def palette(size: int = 256) -> NDArray[np.uint8]:
    """Return the colours of identities 0 to ``size - 1``, (size, 3) uint8."""
    return np.array([identity_color(identity) for identity in range(size)], np.uint8)


def _oklch_to_rgb(lightness: float, chroma: float, hue: float) -> tuple[int, int, int]:
    """Convert with Ottosson's matrices (OKLab, 2020); chroma shrinks until the colour exists in sRGB."""
    while True:
        a, b = chroma * cos(hue), chroma * sin(hue)
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = (
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        )
        if chroma < 0.01 or all(0 <= channel <= 1 for channel in linear):
            red, green, blue = (round(255 * _gamma(min(max(channel, 0.0), 1.0))) for channel in linear)
            return red, green, blue
        chroma -= 0.005


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
