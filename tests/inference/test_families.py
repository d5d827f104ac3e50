"""Every family of pretrained models through the whole way: command, live, interrupted, saved, evaluated."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import genvis
from genvis import VideoResult, VideoSegmenter
from genvis.cli.main import main
from genvis.inference import jobs
from genvis.inference.live_jobs import predict_live
from genvis.inference.trackers.matching_options import ArchiveOptions
from genvis.video import VideoWriter, open_source
from tests.checkpoints.hub_server import cache_by_hand
from tests.tiny_families import FAMILIES, save_tiny_family

FRAMES = 6
ANYTHING = ("--score-threshold", "0", "--outputs", "youtube_vis")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {family: save_tiny_family(root / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A bright square that moves over noise."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 90, (72, 100, 3), np.uint8)
    with VideoWriter(path, frame_rate=10) as writer:
        for number in range(FRAMES):
            frame = noise.copy()
            frame[20:50, 10 + 8 * number : 40 + 8 * number] = 220
            writer.write(frame, time=number / 10)
    return path


def content(result):
    return [(track.id, track.label_id, track.score, track.masks) for track in result.tracks]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_video_in_one_command_whole_and_live(family, folders, film, tmp_path):
    words = ["predict", str(film), "--weights", str(folders[family]), *ANYTHING]
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    assert main([*words, "-o", str(tmp_path / "live"), "--live", "--session", str(tmp_path / "session")]) == 0
    for way in ("whole", "live"):
        result = VideoResult.load(tmp_path / way / "film")
        assert len(result) == FRAMES
        assert result.tracks
        assert all(frame.masks().sum(axis=0).max(initial=0) <= 1 for frame in result)
    assert (tmp_path / "session").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_interrupted_and_resumed_is_as_if_nothing_had_happened(family, folders, film, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "SAVE_EVERY_SECONDS", -1)
    segmenter = VideoSegmenter(folders[family])
    options = partial(jobs.PredictionOptions, score_threshold=0, outputs=("youtube_vis",))

    def job(folder, *, live=False, resume=False, die_at=None):
        def watch(progress):
            if progress.frames == die_at:
                raise MemoryError("as if killed")

        work = predict_live if live else partial(jobs.predict_video, on_drawing=lambda _: None)
        with open_source(film) as source:
            return work(
                segmenter,
                source,
                folder,
                options(resume=resume),
                on_progress=watch,
                should_stop=lambda: False,
            )

    for live in (False, True):
        straight = job(tmp_path / f"straight-{live}", live=live)
        with pytest.raises(MemoryError):
            job(tmp_path / f"cut-{live}", live=live, die_at=4)
        resumed = job(tmp_path / f"cut-{live}", live=live, resume=True)
        assert content(resumed.result) == content(straight.result)


@pytest.mark.parametrize("family", FAMILIES)
def test_frame_by_frame_in_clips_and_over_a_saved_session(family, folders, film, tmp_path):
    segmenter = VideoSegmenter(folders[family])
    with open_source(film) as source:
        frames = list(source)

    def answers(*, cut=None, clip=1):
        session = segmenter.open_session(score_threshold=0, presence_threshold=0)
        found = []
        for start in range(0, FRAMES, clip):
            if start == cut:
                session.save(tmp_path / "session")
                session = segmenter.open_session(score_threshold=0, presence_threshold=0, resume=tmp_path / "session")
            found += session.step_clip(frames[start : start + clip])
        return [[(one.id, one.label_id, one.mask.tobytes()) for one in frame] for frame in found]

    straight = answers()
    assert any(straight)
    assert answers(cut=3) == straight
    if family == "videomt":  # Frames are propagated one by one, however they are grouped: only scores so far differ.
        masks = [{mask for _, _, mask in frame} for frame in straight]
        assert [{mask for _, _, mask in frame} for frame in answers(clip=3)][-1] == masks[-1]


def test_a_model_of_the_hub_cache_without_a_network(film, tmp_path, monkeypatch):
    cache_by_hand(tmp_path / "hub", "someone/tiny-videomt", save_tiny_family(tmp_path / "model", "videomt"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = ["predict", str(film), "--weights", "someone/tiny-videomt", *ANYTHING, "-o", str(tmp_path / "out")]
    assert main(words) == 0
    by_name, by_folder = genvis.load("someone/tiny-videomt"), genvis.load(tmp_path / "model")
    assert all((one == other).all() for one, other in zip(by_name.parameters(), by_folder.parameters(), strict=True))


def test_memory_and_state_of_a_stream_do_not_grow(folders, film):
    """Of the two trackers for streams without an end."""
    with open_source(film) as source:
        frames = [frame.image for frame in source]
    for family in ("videomt", "eomt"):
        segmenter = VideoSegmenter(folders[family], archive=ArchiveOptions(size=2))
        session = segmenter.open_session(score_threshold=0)
        sizes = []
        for number in range(60):
            session.step(frames[number % FRAMES])
            state = session._setup.tracker.state_tensors(session._state)
            sizes.append(sum(tensor.nbytes for tensor in state.values()))
        assert max(sizes[30:]) <= max(sizes[:30])


def sprites(folder: Path) -> Path:
    words = ["data", "sprites", str(folder), "--videos", "2", "--length", "3", "--height", "64", "--width", "96"]
    assert main(words) == 0
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluation(family, tmp_path):
    data = sprites(tmp_path / "data")
    names = {0: "horse", 1: "Cat", 2: "bird"}
    model = save_tiny_family(tmp_path / "model", family, id2label=names)
    words = ["eval", "--weights", str(model), "--annotations", str(data / "annotations.json")]
    assert main([*words, "--images", str(data / "frames"), "-o", str(tmp_path / "report"), "--no-errors"]) == 0
    assert (tmp_path / "report" / "results.json").stat().st_size > 2
