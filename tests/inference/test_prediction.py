import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from genvis import InputError, VideoResult, VideoSegmenter
from genvis.cli.common.prediction_loop import PredictionLoop
from genvis.inference import jobs as prediction
from genvis.inference.jobs import RUN_FOLDER, PredictionOptions, predict_video
from genvis.inference.live_jobs import predict_live
from genvis.inference.session import Session
from genvis.results.formats import mask_pngs
from genvis.scaling.listed_videos import list_videos
from genvis.video import VideoWriter, open_source

OPTIONS = PredictionOptions(score_threshold=0, outputs=("youtube_vis", "video"), detections=6, overlaps="keep")


def segmenter_of(model, **options):
    return VideoSegmenter(model, resolution=64, **options)


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
        with pytest.raises(InputError, match="belongs to another prediction"):
            run(other, golden_frames, tmp_path, options)


def test_results_are_not_overwritten_unasked(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)
    run(segmenter, golden_frames[:2], tmp_path)
    with pytest.raises(InputError, match="--overwrite"):
        run(segmenter, golden_frames[:2], tmp_path)
    overwrite = PredictionOptions(**{**vars(OPTIONS), "overwrite": True})
    assert len(run(segmenter, golden_frames[:3], tmp_path, overwrite).result) == 3


def live(segmenter, frames, folder, *, session_file=None, options=OPTIONS, stop_after=None, on_progress=lambda _: None):
    done = []

    def count(progress):
        done.append(progress.frames)
        on_progress(progress)

    with open_source(frames) as source:
        return predict_live(
            segmenter,
            source,
            folder,
            options,
            session_file=session_file,
            on_progress=count,
            should_stop=lambda: stop_after is not None and bool(done) and done[-1] >= stop_after,
        )


def test_live_writes_as_it_goes_and_keeps_track_ids_over_files(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)
    session = tmp_path / "camera.session"
    whole = live(segmenter, golden_frames, tmp_path / "whole")
    first = live(segmenter, golden_frames[:4], tmp_path / "first", session_file=session)
    second = live(segmenter, golden_frames[4:], tmp_path / "second", session_file=session)
    assert len(whole.result.tracks) > 0
    for track in whole.result.tracks:
        halves = [half.result.track(track.id).masks for half in (first, second) if has_track(half, track.id)]
        assert [mask for half in halves for mask in half if mask] == [mask for mask in track.masks if mask]
    assert VideoResult.load(tmp_path / "first").name == first.result.name
    assert first.files.video.stat().st_size > 0
    assert "goes on with its track ids after 4 frames" in second.notes[0]


def has_track(prediction, track_id):
    return track_id in {track.id for track in prediction.result.tracks}


def test_a_live_file_that_was_interrupted_is_continued(tiny_model, golden_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "SAVE_EVERY_SECONDS", -1)
    segmenter = segmenter_of(tiny_model)
    straight = live(segmenter, golden_frames, tmp_path / "straight")

    def die(progress):
        if progress.frames == 5:
            raise MemoryError("as if killed")

    with pytest.raises(MemoryError):
        live(segmenter, golden_frames, tmp_path / "cut", on_progress=die)
    assert not (tmp_path / "cut" / "result.json").exists()
    with pytest.raises(InputError, match="holds an unfinished run"):
        live(segmenter, golden_frames, tmp_path / "cut")
    seen = []
    options = replace(OPTIONS, resume=True)
    resumed = live(
        segmenter, golden_frames, tmp_path / "cut", options=options, on_progress=lambda p: seen.append(p.frames)
    )
    assert seen[0] > 1  # Not from the beginning.
    assert content(resumed.result) == content(straight.result)
    with open_source(resumed.files.video) as video:
        assert len(list(video)) == 8


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_a_kill_between_the_two_files_of_a_live_run_shows_no_frame_twice(
    saves, tiny_model, golden_frames, tmp_path, monkeypatch
):
    monkeypatch.setattr(prediction, "SAVE_EVERY_SECONDS", -1)
    segmenter = segmenter_of(tiny_model)
    straight = live(segmenter, golden_frames, tmp_path / "straight", session_file=tmp_path / "straight.session")
    save, saved = Session.save, []

    def save_and_die(self, path):
        save(self, path)
        saved.append(path)
        if len(saved) == saves:
            raise MemoryError("as if killed")

    monkeypatch.setattr(Session, "save", save_and_die)
    with pytest.raises(MemoryError):
        live(segmenter, golden_frames, tmp_path / "cut", session_file=tmp_path / "cut.session")
    options = replace(OPTIONS, resume=True)
    resumed = live(segmenter, golden_frames, tmp_path / "cut", options=options, session_file=tmp_path / "cut.session")
    assert content(resumed.result) == content(straight.result)


