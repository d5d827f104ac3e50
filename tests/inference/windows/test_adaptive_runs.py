"""Adaptive clips in sessions and whole videos: the fixed ones within a scene, and scenes like videos of their own."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis import InputError, VideoSegmenter
from genvis.checkpoints.load import load
from genvis.inference.jobs import PredictionOptions, predict_video
from genvis.inference.live_jobs import predict_live
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions
from genvis.inference.trackers.memory_matching import MemoryMatching
from genvis.inference.windows.scene_tracking import SceneTracking
from genvis.video import open_source
from tests.tiny_families import save_tiny_family

OPTIONS = PredictionOptions(score_threshold=0, outputs=(), detections=6, overlaps="keep")
WEAK_DETECTIONS = MemoryMatchingOptions(detection_threshold=0.01, birth_score=0.01)  # Of a network with random weights.
NO_ARCHIVE = ArchiveOptions(size=0)
TRACKERS = ("propagation", "memory", "queries", "clip_queries", "videomt")


@pytest.fixture(scope="module")
def models(tiny_models, tmp_path_factory):
    videomt = load(save_tiny_family(tmp_path_factory.mktemp("videomt"), "videomt"))
    return {name: videomt if name == "videomt" else tiny_models["r50"] for name in TRACKERS}


def segmenter_of(models, tracker="propagation", longest=3, **options):
    how = options or {"clip_length": "auto", "longest_clip": longest}
    name = "propagation" if tracker == "videomt" else tracker
    if tracker == "memory":
        how["matching"] = WEAK_DETECTIONS
    return VideoSegmenter(models[tracker], resolution=64, tracker=name, **how)


def open_all(segmenter, **options):
    return segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep", **options)


def seen(results):
    return [[(one.id, one.label_id, one.score, one.mask.tobytes()) for one in result] for result in results]


def content(result):
    return [(track.id, track.label_id, track.score, track.masks) for track in result.tracks]


@settings(max_examples=12, deadline=None)
@given(tracker=st.sampled_from(TRACKERS), longest=st.sampled_from([1, 2, 3, 5, 7]), frames=st.integers(1, 8))
def test_in_one_scene_adaptive_clips_are_the_fixed_ones(tracker, longest, frames, models, golden_frames):
    adaptive = segmenter_of(models, tracker, longest)
    fixed = segmenter_of(models, tracker, clip_length=longest)
    results = [seen(one.segment_stream(golden_frames[:frames], session=open_all(one))) for one in (adaptive, fixed)]
    assert results[0] == results[1]
    assert content(adaptive.segment(golden_frames[:frames])) == content(fixed.segment(golden_frames[:frames]))


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("overlaps", ["keep", "resolve"])
def test_scenes_are_segmented_like_videos_of_their_own(tracker, overlaps, models, two_scenes):
    segmenter = segmenter_of(models, tracker)
    joined = segmenter.segment(two_scenes, overlaps=overlaps)
    first, second = (segmenter.segment(part, overlaps=overlaps) for part in (two_scenes[:5], two_scenes[5:]))
    parts = [
        (track.label_id, track.score, (*[None] * before, *track.masks, *[None] * (5 - before)))
        for before, result in ((0, first), (5, second))
        for track in result.tracks
    ]

    def ordered(tracks):
        return sorted(tracks, key=repr)

    assert ordered(parts) == ordered((track.label_id, track.score, track.masks) for track in joined.tracks)
    assert len({track.id for track in joined.tracks}) == len(joined.tracks) > 0


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_session_gives_new_ids_after_a_cut_and_forgets_the_scene(tracker, models, two_scenes):
    """Without an archive, which may find tracks of earlier scenes again."""
    session = open_all(segmenter_of(models, tracker, clip_length="auto", longest_clip=3, archive=NO_ARCHIVE))
    results = list(segmenter_of(models, tracker).segment_stream(two_scenes, session=session))
    before, after = ({one.id for result in part for one in result} for part in (results[:5], results[5:]))
    assert before
    assert after
    assert max(before) < min(after)
    remembered = len(session._scores.track_ids)
    for _ in range(3):
        list(segmenter_of(models, tracker).segment_stream(two_scenes, session=session))
    assert len(session._scores.track_ids) <= 2 * remembered  # Of four more scenes none is kept but the last.


def test_an_archive_finds_the_tracks_of_an_earlier_scene(models, two_scenes):
    """The scenes of a video that is played again: memory matching has their tracks in its archive."""
    alike = ArchiveOptions(confirmed_after=1, match_threshold=0.9, margin=0.0)
    segmenter = segmenter_of(models, "memory", clip_length="auto", longest_clip=3, archive=alike)
    session = open_all(segmenter)
    first = {one.id for frame in two_scenes for one in session.step(frame)}
    again = {one.id for frame in two_scenes for one in session.step(frame)}
    assert first
    assert first & again


@settings(max_examples=10, deadline=None)
@given(tracker=st.sampled_from(TRACKERS), longest=st.integers(1, 4), saved_after=st.integers(1, 9))
def test_a_session_saved_anywhere_continues_exactly(request, tracker, longest, saved_after):
    models, two_scenes, tmp_path_factory = map(request.getfixturevalue, ("models", "two_scenes", "tmp_path_factory"))
    segmenter = segmenter_of(models, tracker, longest)
    whole = open_all(segmenter)
    expected = [whole.step(frame) for frame in two_scenes]
    file = tmp_path_factory.mktemp("session") / "camera.session"
    first = open_all(segmenter)
    before = [first.step(frame) for frame in two_scenes[:saved_after]]
    first.save(file)
    second = open_all(segmenter_of(models, tracker, longest), resume=file)
    after = [second.step(frame) for frame in two_scenes[saved_after:]]
    assert seen(before + after) == seen(expected)
    assert second.objects == whole.objects


@pytest.fixture(scope="module")
def run(models, two_scenes):
    def run(tracker, live, folder, *, resume=False, stop=None):
        done = []
        with open_source(two_scenes) as source:
            return (predict_live if live else predict_video)(
                segmenter_of(models, tracker),
                source,
                folder,
                PredictionOptions(**{**vars(OPTIONS), "resume": resume}),
                on_progress=lambda progress: done.append(progress.frames),
                should_stop=lambda: stop is not None and bool(done) and done[-1] >= stop,
                **({} if live else {"on_drawing": lambda _: None}),
            )

    return run


@pytest.fixture(scope="module")
def straight(run, tmp_path_factory):
    """Results of runs without an interruption, by tracker and whether they are live."""
    return cache(lambda tracker, live: run(tracker, live, tmp_path_factory.mktemp("straight")).result)


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize(("live", "stopped_after"), [(False, 3), (False, 5), (False, 8), (True, 3), (True, 5)])
def test_an_interrupted_run_is_resumed_as_if_nothing_happened(run, straight, tmp_path, *, tracker, live, stopped_after):
    stopped = run(tracker, live, tmp_path, stop=stopped_after)
    assert len(stopped.result) == stopped_after
    resumed = run(tracker, live, tmp_path, resume=True)
    assert resumed.is_complete
    assert content(resumed.result) == content(straight(tracker, live))


@settings(max_examples=10, deadline=None)
@given(longest=st.integers(1, 5), changed=st.integers(1, 9))
def test_no_answer_waits_for_or_depends_on_more_than_the_bound(longest, changed, models, two_scenes):
    segmenter = segmenter_of(models, longest=longest)
    taken = []

    def arriving(frames):
        for place, frame in enumerate(frames):
            taken.append(place)
            yield frame

    answers = []
    for place, result in enumerate(segmenter.segment_stream(arriving(two_scenes), session=open_all(segmenter))):
        assert place <= taken[-1] <= place + longest - 1
        answers.append(result)
    other = two_scenes.copy()
    other[changed:] = np.random.default_rng(0).integers(0, 256, other[changed:].shape, dtype=np.uint8)
    others = list(segmenter.segment_stream(other, session=open_all(segmenter)))
    sure = max(0, changed - longest + 1)
    assert seen(answers)[:sure] == seen(others)[:sure]


def test_a_tracker_that_can_find_tracks_again_keeps_its_numbers(models, two_scenes):
    class Finds(MemoryMatching):
        def cut(self, state):
            return state

    segmenter = segmenter_of(models, "memory", clip_length="auto", longest_clip=3, archive=NO_ARCHIVE)
    segmenter.tracker = SceneTracking(Finds(models["memory"].detector, WEAK_DETECTIONS))
    plain = segmenter_of(models, "memory", clip_length=1)
    found, expected = (open_all(one) for one in (segmenter, plain))
    assert seen(found.step(frame) for frame in two_scenes) == seen(expected.step(frame) for frame in two_scenes)


def test_wrong_lengths_are_refused(tiny_model):
    for options, sentence in (
        ({"clip_length": "auto", "longest_clip": 0}, "longest_clip is 0; it must be at least 1"),
        ({"clip_length": 3, "longest_clip": 5}, "longest_clip is for clips that adapt"),
        ({"longest_clip": 5}, "longest_clip is for clips that adapt"),
        ({"clip_length": "auto", "tracker": "offline"}, "sees the whole video as one clip"),
    ):
        with pytest.raises(InputError, match=sentence):
            VideoSegmenter(tiny_model, **options)


def test_a_run_of_fixed_clips_is_not_continued_with_adaptive_ones(models, two_scenes, tmp_path):
    session = open_all(segmenter_of(models, clip_length=3))
    session.step(two_scenes[0])
    session.save(tmp_path / "s")
    with pytest.raises(InputError, match="clip"):
        open_all(segmenter_of(models, longest=3), resume=tmp_path / "s")
