"""Animated still-image formats (PNG, WebP, AVIF) as sources; GIF is one only if pictures of it state no time."""

from collections.abc import Generator
from functools import partial
from pathlib import Path

from PIL import Image

from genvis.files import printable
from genvis.image_files import opened_image, to_rgb
from genvis.video.sources.source import FrameRange, FrameSource, Pending, RGBImage

ANIMATED_FORMATS = frozenset({"PNG", "WEBP", "AVIF"})
# Players show a picture that states no duration for this long.
FALLBACK_SECONDS = 0.1


def animation_length(path: Path) -> int:
    """Return how many pictures an image file holds, if it is of a format that plays them; else 1.

    Raises:
        InputError: If the file is no image.
    """
    with opened_image(path) as image:
        return int(getattr(image, "n_frames", 1)) if image.format in ANIMATED_FORMATS else 1


class AnimationSource(FrameSource):
    """Pictures of one animated image file, with the durations that it states.

    Args:
        path: The file.
        name: Name of the video.
        frames: Which frames to take.

    Raises:
        InputError: If the file is no image.
    """

    def __init__(self, path: Path, *, name: str, frames: FrameRange) -> None:
        super().__init__(name=name, frames=frames)
        self._path = path
        with opened_image(path) as image:
            self._total = int(getattr(image, "n_frames", 1))
            self._size = image.size[1], image.size[0]
            image.load()
            self._rate = 1 / _seconds(image)

    @property
    def total_frames(self) -> int:
        """Number of pictures that the file announces."""
        return self._total

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._size

    @property
    def frame_rate(self) -> float:
        """Frames per second, as the duration of the first picture says."""
        return self._rate

    def _read(self) -> Generator[Pending, None, None]:
        time = reached = 0.0
        with opened_image(self._path) as image:
            for index in range(self._total):
                try:
                    image.seek(index)
                    picture = to_rgb(image)
                except (EOFError, OSError, SyntaxError, ValueError) as error:
                    self._damage.ending = (
                        f"'{printable(self._path)}' is truncated or damaged: it was decoded up to {reached:.2f} s "
                        f"({index} frames), of {self._total} frames that it announces ({printable(error)})."
                    )
                    return
                reached = time
                yield Pending(index, time, f"{index:05d}", partial(_same, picture))
                time += _seconds(image)


def _same(picture: RGBImage) -> RGBImage:
    return picture


def _seconds(image: Image.Image) -> float:
    """Return how long the current picture of an animation is shown; Pillow tells milliseconds, some as fractions."""
    return float(image.info.get("duration") or 0) / 1000 or FALLBACK_SECONDS