def test_another_video_range_or_selection_is_never_taken_for_this_one(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    for path, frames in ((first, golden_frames), (second, golden_frames[::-1])):
        with VideoWriter(path, frame_rate=10) as writer:
            for number, frame in enumerate(frames):
                writer.write(frame, time=number / 10)

    def job(path, folder, options=OPTIONS, stop_after=None, **frames):
        with open_source(path, **frames) as source:
            done = []
            return predict_video(
                segmenter,
                source,
                folder,
                options,
                on_progress=lambda progress: done.append(progress.frames),
                on_drawing=lambda _: None,
                should_stop=lambda: stop_after is not None and done[-1] >= stop_after,
            )

    resume = replace(OPTIONS, resume=True)
    job(first, tmp_path / "cut", stop_after=3)
    for path, frames in ((second, {}), (first, {"start": 1}), (first, {"stride": 2})):
        with pytest.raises(InputError, match="belongs to another prediction"):
            job(path, tmp_path / "cut", resume, **frames)
    finished = job(first, tmp_path / "done")
    for path, options, frames in (
        (second, resume, {}),
        (first, resume, {"stop": 4}),
        (first, replace(resume, detections=2), {}),
        (first, replace(resume, score_threshold=0.5), {}),
    ):
        with pytest.raises(InputError, match="--overwrite"):
            job(path, tmp_path / "done", options, **frames)
    # Other outputs of the same result are written from it.
    more = job(first, tmp_path / "done", replace(resume, outputs=("pngs", "youtube_vis")))
    assert not more.was_there
    assert len(list(more.files.pngs.iterdir())) == 8
    assert content(more.result) == content(finished.result)
    assert job(first, tmp_path / "done", resume).was_there


def test_a_video_that_fails_leaves_its_namesake_s_folder_alone(tiny_model, golden_frames, tmp_path):
    paths = [tmp_path / folder / "ride.mp4" for folder in ("first", "second")]
    for path in paths:
        path.parent.mkdir()
    paths[0].write_bytes(b"no video")
    with VideoWriter(paths[1], frame_rate=10) as writer:
        writer.write(golden_frames[0], time=0)

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".youtube_vis.12345.part.json").write_text("[")  # What a killed run left.

    def predict_all(**options):
        console = Console(file=io.StringIO(), width=300)
        loop = PredictionLoop(
            segmenter=segmenter_of(tiny_model),
            out=tmp_path / "out",
            options=replace(OPTIONS, **options),
            console=console,
        )
        return loop.run(paths)

    assert predict_all() == 2
    first, second = (video.folder for video in list_videos(paths))
    assert first.startswith("ride-")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {second, "manifests", "youtube_vis.json"}
    shutil.copy(paths[1], paths[0])
    assert predict_all(resume=True) == 0
    for name, path in ((first, paths[0]), (second, paths[1])):
        assert str(path) in (tmp_path / "out" / name / "fingerprint.json").read_text()


def test_overwriting_leaves_nothing_of_the_run_before(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)
    run(segmenter, golden_frames, tmp_path, replace(OPTIONS, outputs=("pngs", "mots")))
    run(segmenter, golden_frames[:2], tmp_path, replace(OPTIONS, outputs=("pngs",), overwrite=True))
    assert len(list((tmp_path / "masks").iterdir())) == 2
    assert not (tmp_path / "mots.txt").exists()


@pytest.mark.parametrize("work", ["run", "live"])
def test_a_kill_while_the_unfinished_run_is_removed_loses_nothing(
    work, tiny_model, golden_frames, tmp_path, monkeypatch
):
    monkeypatch.setattr(prediction, "SAVE_EVERY_SECONDS", -1)
    segmenter, job = segmenter_of(tiny_model), {"run": run, "live": live}[work]
    remove = prediction.shutil.rmtree

    def die(path, **_):
        if Path(path).exists():
            next(Path(path).iterdir()).unlink()
            raise MemoryError("as if killed")

    monkeypatch.setattr(prediction.shutil, "rmtree", die)
    with pytest.raises(MemoryError):
        job(segmenter, golden_frames, tmp_path)
    monkeypatch.setattr(prediction.shutil, "rmtree", remove)
    assert job(segmenter, golden_frames, tmp_path, options=replace(OPTIONS, resume=True)).was_there
    assert not list(tmp_path.glob(".*"))


def test_a_kill_while_pictures_are_added_leaves_no_part_of_them(tiny_model, golden_frames, tmp_path, monkeypatch):
    segmenter = segmenter_of(tiny_model)
    run(segmenter, golden_frames, tmp_path)
    options = replace(OPTIONS, outputs=("pngs",), resume=True)
    encoded = []

    def die(*arguments, **options):
        encoded.append(1)
        if len(encoded) == 3:
            raise MemoryError("as if killed")
        write(*arguments, **options)

    write = mask_pngs.write_label_png
    monkeypatch.setattr(mask_pngs, "write_label_png", die)
    with pytest.raises(MemoryError):
        run(segmenter, golden_frames, tmp_path, options)
    monkeypatch.setattr(mask_pngs, "write_label_png", write)
    assert not run(segmenter, golden_frames, tmp_path, options).was_there
    assert len(list((tmp_path / "masks").iterdir())) == len(golden_frames)


def test_a_live_file_that_was_stopped_says_so(tiny_model, golden_frames, tmp_path):
    stopped = live(segmenter_of(tiny_model), golden_frames, tmp_path, stop_after=1)
    assert not stopped.is_complete
    assert "interrupted after 1 frames" in VideoResult.load(tmp_path).problem


def test_a_folder_in_use_is_not_shared(tiny_model, golden_frames, tmp_path):
    segmenter = segmenter_of(tiny_model)

    def second(_):
        with pytest.raises(InputError, match="Another run"):
            run(segmenter, golden_frames, tmp_path, replace(OPTIONS, resume=True))

    run(segmenter, golden_frames[:2], tmp_path, on_progress=second)


def test_a_video_without_a_frame_is_one_sentence(tiny_model, tmp_path):
    with pytest.raises(InputError, match="no frame that could be read"):
        run(segmenter_of(tiny_model), np.zeros((0, 8, 8, 3), np.uint8), tmp_path)
    run(segmenter_of(tiny_model), np.zeros((1, 8, 8, 3), np.uint8), tmp_path)  # No unfinished run is in the way.
