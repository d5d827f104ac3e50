"""The colours of the procedural backgrounds: mid and light tones, on which OpenMoji's black outlines stand out."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


def _rgb(codes: str) -> NDArray[np.float32]:
    return np.array([list(bytes.fromhex(code)) for code in codes.split()], dtype=np.float32)


@dataclass(frozen=True)
class Palette:
    """Colours that go together, as six hexadecimal digits each, separated by spaces.

    Attributes:
        name: What it calls to mind.
        sky: From the top to the horizon.
        ground: From far to near.
        sun_code: The sun.
    """

    name: str
    sky: str
    ground: str
    sun_code: str = "fff3c4"

    @cached_property
    def sky_colours(self) -> NDArray[np.float32]:
        """(K, 3) RGB from 0 to 255."""
        return _rgb(self.sky)

    @cached_property
    def ground_colours(self) -> NDArray[np.float32]:
        """(K, 3) RGB from 0 to 255."""
        return _rgb(self.ground)

    @cached_property
    def all_colours(self) -> NDArray[np.float32]:
        """(K, 3) RGB from 0 to 255: ground, then sky."""
        return np.concatenate([self.ground_colours[::-1], self.sky_colours[::-1]])

    @cached_property
    def sun(self) -> tuple[int, int, int]:
        """RGB from 0 to 255."""
        red, green, blue = (int(value) for value in _rgb(self.sun_code)[0])
        return red, green, blue


PALETTES = (
    Palette("meadow", "8fd3f4 c9ecf7 eaf7e4", "cfe8b4 a8d689 7fbf6a"),
    Palette("alps", "6fb1e0 a9d4ef e8f4f8", "c3d9d6 9fc3a8 74a878"),
    Palette("dawn", "f6b8a8 fbd3b6 fdeccb", "e9c2b8 cf9fa6 a97f94", "fff7e0"),
    Palette("dusk", "8e8fc7 c3a6d0 f4c4c1", "b59cc0 9382ad 736a97", "ffe3b8"),
    Palette("desert", "a8dbe6 d9eee0 fbeecb", "f3d9a4 e6bd7c cf9a5c"),
    Palette("lagoon", "7cc8e8 a5e0e6 d7f4ea", "bde7e0 83cfd0 55aebd"),
    Palette("autumn", "c8dfe6 e6e6cf f8ead0", "eccb8e dfa266 bd7a4f"),
    Palette("snow", "b9d6ec dbe9f4 f5f8fb", "eaf1f6 d3e1ec b5cbdc"),
    Palette("lavender", "c2c9f0 dccdf0 f6e3f2", "d8c5ea bda3da 9c86c4"),
    Palette("savanna", "f7d9a0 fae6bd fdf3da", "ecd592 d1b968 a99a52"),
    Palette("mint", "b4ead9 cff3e0 effaea", "b8e6c6 8bd0a9 63b08d"),
    Palette("sea", "9ad0ec 74b8df 5a9fd0", "8cc4e0 5fa4cc 4788b5"),
)
