"""Difficulty of generated videos: one small value, with named presets."""

from dataclasses import dataclass, replace

from genvis.errors import InputError


@dataclass(frozen=True)
class Difficulty:
    """Difficulty of a generated video.

    Attributes:
        objects: Fewest and most objects of a video.
        size: Smallest and largest sprite, as a fraction of the frame's shorter side.
        occlusion: Probability, 0..1, that an object heads for a meeting with another one at its next turn.
        look_alikes: Probability, 0..1, that a further object is a look-alike of an earlier one.
        leaving: Probability, 0..1, that an object leaves the frame at its next turn; it comes back later.
        late: Probability, 0..1, that an object only enters after the video has begun.
        out_of_sight: Fewest and most frames that an absence lasts.
        pace: Frames from one turn to the next: fewer are faster.
        length: Frames of a video where none are asked for.
        foreground: Fewest and most pieces of scenery in front of everything, which hide and are not annotated.
        lighting: Strength, 0..1, of the changes of light.
    """

    objects: tuple[int, int] = (2, 6)
    size: tuple[float, float] = (0.22, 0.50)
    occlusion: float = 0.45
    look_alikes: float = 0.35
    leaving: float = 0.10
    late: float = 0.2
    out_of_sight: tuple[int, int] = (6, 20)
    pace: int = 14
    length: int = 48
    foreground: tuple[int, int] = (0, 1)
    lighting: float = 0.5

    def __post_init__(self) -> None:
        for name in ("objects", "size", "out_of_sight", "foreground"):
            lowest, highest = getattr(self, name)
            smallest_allowed = {"objects": 1, "size": 0.05, "out_of_sight": 1, "foreground": 0}[name]
            if not smallest_allowed <= lowest <= highest:
                raise InputError(
                    f"Difficulty: {name}={getattr(self, name)} must be two ascending values of at least "
                    f"{smallest_allowed}."
                )
        if self.objects[1] > MOST_OBJECTS:
            raise InputError(f"Difficulty: objects={self.objects} is too many; choose at most {MOST_OBJECTS}.")
        if self.size[1] > 2.0:
            raise InputError(f"Difficulty: size={self.size} is a fraction of the frame's shorter side, at most 2.")
        for name in ("occlusion", "look_alikes", "leaving", "late", "lighting"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"Difficulty: {name}={getattr(self, name)} must lie between 0 and 1.")
        for name in ("pace", "length"):
            if getattr(self, name) < 1:
                raise InputError(f"Difficulty: {name}={getattr(self, name)} must be at least 1.")

    def changed(
        self,
        *,
        min_objects: int | None = None,
        max_objects: int | None = None,
        occlusion: float | None = None,
        look_alikes: float | None = None,
        max_absence: int | None = None,
    ) -> "Difficulty":
        """Return this difficulty with some values replaced; None keeps a value.

        Args:
            min_objects: Fewest objects; the most follow where they would be fewer.
            max_objects: Most objects; the fewest follow where they would be more.
            occlusion: Probability, 0..1.
            look_alikes: Probability, 0..1.
            max_absence: Most frames out of the frame. Objects then leave, in the easy preset too.

        Raises:
            InputError: If a value is out of range.
        """
        fewest, most = self.objects
        if min_objects is not None:
            fewest, most = min_objects, max(min_objects, most)
        if max_objects is not None:
            fewest, most = min(fewest, max_objects) if min_objects is None else fewest, max_objects
        changed = replace(
            self,
            objects=(fewest, most),
            occlusion=self.occlusion if occlusion is None else occlusion,
            look_alikes=self.look_alikes if look_alikes is None else look_alikes,
        )
        if max_absence is None:
            return changed
        absence = (min(self.out_of_sight[0], max_absence), max_absence)
        return replace(changed, out_of_sight=absence, leaving=max(self.leaving, _SOME_LEAVING))


# The probability of leaving where absences are asked for and the preset has none.
_SOME_LEAVING = 0.08

MOST_OBJECTS = 200

DIFFICULTIES: dict[str, Difficulty] = {
    "easy": Difficulty(
        objects=(1, 3),
        size=(0.28, 0.55),
        occlusion=0.15,
        look_alikes=0.1,
        leaving=0.0,
        late=0.0,
        pace=20,
        length=36,
        foreground=(0, 0),
        lighting=0.2,
    ),
    "normal": Difficulty(),
    "hard": Difficulty(
        objects=(4, 10),
        size=(0.16, 0.46),
        occlusion=0.7,
        look_alikes=0.65,
        leaving=0.18,
        late=0.3,
        out_of_sight=(12, 45),
        pace=10,
        length=72,
        foreground=(1, 3),
        lighting=0.9,
    ),
    # Large objects that look alike and occlude each other for long.
    "occluded": Difficulty(
        objects=(2, 4),
        size=(0.34, 0.58),
        occlusion=0.5,
        look_alikes=0.85,
        leaving=0.12,
        late=0.35,
        out_of_sight=(8, 30),
        pace=18,
        length=80,
        foreground=(0, 0),
        lighting=0.2,
    ),
    # Objects that leave and come back.
    "returning": Difficulty(
        objects=(2, 4),
        size=(0.28, 0.55),
        occlusion=0.15,
        look_alikes=0.3,
        leaving=0.6,
        late=0.6,
        out_of_sight=(4, 12),
        pace=20,
        length=60,
        foreground=(0, 0),
        lighting=0.2,
    ),
}


def difficulty_named(difficulty: str | Difficulty) -> Difficulty:
    """Return a preset by its name; a `Difficulty` is returned as it is.

    Raises:
        InputError: If there is no preset of that name.
    """
    if isinstance(difficulty, Difficulty):
        return difficulty
    if difficulty not in DIFFICULTIES:
        raise InputError(f"There is no difficulty '{difficulty}'; choose from {', '.join(DIFFICULTIES)}.")
    return DIFFICULTIES[difficulty]
