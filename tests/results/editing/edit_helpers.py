"""Edits that fit a result, drawn by hypothesis."""

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from genvis.results.editing.edits import (
    DeleteFrames,
    DeleteTrack,
    Edit,
    MergeTracks,
    SetCategory,
    SplitTrack,
    SwapTracks,
    TrimTrack,
    next_track_id,
)
from genvis.results.types import VideoResult

KINDS = (MergeTracks, SplitTrack, SwapTracks, SetCategory, DeleteTrack, DeleteFrames, TrimTrack)


@st.composite
def edits_of(draw: DrawFn, result: VideoResult, *, new_id: int | None = None) -> Edit:
    """An edit of tracks and frames that exist; it may still not fit them."""
    ids = st.sampled_from([track.id for track in result.tracks])
    frames = st.integers(0, len(result) - 1)
    kind = draw(st.sampled_from(KINDS))
    track_id = draw(ids)
    first, last = sorted((draw(frames), draw(frames)))
    if kind is MergeTracks:
        return MergeTracks(track_ids=tuple(draw(st.lists(ids, min_size=1, max_size=3))))
    if kind is SplitTrack:
        return SplitTrack(track_id=track_id, frame=first, new_id=new_id or next_track_id(result))
    if kind is SwapTracks:
        return SwapTracks(first_id=track_id, second_id=draw(ids), frame=first)
    if kind is SetCategory:
        return SetCategory(track_id=track_id, label=draw(st.sampled_from(["Person", "Cat", "giant panda"])))
    if kind is DeleteTrack:
        return DeleteTrack(track_id=track_id)
    return kind(track_id=track_id, first=first, last=last)
