"""The categories of the data sets, with their category ids, and the maps from COCO to them."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from genvis.errors import InputError


@dataclass(frozen=True)
class Categories:
    """The categories of one data set, in the order in which a model numbers them.

    Attributes:
        name: Of the data set, for example ``"youtube_vis_2021"``.
        ids: The data set's own ids, ascending, gaps allowed. Class ``k`` of a model is ``ids[k]``.
        names: One per category.
    """

    name: str
    ids: tuple[int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.names):
            raise InputError(f"Categories '{self.name}' have {len(self.ids)} ids for {len(self.names)} names.")
        if list(self.ids) != sorted(set(self.ids)):
            raise InputError(f"Categories '{self.name}' need ascending category ids without repeats.")

    def __len__(self) -> int:
        return len(self.names)


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(files("genvis").joinpath("categories.json").read_text(encoding="utf-8"))
    return tables


def known_category_sets() -> tuple[str, ...]:
    """Return the names of the data sets whose categories are known."""
    return tuple(_tables()["category_sets"])


def known_categories(name: str) -> Categories:
    """Return the categories of ``youtube_vis_2019``, ``youtube_vis_2021``, ``youtube_vis_2022``, ``ovis`` or ``coco``.

    Raises:
        InputError: If there is none of that name.
    """
    # YouTube-VIS 2022 adds long videos to the validation set of 2021; the categories are the same (paper, section 4.1).
    table = _tables()["category_sets"].get({"youtube_vis_2022": "youtube_vis_2021"}.get(name, name))
    if table is None:
        raise InputError(f"There are no categories '{name}'; choose from {', '.join(known_category_sets())}.")
    return Categories(name, tuple(int(number) for number in table), tuple(table.values()))


def coco_to(name: str) -> dict[int, int]:
    """Return the map from COCO category ids to those of a video data set; COCO classes without a partner are absent.

    Raises:
        InputError: If no map to that data set is known.
    """
    table = _tables()["coco_to"].get({"youtube_vis_2022": "youtube_vis_2021"}.get(name, name))
    if table is None:
        raise InputError(f"There is no map from COCO to '{name}'; choose from {', '.join(_tables()['coco_to'])}.")
    return {int(source): target for source, target in table.items()}
