"""Videos whose objects have one mask a frame: the common form of all converters."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from genvis.masks import RLEMask

DEFAULT_CATEGORY = "object"
"""The name of the only category where a format has none."""


@dataclass(frozen=True)
class Category:
    """A category with the id that the file has, or gets."""

    id: int
    name: str


@dataclass(frozen=True)
class ConvertedTrack:
    """One object of a video.

    Attributes:
        id: Its identity in the source; unique within the video at least.
        category_id: The id of its category.
        masks: Frame index -> mask; frames without the object are absent.
        crowd: Whether it is a crowd rather than one object.
    """

    id: int
    category_id: int
    masks: Mapping[int, RLEMask]
    crowd: bool = False


@dataclass(frozen=True)
class ConvertedVideo:
    """One video.

    Attributes:
        name: A name that is safe as the name of a folder.
        height: Height of its frames, in pixels.
        width: Width of its frames, in pixels.
        file_names: One a frame, relative to the image folder, with forward slashes.
        tracks: Its objects.
        id: The id in the source; None where there is none.
        frame_numbers: The number of each frame in the source video; empty where they are counted from 0.
    """

    name: str
    height: int
    width: int
    file_names: tuple[str, ...]
    tracks: tuple[ConvertedTrack, ...]
    id: int | None = None
    frame_numbers: tuple[int, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each frame in the source video."""
        return self.frame_numbers or tuple(range(len(self.file_names)))


@dataclass(frozen=True)
class ConvertedDataset:
    """Videos with the categories of their objects.

    Attributes:
        categories: All categories, used or not.
        videos: The videos.
        remarks: Sentences about what was left out, filled in or assumed, for the user.
    """

    categories: tuple[Category, ...]
    videos: tuple[ConvertedVideo, ...]
    remarks: tuple[str, ...] = ()


@dataclass
class Remarks:
    """Counts what a converter leaves out, fills in or assumes, and says it in sentences."""

    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, sentence: str, count: int = 1) -> None:
        """Count an occurrence; ``sentence`` has ``{n}`` where the number goes, or no number."""
        self._counts[sentence] += count

    def sentences(self) -> tuple[str, ...]:
        """Return the sentences, each with its number, in the order of their first occurrence."""
        return tuple(sentence.replace("{n}", f"{count:,}") for sentence, count in self._counts.items() if count)


def safe_name(text: str) -> str:
    """Return a text as the name of a folder: letters, digits, dots, dashes and underscores, never a path."""
    name = re.sub(r"[^\w.\-]+", "_", text.strip()).strip("._")
    return name or "video"


def unique_names(names: Iterable[str]) -> list[str]:
    """Return safe names, made different by a number where they are not."""
    taken: set[str] = set()
    result = []
    for text in names:
        name = base = safe_name(text)
        number = 2
        while name.lower() in taken:  # some file systems ignore case
            name, number = f"{base}_{number}", number + 1
        taken.add(name.lower())
        result.append(name)
    return result


def numbered_categories(names: Sequence[str]) -> tuple[Category, ...]:
    """Return categories with the ids 1, 2, ... in the order of the names."""
    return tuple(Category(number, name) for number, name in enumerate(names, start=1))
