"""Track ids: a tracker's own number of a track is internal; an id is the number that users see."""

from collections.abc import Iterable

from genvis.errors import InputError


class TrackIds:
    """Ids of the tracks of one video, from 1 in the order in which tracks are first reported.

    An id is never given to a second track.

    Args:
        pairs: (tracker's number, id) of an earlier part of the video.
        last: The greatest id that was given in it.

    Raises:
        InputError: If an id is given twice, or is beyond the last.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]] = (), *, last: int = 0) -> None:
        self._ids = dict(pairs)
        self._last = last
        given = self._ids.values()
        if len(set(given)) != len(given) or not all(1 <= track_id <= last for track_id in given):
            raise InputError(f"Its track ids are not different ones from 1 to {last}.")

    def __len__(self) -> int:
        """Return how many ids were given, which is the greatest of them."""
        return self._last

    def id_of(self, number: int) -> int:
        """Return the id of a tracker's number; a new one if it has none."""
        if number not in self._ids:
            self._last += 1
            self._ids[number] = self._last
        return self._ids[number]

    def pairs(self) -> list[tuple[int, int]]:
        """Return (tracker's number, id) of all tracks, to be saved."""
        return list(self._ids.items())

    def keep(self, numbers: set[int]) -> None:
        """Forget the tracker's other numbers, which will not come back; their ids stay taken."""
        self._ids = {number: track_id for number, track_id in self._ids.items() if number in numbers}
