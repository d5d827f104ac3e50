"""Options of segmenting that the page offers, checked when they come in."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from genvis.errors import InputError
from genvis.inference.trackers.choose import TrackerName
from genvis.json_values import shown, whole_number
from genvis.results.overlaps import Overlaps

MOST_CLASSES = 1000
LARGEST = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """How a video is segmented; the names are those of `genvis predict`.

    Attributes:
        score_threshold: Lower scores are dropped.
        resolution: Pixels of the shorter side that the network sees; None takes the model's.
        tracker: Method that follows the objects; None takes the model's.
        clip_length: Frames that the network sees together; ``"auto"`` adapts them, and cuts at scene changes; None
            takes the model's.
        classes: Only these classes; None looks for all.
        overlaps: Whether every pixel belongs to one track.
        start: First frame, from 0.
        stop: The first frame not taken; None for the end.
        stride: Every how many frames.
    """

    score_threshold: float = 0.3
    resolution: int | None = None
    tracker: TrackerName | None = None
    clip_length: int | Literal["auto"] | None = None
    classes: tuple[str, ...] | None = None
    overlaps: Overlaps = "resolve"
    start: int = 0
    stop: int | None = None
    stride: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the options as a JSON object."""
        return asdict(self)

    @classmethod
    def read(cls, entry: Any) -> "SegmentOptions":
        """Read options that came from outside.

        Raises:
            InputError: If one is unknown, or out of range.
        """
        if not isinstance(entry, dict):
            raise InputError("The options must be a JSON object.")
        given = {name: value for name, value in entry.items() if value is not None and value != ""}
        unknown = [name for name in given if name not in cls.__dataclass_fields__]
        if unknown:
            raise InputError(f"There is no option {shown(unknown[0])}.")
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name == "score_threshold":
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                    raise InputError(f"The least score is {shown(value)}; it must be a number from 0 to 1.")
                values[name] = float(value)
            elif name in ("tracker", "overlaps"):
                choices = get_args(TrackerName if name == "tracker" else Overlaps)
                if value not in choices:
                    raise InputError(f"'{name}' is {shown(value)}; it must be one of {', '.join(choices)}.")
                values[name] = value
            elif name == "classes":
                values[name] = _classes(value)
            elif name == "clip_length" and value == "auto":
                values[name] = value
            else:
                number = whole_number(value)
                if number is None or not (0 if name == "start" else 1) <= number <= LARGEST:
                    raise InputError(f"'{name}' is {shown(value)}; it must be a whole number above 0.")
                values[name] = number
        options = cls(**values)
        if options.stop is not None and options.stop <= options.start:
            raise InputError(f"Frames {options.start} to {options.stop} are no stretch: the end must come later.")
        return options


def _classes(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > MOST_CLASSES or not all(isinstance(name, str) for name in value):
        raise InputError(f"The classes are {shown(value)}; they must be a list of names.")
    return tuple(name.strip() for name in value if name.strip()) or None
