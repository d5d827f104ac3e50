"""Edits of a result: small values that say what is corrected, and pure functions of results.

``edit.apply(result)`` returns the corrected result and leaves the given one as it is; both share the tracks and masks
that the edit does not touch. Frames are counted as the result counts them: position 0 is its first frame, whatever
number that frame has in the source video (``result.frames[position].index``). Stretches include both ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, ClassVar, NamedTuple, TypeAlias

from genvis.categories import known_categories, known_category_sets
from genvis.errors import InputError
from genvis.json_values import is_text, shown, whole_number
from genvis.masks import RLEMask, merge_masks
from genvis.results.types import GREATEST_ID, Track, VideoResult

_Masks: TypeAlias = tuple[RLEMask | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeTracks:
    """Several tracks are one object: the first takes the masks of all, the others end.

    Where several are visible in a frame, the object has the union of their masks. Class and id are those of the first.
    The score is the mean of the scores, weighted by the frames with a mask.

    Attributes:
        track_ids: Two or more.
    """

    name: ClassVar[str] = "merge"
    track_ids: tuple[int, ...]

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If a track is missing or named twice, or there is only one.
        """
        if len(self.track_ids) < 2 or len(set(self.track_ids)) < len(self.track_ids):
            raise InputError(f"To merge takes two or more different tracks, not {_listed(self.track_ids)}.")
        tracks = [result.track(number) for number in self.track_ids]
        masks = list(tracks[0].masks)
        for track in tracks[1:]:
            for position, mask in enumerate(track.masks):
                if mask is not None:
                    before = masks[position]
                    masks[position] = mask if before is None else merge_masks([before, mask])
        merged = replace(tracks[0], masks=tuple(masks), score=_mean_score(tracks))
        return _with_tracks(result, merged, removed=self.track_ids[1:])

    def __str__(self) -> str:
        return f"merge tracks {_listed(self.track_ids[1:])} into {self.track_ids[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTrack:
    """One track is two objects: from a frame on, its masks belong to a new track with the same class and score.

    Attributes:
        track_id: The track.
        frame: First position of the new track.
        new_id: Id of the new track, one that was never used: see :func:`next_track_id` and `EditLog.next_id`.
    """

    name: ClassVar[str] = "split"
    track_id: int
    frame: int
    new_id: int

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If the track is missing, is not visible on both sides of the frame, or the new id is taken.
        """
        track = result.track(self.track_id)
        _check_frames(result, self.frame)
        _check_new_id(result, self.new_id)
        before, after = track.masks[: self.frame], track.masks[self.frame :]
        if not _is_visible(before) or not _is_visible(after):
            side = "before" if _is_visible(after) else "from there on"
            raise InputError(f"Track {self.track_id} cannot be split at frame {self.frame}: it has no mask {side}.")
        old = replace(track, masks=before + _absent(len(after)))
        return _with_tracks(result, old, replace(track, id=self.new_id, masks=_absent(len(before)) + after))

    def __str__(self) -> str:
        return f"split track {self.track_id} at frame {self.frame}: from there on it is track {self.new_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTracks:
    """An id switch: from a frame on, two tracks exchange their masks. Classes and scores stay with the ids.

    Attributes:
        first_id: One track.
        second_id: The other.
        frame: First position at which the masks are exchanged.
    """

    name: ClassVar[str] = "swap"
    first_id: int
    second_id: int
    frame: int

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If a track is missing, the two are one, neither is visible from the frame on, or one of them
                would have no mask left.
        """
        if self.first_id == self.second_id:
            raise InputError(f"Track {self.first_id} cannot be swapped with itself.")
        _check_frames(result, self.frame)
        first, second = result.track(self.first_id), result.track(self.second_id)
        cut = self.frame
        if not _is_visible(first.masks[cut:]) and not _is_visible(second.masks[cut:]):
            raise InputError(f"Neither track {self.first_id} nor {self.second_id} has a mask from frame {cut} on.")
        swapped = (
            replace(first, masks=first.masks[:cut] + second.masks[cut:]),
            replace(second, masks=second.masks[:cut] + first.masks[cut:]),
        )
        for track in swapped:
            if not _is_visible(track.masks):
                raise InputError(
                    f"Tracks {self.first_id} and {self.second_id} cannot be swapped from frame {cut} on: track "
                    f"{track.id} would have no mask left; merge them instead."
                )
        return _with_tracks(result, *swapped)

    def __str__(self) -> str:
        return f"swap tracks {self.first_id} and {self.second_id} from frame {self.frame} on"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCategory:
    """A track is of another class. Its score stays.

    Attributes:
        track_id: The track.
        label: Name of the class. One of :func:`category_choices`; another one is a new class, which needs a
            ``category_id`` if the categories of the result are those of a known data set.
        category_id: The data set's own id of a new class; None takes the next free one.
    """

    name: ClassVar[str] = "category"
    track_id: int
    label: str
    category_id: int | None = None

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If the track is missing or of that class already, or there is no such class.
        """
        track = result.track(self.track_id)
        category = self._category(result)
        if (track.label, track.category_id) == (category.label, category.category_id):
            raise InputError(f"Track {self.track_id} is a '{self.label}' already.")
        return _with_tracks(result, replace(track, **category._asdict()))

    def _category(self, result: VideoResult) -> "CategoryChoice":
        if not self.label.strip():
            raise InputError(f"The class of track {self.track_id} needs a name.")
        choices = {choice.label: choice for choice in category_choices(result)}
        numbers = {choice.category_id: choice for choice in choices.values()}
        known = choices.get(self.label)
        if known is not None:
            if self.category_id not in (None, known.category_id):
                raise InputError(
                    f"Class '{self.label}' has the category id {known.category_id}, not {self.category_id}."
                )
            return known
        if self.category_id in numbers:
            raise InputError(f"Category id {self.category_id} is that of '{numbers[self.category_id].label}' already.")
        if self.category_id is None and result.categories_name in known_category_sets():
            close = get_close_matches(self.label, choices, n=1)
            meant = f" Did you mean '{close[0]}'?" if close else ""
            raise InputError(
                f"'{result.categories_name}' has no class {shown(self.label)}.{meant} A new one needs a category_id."
            )
        free = max(numbers, default=0) + 1 if self.category_id is None else self.category_id
        label_id = max((choice.label_id for choice in choices.values()), default=-1) + 1
        return CategoryChoice(self.label, label_id, free)

    def __str__(self) -> str:
        return f"track {self.track_id} is a {self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTrack:
    """A track is no object.

    Attributes:
        track_id: The track.
    """

    name: ClassVar[str] = "delete"
    track_id: int

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If there is no such track.
        """
        return _with_tracks(result, removed=(result.track(self.track_id).id,))

    def __str__(self) -> str:
        return f"delete track {self.track_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFrames:
    """A track has no mask in a stretch of frames.

    Attributes:
        track_id: The track.
        first: First position of the stretch.
        last: Last position of the stretch.
    """

    name: ClassVar[str] = "delete_frames"
    track_id: int
    first: int
    last: int

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If the track is missing, is not visible there, or would have no mask left.
        """
        return _without(result, self.track_id, inside=(self.first, self.last))

    def __str__(self) -> str:
        return f"delete track {self.track_id} in frames {self.first} to {self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimTrack:
    """A track has masks in a stretch of frames only.

    Attributes:
        track_id: The track.
        first: First position that is kept.
        last: Last position that is kept.
    """

    name: ClassVar[str] = "trim"
    track_id: int
    first: int
    last: int

    def apply(self, result: VideoResult) -> VideoResult:
        """Return the corrected result.

        Raises:
            InputError: If the track is missing, has no mask outside of the stretch, or would have none left.
        """
        return _without(result, self.track_id, outside=(self.first, self.last))

    def __str__(self) -> str:
        return f"trim track {self.track_id} to frames {self.first} to {self.last}"


Edit: TypeAlias = MergeTracks | SplitTrack | SwapTracks | SetCategory | DeleteTrack | DeleteFrames | TrimTrack
"""One correction of a result. ``str(edit)`` says it in words."""

_KINDS: dict[str, type[Edit]] = {
    kind.name: kind for kind in (MergeTracks, SplitTrack, SwapTracks, SetCategory, DeleteTrack, DeleteFrames, TrimTrack)
}


class CategoryChoice(NamedTuple):
    """A class that tracks of a result can have: its name, the model's number, the data set's own id."""

    label: str
    label_id: int
    category_id: int


def category_choices(result: VideoResult) -> tuple[CategoryChoice, ...]:
    """Return the classes of a result: those of its data set if that is a known one, and those of its tracks."""
    choices: dict[str, CategoryChoice] = {}
    if result.categories_name in known_category_sets():
        categories = known_categories(result.categories_name)
        pairs = zip(categories.names, categories.ids, strict=True)
        choices = {name: CategoryChoice(name, place, number) for place, (name, number) in enumerate(pairs)}
    for track in result.tracks:
        choices.setdefault(track.label, CategoryChoice(track.label, track.label_id, track.category_id))
    return tuple(sorted(choices.values(), key=lambda choice: (choice.label_id, choice.label)))


def next_track_id(result: VideoResult, edits: Iterable[Edit] = ()) -> int:
    """Return the id for a new track: one more than any that the result has and any that the edits ever gave."""
    given = (edit.new_id for edit in edits if isinstance(edit, SplitTrack))
    return max((*(track.id for track in result.tracks), *given), default=0) + 1


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """Return an edit as a JSON object: its name as ``edit``, and its attributes that are not None."""
    values = {field.name: getattr(edit, field.name) for field in fields(edit)}
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return {"edit": edit.name} | {key: value for key, value in values.items() if value is not None}


def edit_from_json(entry: Mapping[str, Any]) -> Edit:
    """Read what :func:`edit_to_json` returned; keys that no edit has (``time``, a comment) are left aside.

    Raises:
        InputError: If there is no such edit, or a value is missing or wrong.
    """
    kind = _KINDS.get(str(entry.get("edit")))
    if kind is None:
        raise InputError(f"There is no edit {shown(entry.get('edit'))}: there are {', '.join(_KINDS)}.")
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = entry.get(field.name)
        read = _value(field.name, value)
        if read is None and field.name != "category_id":
            raise InputError(f"The edit '{kind.name}' has {shown(value)} as its '{field.name}'.")
        values[field.name] = read
    return kind(**values)


def _value(name: str, value: object) -> object:
    """Return a value of an edit as the attribute holds it; None if it is none."""
    if name == "label":
        return value if is_text(value) else None
    if name != "track_ids":
        return whole_number(value)
    numbers = [whole_number(number) for number in value] if isinstance(value, list | tuple) else [None]
    return None if None in numbers else tuple(numbers)


def _with_tracks(result: VideoResult, *changed: Track, removed: Iterable[int] = ()) -> VideoResult:
    gone = {*removed, *(track.id for track in changed)}
    return replace(result, tracks=(*(track for track in result.tracks if track.id not in gone), *changed))


def _without(
    result: VideoResult,
    track_id: int,
    *,
    inside: tuple[int, int] | None = None,
    outside: tuple[int, int] | None = None,
) -> VideoResult:
    """Return the result without a track's masks in a stretch, or outside of one."""
    track = result.track(track_id)
    first, last = inside or outside or (0, -1)
    _check_frames(result, first, last)
    stretch, stop = track.masks[first : last + 1], len(track.masks) - last - 1
    around = track.masks[:first] + _absent(len(stretch)) + track.masks[last + 1 :]
    within = _absent(first) + stretch + _absent(stop)
    kept, dropped = (around, within) if inside else (within, around)
    where = f"{'in' if inside else 'outside of'} frames {first} to {last}"
    if not _is_visible(dropped):
        raise InputError(f"Track {track_id} has no mask {where}.")
    if not _is_visible(kept):
        raise InputError(f"Without its masks {where}, track {track_id} would have none left: delete the track instead.")
    return _with_tracks(result, replace(track, masks=kept))


def _check_frames(result: VideoResult, first: int, last: int | None = None) -> None:
    for frame in (first, first if last is None else last):
        if not 0 <= frame < len(result):
            raise InputError(f"There is no frame {frame}: '{result.name}' has frames 0 to {len(result) - 1}.")
    if last is not None and last < first:
        raise InputError(f"The stretch from frame {first} to {last} ends before it begins.")


def _check_new_id(result: VideoResult, new_id: int) -> None:
    if any(track.id == new_id for track in result.tracks) or not 1 <= new_id <= GREATEST_ID:
        raise InputError(f"{new_id} is no free track id of '{result.name}': {next_track_id(result)} is one.")


def _is_visible(masks: _Masks) -> bool:
    return any(mask is not None and mask.area > 0 for mask in masks)


def _absent(count: int) -> _Masks:
    return (None,) * count


def _mean_score(tracks: list[Track]) -> float:
    frames = [sum(mask is not None for mask in track.masks) for track in tracks]
    scores = [track.score for track in tracks]
    if not any(frames):
        return scores[0]
    mean = sum(score * count for score, count in zip(scores, frames, strict=True)) / sum(frames)
    return min(max(mean, min(scores)), max(scores))  # Exact where all are equal.


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
