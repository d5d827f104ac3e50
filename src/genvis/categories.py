"""The label sets of the data sets, with their category ids, and the maps from COCO to them."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from genvis.errors import InputError


@dataclass(frozen=True)
class LabelSet:
    """The categories of one data set, in the order in which a model numbers them.

    Attributes:
        name: For example ``"youtube_vis_2021"``.
        category_ids: The data set's own ids, ascending, gaps allowed. Class ``k`` of a model is ``category_ids[k]``.
        labels: One name per category.
    """

    name: str
    category_ids: tuple[int, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.category_ids) != len(self.labels):
            raise InputError(f"Label set '{self.name}' has {len(self.category_ids)} ids for {len(self.labels)} labels.")
        if list(self.category_ids) != sorted(set(self.category_ids)):
            raise InputError(f"Label set '{self.name}' needs ascending category ids without repeats.")

    def __len__(self) -> int:
        return len(self.labels)

    def class_of(self, category_id: int) -> int:
        """Return the contiguous class index, from 0, of a category id.

        Raises:
            InputError: If the set has no such category.
        """
        try:
            return self.category_ids.index(category_id)
        except ValueError:
            raise InputError(f"Label set '{self.name}' has no category id {category_id}.") from None


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(files("genvis").joinpath("categories.json").read_text(encoding="utf-8"))
    return tables


def label_set_names() -> tuple[str, ...]:
    """Return the names of the known label sets."""
    return tuple(_tables()["label_sets"])


def label_set(name: str) -> LabelSet:
    """Return a known label set: ``youtube_vis_2019``, ``youtube_vis_2021``, ``youtube_vis_2022``, ``ovis`` or ``coco``.

    Raises:
        InputError: If there is none of that name.
    """
    # YouTube-VIS 2022 adds long videos to the validation set of 2021; the categories are the same (paper, section 4.1).
    table = _tables()["label_sets"].get({"youtube_vis_2022": "youtube_vis_2021"}.get(name, name))
    if table is None:
        raise InputError(f"There is no label set '{name}'; choose from {', '.join(label_set_names())}.")
    return LabelSet(name, tuple(int(number) for number in table), tuple(table.values()))


def coco_to(name: str) -> dict[int, int]:
    """Return the map from COCO category ids to those of a video data set; COCO classes without a partner are absent.

    Raises:
        InputError: If no map to that data set is known.
    """
    table = _tables()["coco_to"].get({"youtube_vis_2022": "youtube_vis_2021"}.get(name, name))
    if table is None:
        raise InputError(f"There is no map from COCO to '{name}'; choose from {', '.join(_tables()['coco_to'])}.")
    return {int(source): target for source, target in table.items()}
