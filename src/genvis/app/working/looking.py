"""Doubtful places and likely merges of a corrected result, in the order in which a person goes through them."""

from pathlib import Path
from typing import Any

from genvis.app.working.take_along import corrected
from genvis.results.editing.appearance import edited_appearance, load_appearance
from genvis.results.editing.edits import DeleteTrack, Edit, MergeTracks, SplitTrack, edit_to_json
from genvis.results.editing.merge_suggestions import MergeSuggestion, suggest_merges
from genvis.results.editing.review import Doubt, DoubtKind, doubtful_places
from genvis.results.types import VideoResult

MOST_PLACES = 400
TITLES: dict[DoubtKind, str] = {
    "position": "Jump",
    "area": "Jump of size",
    "look": "Other look",
    "score": "Low score",
    "short": "Short life",
    "duplicate": "Two at one place",
    "class": "Two classes at one place",
}


def places_to_look_at(result_file: Path, index_folder: Path) -> list[dict[str, Any]]:
    """Return the places, the most doubtful first, each with the edit that would put it right where there is one.

    Args:
        result_file: The original result; its log of edits lies beside it.
        index_folder: Where its index lies, or is made.
    """
    log = corrected(result_file, index_folder)
    looks = load_appearance(result_file)
    appearance = None if looks is None else edited_appearance(looks, log.edits)
    found = [
        *(
            (doubt.severity, _of_doubt(doubt, log.result, log.next_id))
            for doubt in doubtful_places(log.result, appearance)
        ),
        *((one.score, _of_merge(one)) for one in suggest_merges(log.result, appearance)),
    ]
    found.sort(key=lambda entry: (-entry[0], entry[1]["frame"]))
    return [place for _, place in found[:MOST_PLACES]]


def _of_merge(one: MergeSuggestion) -> dict[str, Any]:
    edit = MergeTracks(track_ids=(one.first_id, one.second_id))
    return {
        "kind": "merge",
        "title": "Same object?",
        "words": f"Track {one.first_id} ends at frame {one.last}, {one.second_id} begins at {one.first}: {one.reason}.",
        "track_ids": [one.first_id, one.second_id],
        "frame": one.first,
        "edit": edit_to_json(edit),
    }


def _of_doubt(doubt: Doubt, result: VideoResult, next_id: int) -> dict[str, Any]:
    entry = edit_to_json(_remedy(doubt, result, next_id))
    entry.pop("new_id", None)  # The next free one at the time when it is split.
    numbers = f"Track{'s' * (len(doubt.track_ids) > 1)} {' and '.join(map(str, doubt.track_ids))}"
    return {
        "kind": doubt.kind,
        "title": TITLES[doubt.kind],
        "words": f"{numbers} {doubt.reason}.",
        "track_ids": list(doubt.track_ids),
        "frame": doubt.last if doubt.kind in ("position", "area", "look") else doubt.first,
        "edit": entry,
    }


def _remedy(doubt: Doubt, result: VideoResult, next_id: int) -> Edit:
    """Return the edit that puts a place right if it is wrong."""
    if doubt.kind in ("position", "area", "look"):
        return SplitTrack(track_id=doubt.track_ids[0], frame=doubt.last, new_id=next_id)
    if doubt.kind in ("score", "short"):
        return DeleteTrack(track_id=doubt.track_ids[0])
    worse = min(doubt.track_ids, key=lambda number: (result.track(number).score, -number))
    return DeleteTrack(track_id=worse)
