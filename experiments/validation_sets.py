"""Validation videos that every run is measured on, and the kinds of training videos.

The sets measure association, not detection. So objects are large and the scenery is calm, but most objects of a video
look alike, cross and occlude each other, leave and come back.
"""

import json
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from genvis.data.sprites import DIFFICULTIES, Difficulty, SpriteVideos
from genvis.errors import InputError

EASY = Difficulty(
    objects=(1, 3),
    size=(0.32, 0.55),
    occlusion=0.1,
    look_alikes=0.3,
    leaving=0.0,
    late=0.0,
    pace=20,
    length=40,
    foreground=(0, 0),
    lighting=0.2,
)
NORMAL = replace(
    EASY,
    objects=(2, 4),
    occlusion=0.25,
    look_alikes=0.7,
    leaving=0.08,
    late=0.25,
    out_of_sight=(5, 16),
    pace=18,
)
OCCLUDED = DIFFICULTIES["occluded"]
ENDLESS = replace(NORMAL, objects=(3, 4), leaving=0.3, out_of_sight=(4, 70), pace=12, length=300)
# Of many objects only some are visible at a time, so that a detector of 20 queries could find them all.
CROWD = replace(
    NORMAL, size=(0.28, 0.36), occlusion=0.2, leaving=0.95, late=0.95, out_of_sight=(60, 110), pace=12, length=120
)

# One cause of id switches at a time: objects that look alike cross but stay, or different ones go and come back.
CROSSING = replace(EASY, objects=(2, 4), occlusion=0.6, look_alikes=1.0)
RETURNING = replace(EASY, objects=(2, 4), leaving=0.6, late=0.6, out_of_sight=(4, 12), length=60)

OBJECT_COUNTS = (3, 6, 10, 15, 20, 25, 30)
"""Objects per video of the sets ``crowd-3`` ... ``crowd-30``."""

PIECES = (15, 30, 60, 150, 300)
"""Frames of the pieces that the set ``endless`` is cut into."""

SEED = 2023
"""Of the videos of the tables."""
TUNING_SEED = 7
"""Of the videos on which options are chosen."""


def digest(value: Any) -> str:
    """Return a short name of dataclasses, dictionaries and sequences of plain values."""
    content = json.dumps(value, sort_keys=True, default=asdict)
    return sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class ValidationSet:
    """Some generated videos of the split ``validation``.

    Attributes:
        name: How results call it.
        videos: How many.
        difficulty: With the number of frames of each.
        height: Pixels.
        width: Pixels.
        seed: Of the videos.
        category_names: Of the objects; none takes all categories of sprites.
    """

    name: str
    videos: int
    difficulty: Difficulty
    height: int = 96
    width: int = 160
    seed: int = SEED
    category_names: tuple[str, ...] = ()

    def load(self) -> SpriteVideos:
        """Return the videos."""
        return SpriteVideos(
            self.videos,
            height=self.height,
            width=self.width,
            difficulty=self.difficulty,
            split="validation",
            seed=self.seed,
            category_names=self.category_names,
        )

    def description(self) -> dict[str, Any]:
        """Return all that tells this set from others, for fingerprints and results."""
        description = asdict(self)
        # What came later is told only where it is used, so that results from before keep their sets.
        for name, usual in (("seed", SEED), ("category_names", ())):
            if description[name] == usual:
                del description[name]
        return description

    @property
    def digest(self) -> str:
        """A short name of everything that makes the videos what they are."""
        return digest(self.description())


SETS = {
    one.name: one
    for one in (
        ValidationSet("easy", 40, EASY),
        ValidationSet("normal", 40, NORMAL),
        ValidationSet("occluded", 30, OCCLUDED),
        ValidationSet("crossing", 40, CROSSING),
        ValidationSet("returning", 30, RETURNING),
        ValidationSet("endless", 8, ENDLESS),
        *(ValidationSet(f"crowd-{count}", 6, replace(CROWD, objects=(count, count))) for count in OBJECT_COUNTS),
    )
}


ASSOCIATION_CATEGORIES = ("Bear", "Giant_panda", "Fish", "Vehical")
"""Of which every drawing is compact, so that a small detector can have nearly exact masks."""

_ASSOCIATION = (SETS["normal"], SETS["occluded"], SETS["returning"])
ASSOCIATION_SETS = {
    f"association-{one.name}": replace(
        one,
        name=f"association-{one.name}",
        videos=40,
        difficulty=replace(one.difficulty, size=(0.42, 0.60)),
        height=128,
        width=208,
        category_names=ASSOCIATION_CATEGORIES,
    )
    for one in _ASSOCIATION
}
"""Sets in which association alone is the question: large objects of four categories, and a detector for exactly these.

Joined by the truth, that detector's masks score 79 to 89 AP, so that most of what a tracker lacks is association.
"""

_TUNING_VIDEOS = {"normal": 80, "occluded": 60, "returning": 60, "crowd-10": 20, "endless": 14}
TUNING_SETS = {
    f"tuning-{name}": replace(SETS[name], name=f"tuning-{name}", videos=videos, seed=TUNING_SEED)
    for name, videos in _TUNING_VIDEOS.items()
}
TUNING_SETS |= {
    f"tuning-{name}": replace(one, name=f"tuning-{name}", seed=TUNING_SEED) for name, one in ASSOCIATION_SETS.items()
}
"""Other videos of the same kinds: options of methods without training are chosen on these, not on the sets above."""


STREAM = ValidationSet("stream", 23, replace(CROWD, objects=(15, 15)))
"""Videos of up to 15 visible objects each, to be joined to a stream of 300 (`benchmarks/id_archive.py`)."""


def validation_set(name: str) -> ValidationSet:
    """Return a set by its name.

    Raises:
        InputError: If there is none.
    """
    known = {**SETS, **ASSOCIATION_SETS, **TUNING_SETS, STREAM.name: STREAM}
    if name not in known:
        raise InputError(f"There is no validation set '{name}'; choose from {', '.join(known)}.")
    return known[name]


def training_mixture(name: str) -> tuple[ValidationSet, ...]:
    """Return the sets whose kinds of videos training has in equal parts; it shares no style with them.

    Args:
        name: Validation sets joined by ``+``, such as ``normal+occluded``.

    Raises:
        InputError: If there is no such set.
    """
    return tuple(validation_set(one) for one in name.split("+"))


def mixture_digest(name: str) -> str:
    """Return a short name of everything that makes the videos of a training mixture what they are."""
    sets = training_mixture(name)
    # What came later is told only where it is used: other sizes, and a choice of categories.
    videos: list[Any] = [(one.difficulty, 1.0) for one in sets]
    frames = [(one.height, one.width, one.category_names) for one in sets]
    usual = (ValidationSet.height, ValidationSet.width, ValidationSet.category_names)
    return digest([*videos, *(one for one in frames if one != usual)])
