"""Labels on a frame: sized with it, inside it, clear of each other, never in the way of small pictures."""

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from genvis.files import printable

Box = tuple[int, int, int, int]
Color = tuple[int, int, int]

SMALLEST_FONT = 11
# Shorter sides below this many pixels have no room for letters.
SMALLEST_FRAME = 48
# At most this share of a frame is covered by labels, and a label is at most so much wider than its object.
LARGEST_COVER = 0.12
LARGEST_OVERHANG = 1.6


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)


class LabelWriter:
    """Places and writes the labels of one frame, the most important first.

    Args:
        canvas: The RGB image to write on.

    Attributes:
        taken: Left, top, right and bottom of the labels written so far.
    """

    def __init__(self, canvas: Image.Image) -> None:
        self._canvas = canvas
        self._draw = ImageDraw.Draw(canvas)
        shorter = min(canvas.size)
        self._size = max(SMALLEST_FONT, round(4 + shorter * 0.018))
        self._padding = max(1, round(self._size * 0.22))
        self._budget = LARGEST_COVER * canvas.width * canvas.height if shorter >= SMALLEST_FRAME else 0.0
        self.taken: list[Box] = []

    def write(self, words: Sequence[str], *, box: Box, color: Color) -> None:
        """Write a label at an object.

        Args:
            words: Its parts, the most important first; parts that have no room are left out from the end.
            box: Left, top, right and bottom of the object.
            color: Of the label's ground; letters are black or white, whichever reads better.
        """
        for count in range(len(words), 0, -1):
            text = printable(" ".join(words[:count]))
            width, height = self._measure(text)
            room = max(LARGEST_OVERHANG * (box[2] - box[0]), 4.0 * self._size)
            fits = width <= self._canvas.width and height <= self._canvas.height and width * height <= self._budget
            if fits and (width <= room or count == 1):
                self._write(text, self._place(width, height, box), color)
                self._budget -= width * height
                return

    def _measure(self, text: str) -> tuple[int, int]:
        width = round(self._draw.textlength(text, font=font(self._size)))
        return width + 2 * self._padding + 1, round(self._size * 1.15) + 2 * self._padding

    def _place(self, width: int, height: int, box: Box) -> Box:
        """Above the object, else at its top, below it or at its foot: the first place that is free, else the freest."""
        left, top, right, bottom = box
        corners = [
            (left, top - height),
            (left, top),
            (right - width, top - height),
            (right - width, top),
            (left, bottom),
            (left, bottom - height),
            ((left + right - width) // 2, (top + bottom - height) // 2),
        ]
        places = [self._inside(x, y, width, height) for x, y in corners]
        places += [self._inside(places[0][0], y, width, height) for _, _, _, y in self.taken]
        return min(places, key=lambda place: sum(_overlap(place, taken) for taken in self.taken))

    def _inside(self, x: int, y: int, width: int, height: int) -> Box:
        x = max(0, min(x, self._canvas.width - width))
        y = max(0, min(y, self._canvas.height - height))
        return x, y, x + width, y + height

    def _write(self, text: str, place: Box, color: Color) -> None:
        left, top, right, bottom = place
        self.taken.append(place)
        self._draw.rounded_rectangle((left, top, right - 1, bottom - 1), radius=self._padding, fill=color)
        ink = (0, 0, 0) if _luminance(color) > 0.2 else (255, 255, 255)
        middle = (top + bottom) / 2
        self._draw.text((left + self._padding, middle), text, fill=ink, font=font(self._size), anchor="lm")


def _overlap(one: Box, other: Box) -> int:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, wide) * max(0, high)


def _luminance(color: Color) -> float:
    red, green, blue = ((channel / 255) ** 2.2 for channel in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
