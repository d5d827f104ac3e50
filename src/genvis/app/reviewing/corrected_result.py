"""A result as it is being corrected: which masks every track has now, and the log of the edits."""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from genvis.app.reviewing.mask_index import MaskIndex, runs_of
from genvis.errors import GenVISError
from genvis.masks import RLEMask
from genvis.results.editing.edit_log import EDITS_FILE, EditLog
from genvis.results.editing.edits import Edit, category_choices, edit_to_json
from genvis.results.types import Track, VideoResult

# Masks that are loaded in a quarter of a second; of more, the page is not slowed down before they are needed.
MOST_WARM = 100_000

Part = tuple[int, int, int]
"""Row of masks, first position, and the position after the last."""


class CorrectedResult:
    """One result that is open in the page.

    The page is told of every track which *rows* of masks it shows in which frames: rows of the original result, whose
    masks never change and are fetched once, and rows of masks that edits made (the union of two that were merged).
    Edits therefore move no masks. The whole result is loaded when the first edit is made, or is there already.

    May be used from several threads.

    Args:
        index: Of the result.
        result_file: Its ``result.json``; the log lies beside it.
    """

    def __init__(self, index: MaskIndex, result_file: Path) -> None:
        self.index = index
        self._result_file = result_file
        self._empty = RLEMask.encode(np.zeros((index.height, index.width), np.bool_)).counts
        # Rows that edits made are numbered anew by the next server.
        self._epoch = secrets.token_hex(4)
        self._lock = Lock()
        self._log: EditLog | None = None
        self._rows: list[tuple[RLEMask | None, ...]] = []
        self._made: dict[int, dict[int, RLEMask]] = {}
        self._parts: dict[int, tuple[Track, list[Part]]] = {}

    def masks(self, first: int, stop: int) -> list[list[tuple[int, str]]]:
        """Return the masks of a stretch of frames: for each, the row and the counts of the RLE."""
        made = dict(self._made)
        frames = []
        for position in range(max(0, first), min(stop, len(self.index))):
            own = [(row, counts.decode("ascii")) for row, counts in self.index.frame(position) if counts != self._empty]
            own += [(row, kept[position].counts.decode("ascii")) for row, kept in made.items() if position in kept]
            frames.append(own)
        return frames

    def state(self) -> dict[str, Any]:
        """Return the tracks as they are now, and what can be undone."""
        with self._lock:
            if self._log is None and not self._result_file.with_name(EDITS_FILE).exists():
                tracks = [
                    {
                        "id": track.id,
                        "label": track.label,
                        "category_id": track.category_id,
                        "score": track.score,
                        "parts": [(row, first, stop) for first, stop in track.runs],
                    }
                    for row, track in enumerate(self.index.tracks)
                ]
                return {"tracks": tracks, "edits": [], "undone": [], "made": "0"}
            return self._state(self._loaded())

    def categories(self) -> list[str]:
        """Return the names of the classes that a track can be given."""
        without_masks = VideoResult(
            name=self.index.name,
            height=self.index.height,
            width=self.index.width,
            frames=(),
            tracks=tuple(
                Track(each.id, each.label, each.label_id, each.category_id, each.score, masks=())
                for each in self.index.tracks
            ),
            categories_name=self.index.categories_name,
        )
        return [choice.label for choice in category_choices(without_masks)]

    def edit(self, edit: Edit) -> dict[str, Any]:
        """Apply an edit, write it down, and return the state.

        Raises:
            InputError: If it does not fit; nothing changes then.
            OutputError: If it cannot be written.
        """
        with self._lock:
            log = self._loaded()
            before = log.result
            self._look_at(before, log.append(edit))
            return self._state(log)

    def next_id(self) -> int:
        """Return the id for the new track of a split, one that was never used."""
        with self._lock:
            return self._loaded().next_id

    def undo(self) -> dict[str, Any]:
        """Take the last edit back: see `EditLog.undo`."""
        with self._lock:
            log = self._loaded()
            log.undo()
            return self._state(log)

    def redo(self) -> dict[str, Any]:
        """Bring back the edit that was undone last: see `EditLog.redo`."""
        with self._lock:
            log = self._loaded()
            before = log.result
            self._look_at(before, log.redo())
            return self._state(log)

    def warm(self) -> None:
        """Load the whole result, so that the first edit need not wait for it, unless that takes more than a moment.

        What is wrong with it that edit says.
        """
        if self.index.mask_count > MOST_WARM:
            return
        with self._lock, suppress(GenVISError):
            self._loaded()

    def _loaded(self) -> EditLog:
        if self._log is None:
            log = EditLog(self._result_file, original=self.index.result())
            self._rows = [track.masks for track in log.original.tracks]
            for row, track in enumerate(log.original.tracks):
                parts = [(row, first, stop) for first, stop in self.index.tracks[row].runs]
                self._parts[id(track)] = (track, parts)
            if any(id(track) not in self._parts for track in log.result.tracks):
                self._find_parts(log.result.tracks, range(len(self._rows)))
            self._log = log
        return self._log

    def _look_at(self, before: VideoResult, after: VideoResult) -> None:
        """Find the parts of the tracks that an edit changed; they are made of parts of those that it replaced."""
        kept = {id(track) for track in after.tracks}
        rows = {row for track in before.tracks if id(track) not in kept for row, _, _ in self._parts[id(track)][1]}
        self._find_parts(after.tracks, rows)

    def _find_parts(self, tracks: Iterable[Track], rows: Iterable[int]) -> None:
        """Find where the masks of new tracks come from, by identity: edits hand masks on as they are."""
        rows = sorted(rows)
        known = {id(mask): place for place, row in enumerate(rows) for mask in self._masks_of(row) if mask is not None}
        for track in tracks:
            if id(track) in self._parts:
                continue
            made = {}
            places = np.full(len(track.masks), -1, np.int64)
            for position, mask in enumerate(track.masks):
                if mask is None or mask.counts == self._empty:
                    continue
                places[position] = known.get(id(mask), -1)
                if places[position] < 0:
                    made[position] = mask
            parts = [(row, first, stop) for place, row in enumerate(rows) for first, stop in runs_of(places == place)]
            if made:
                row = len(self._rows) + len(self._made)
                self._made[row] = made
                flags = np.zeros(len(track.masks), np.bool_)
                flags[list(made)] = True
                parts += [(row, first, stop) for first, stop in runs_of(flags)]
            self._parts[id(track)] = (track, sorted(parts, key=lambda part: part[1]))

    def _masks_of(self, row: int) -> Iterable[RLEMask | None]:
        return self._rows[row] if row < len(self._rows) else self._made[row].values()

    def _state(self, log: EditLog) -> dict[str, Any]:
        tracks = [
            {
                "id": track.id,
                "label": track.label,
                "category_id": track.category_id,
                "score": track.score,
                "parts": self._parts[id(track)][1],
            }
            for track in log.result.tracks
        ]
        return {
            "tracks": tracks,
            "edits": [{**edit_to_json(edit), "words": str(edit)} for edit in log.edits],
            "undone": [str(edit) for edit in log.undone],
            "made": f"{len(self._made)}-{self._epoch}" if self._made else "0",
        }
