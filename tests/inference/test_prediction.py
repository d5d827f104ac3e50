import numpy as np
import pytest

from genvis import InputError, VideoResult, VideoSegmenter
from genvis.inference import jobs as prediction
from genvis.inference.jobs import RUN_FOLDER, PredictionOptions, predict_live, predict_video
from genvis.video import open_source

OPTIONS = PredictionOptions(score_threshold=0, outputs=("youtube_vis", "video"), detections=6)


def segmenter_of(model, **options):
    return VideoSegmenter(model, min_size=64, **options)


def run(segmenter, frames, folder, options=OPTIONS, *, stop_after=None, on_progress=lambda _: None):
    done = []

    def count(progress):
        done.append(progress.frames)
        on_progress(progress)

    with open_source(frames) as source:
        return predict_video(
            segmenter,
            source,
            folder,
            options,
            on_progress=count,
            on_drawing=lambda _: None,
            should_stop=lambda: stop_after is not None and done[-1] >= stop_after,
        )


def content(result):
    return [(track.id, track.label_id, track.score, track.masks) for track in result.tracks]


@pytest.mark.parametrize("clip_length", [1, 3])
def test_interrupted_and_resumed_is_as_if_nothing_happened(clip_length, tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model, clip_length=clip_length)
    straight = run(segmenter, golden_frames, tmp_path / "straight")
    first = run(segmenter, golden_frames, tmp_path / "cut", stop_after=3)
    assert not first.is_complete
    assert "--resume" in first.result.problem
    assert len(first.result) == 3
    assert first.files.video.exists()
    options = PredictionOptions(**{**vars(OPTIONS), "resume": True})
    fresh = segmenter_of(tiny_model, clip_length=clip_length)
    second = run(fresh, golden_frames, tmp_path / "cut", options)
    assert second.is_complete
    assert content(second.result) == content(straight.result)
    assert not (tmp_path / "cut" / RUN_FOLDER).exists()
    third = run(fresh, golden_frames, tmp_path / "cut", options)
    assert third.was_there
    assert content(third.result) == content(straight.result)


def test_a_killed_run_continues_from_what_was_kept(tiny_model, golden_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "SAVE_EVERY_SECONDS", -1)
    segmenter = segmenter_of(tiny_model)

    def die(progress):
        if progress.frames == 6:
            raise MemoryError("as if killed")

    with pytest.raises(MemoryError):
        run(segmenter, golden_frames, tmp_path / "cut", on_progress=die)
    options = PredictionOptions(**{**vars(OPTIONS), "resume": True})
    seen = []
    resumed = run(segmenter, golden_frames, tmp_path / "cut", options, on_progress=lambda p: seen.append(p.frames))
    assert 1 < seen[0] <= 6  # Not from the beginning.
    assert seen == list(range(seen[0], 9))
    straight = run(segmenter, golden_frames, tmp_path / "straight")
    assert content(resumed.result) == content(straight.result)


def test_other_settings_or_weights_do_not_continue_a_run(tiny_models, golden_frames, tmp_path):
    run(segmenter_of(tiny_models["r50"]), golden_frames, tmp_path, stop_after=2)
    options = PredictionOptions(**{**vars(OPTIONS), "resume": True})
    for other in (segmenter_of(tiny_models["r50"], clip_length=2), segmenter_of(tiny_models["swin"])):
        with pytest.raises(InputError, match="other settings"):
            run(other, golden_frames, tmp_path, options)


def test_results_are_not_overwritten_unasked(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)
    run(segmenter, golden_frames[:2], tmp_path)
    with pytest.raises(InputError, match="--overwrite"):
        run(segmenter, golden_frames[:2], tmp_path)
    overwrite = PredictionOptions(**{**vars(OPTIONS), "overwrite": True})
    assert len(run(segmenter, golden_frames[:3], tmp_path, overwrite).result) == 3


def test_live_writes_as_it_goes_and_keeps_identities_over_files(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)

    def live(frames, folder, session):
        with open_source(frames) as source:
            return predict_live(
                segmenter,
                source,
                folder,
                OPTIONS,
                session=session,
                on_progress=lambda _: None,
                should_stop=lambda: False,
            )

    def session():
        return segmenter.open_session(score_threshold=0, presence_threshold=0)

    whole = live(golden_frames, tmp_path / "whole", session())
    hours = session()
    first = live(golden_frames[:4], tmp_path / "first", hours)
    second = live(golden_frames[4:], tmp_path / "second", hours)
    for track in whole.result.tracks:
        halves = first.result.track(track.id).masks + second.result.track(track.id).masks
        assert halves == track.masks
    assert VideoResult.load(tmp_path / "first").name == first.result.name
    assert first.files.video.stat().st_size > 0


def test_a_video_without_a_frame_is_one_sentence(tiny_model, tmp_path):
    with pytest.raises(InputError, match="no frame that could be read"):
        run(segmenter_of(tiny_model), np.zeros((0, 8, 8, 3), np.uint8), tmp_path)
