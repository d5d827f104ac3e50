"""The archive of track ids in sessions and whole videos: when it is on, and that it is saved with them."""

from typing import Any

import pytest

from genvis import InputError, VideoSegmenter
from genvis.inference.segmenter import SESSION_MEMORY_CLIPS
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions
from genvis.inference.trackers.memory_matching import MemoryMatching
from genvis.inference.trackers.slot_archive import ArchivedSlots
from genvis.video import Frame

OFF = ArchiveOptions(size=0)
# A random network knows no objects: with these, tracks go to the archive and come back all the time.
EAGER = ArchiveOptions(absent_frames=1, split_below=0.999, match_threshold=0.5, margin=0.0, confirmed_after=0)
NEVER = ArchiveOptions(absent_frames=1000, split_below=-1.0)
MATCHING = MemoryMatchingOptions(
    detection_threshold=0, birth_score=0, nms_iou=1, match_threshold=1.2, keep_frames=0, keep_unconfirmed=0
)


def segmenter_of(model: Any, tracker: Any = None, archive: ArchiveOptions | None = None) -> VideoSegmenter:
    matching = MATCHING if tracker == "memory" else None
    return VideoSegmenter(model, tracker=tracker, matching=matching, archive=archive, resolution=64)


def opened(segmenter: VideoSegmenter, **options: Any) -> Any:
    return segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep", **options)


def seen(results: Any) -> list[list[tuple[Any, ...]]]:
    return [[(one.id, one.label_id, one.score, one.mask.tobytes()) for one in result] for result in results]


def test_sessions_have_an_archive_and_whole_videos_have_none(tiny_model):
    segmenter = segmenter_of(tiny_model)
    assert not isinstance(segmenter.tracker, ArchivedSlots)
    assert "archive" not in segmenter.settings()
    endless = segmenter.for_endless_streams(SESSION_MEMORY_CLIPS)
    assert isinstance(endless.tracker, ArchivedSlots)
    assert endless.tracker.options == endless.archive == ArchiveOptions()
    assert endless.settings()["archive"]["size"] == 1000
    assert not isinstance(segmenter_of(tiny_model, archive=OFF).for_endless_streams(9).tracker, ArchivedSlots)
    assert isinstance(segmenter_of(tiny_model, archive=NEVER).tracker, ArchivedSlots)
    memory = segmenter_of(tiny_model, "memory").for_endless_streams(9).tracker
    assert isinstance(memory, MemoryMatching)
    assert memory.archive == ArchiveOptions()


def test_other_trackers_have_no_archive(tiny_model):
    with pytest.raises(InputError, match="An archive is for the trackers 'propagation' and 'memory', not 'queries'"):
        segmenter_of(tiny_model, "queries", ArchiveOptions())
    assert segmenter_of(tiny_model, "queries").for_endless_streams(9).archive is None
    assert segmenter_of(tiny_model, "queries", OFF).tracker is not None


def test_without_archived_tracks_nothing_changes(tiny_model, golden_frames):
    plain, archived = (segmenter_of(tiny_model, archive=archive) for archive in (OFF, NEVER))
    left, right = (seen(one.segment_stream(golden_frames, session=opened(one))) for one in (plain, archived))
    assert left == right
    whole, other = (one.segment(golden_frames, detections=60, overlaps="keep") for one in (plain, archived))
    assert seen(whole.frame(position) for position in range(8)) == seen(other.frame(position) for position in range(8))


@pytest.mark.parametrize("tracker", ["propagation", "memory"])
@pytest.mark.parametrize("cut", [1, 5])
def test_a_session_with_archived_tracks_continues_exactly(tracker, cut, tiny_model, golden_frames, tmp_path):
    segmenter, file = segmenter_of(tiny_model, tracker, EAGER), tmp_path / "camera.session"
    expected = seen(segmenter.segment_stream(golden_frames, session=opened(segmenter)))
    assert max(one[0] for result in expected for one in result) > 8  # More ids than queries.
    first = opened(segmenter)
    before = seen(map(first.step, golden_frames[:cut]))
    first.save(file)
    second = opened(segmenter_of(tiny_model, tracker, EAGER), resume=file)
    assert before + seen(map(second.step, golden_frames[cut:])) == expected
    for other in (OFF, NEVER, None):
        with pytest.raises(InputError, match=r"belongs to another session.*archive"):
            opened(segmenter_of(tiny_model, tracker, other), resume=file)


@pytest.mark.parametrize("tracker", ["propagation", "memory"])
def test_a_whole_video_has_more_tracks_than_queries_and_is_resumed(tracker, tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model, tracker, EAGER)
    whole = segmenter.segment(golden_frames, overlaps="keep", presence_threshold=0)
    assert len(whole.tracks) > 8
    frames = [Frame(image, index, index / 24, f"{index:05d}") for index, image in enumerate(golden_frames)]
    for part in (frames[:4], frames[4:]):
        run = segmenter.start(name=whole.name, overlaps="keep", presence_threshold=0, folder=tmp_path)
        assert run.restore(remedy="none") == (part[0].index > 0)
        for frame in part:
            run.add([frame])
        run.save()
        result = run.result(segmenter.selection(one_label_each=False))
        run.close()
    assert seen(map(result.frame, range(8))) == seen(map(whole.frame, range(8)))


def test_with_an_archive_as_many_more_tracks_are_selected(tiny_model):
    number = tiny_model.config.detections_per_video
    assert segmenter_of(tiny_model).selection().detections == number
    assert segmenter_of(tiny_model, archive=OFF).selection().detections == number
    assert segmenter_of(tiny_model, archive=ArchiveOptions(size=300)).selection().detections == number + 300
    assert segmenter_of(tiny_model, archive=ArchiveOptions()).selection(detections=5).detections == 5
