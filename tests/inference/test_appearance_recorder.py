import json
from pathlib import Path

import numpy as np
import pytest
import torch

from genvis.checkpoints.load import load_genvis
from genvis.cli.main import main
from genvis.data.sprites import SpriteVideos, render
from genvis.errors import InputError
from genvis.inference.appearance_recorder import MOST_SAMPLES, SAMPLE, AppearanceRecorder
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.trackers.choose import TrackerName
from genvis.model.genvis import GenVIS
from genvis.results.editing.appearance import load_appearance
from genvis.results.types import VideoResult
from genvis.video import Frame, VideoWriter


def recorded(frames: int, *, numbers: tuple[int, ...] = (0, 5)) -> AppearanceRecorder:
    recorder = AppearanceRecorder()
    random = torch.Generator().manual_seed(1)
    for position in range(frames):
        embeddings = torch.nn.functional.one_hot(torch.tensor([position % 4, 5]), 6).float()
        recorder.add(position, list(numbers), embeddings * (1 + torch.rand(2, 1, generator=random)))
    return recorder


def test_a_long_life_has_bounded_samples_with_sharp_ends():
    looks = recorded(10_000).appearance({7: 0, 9: 5, 11: 3})
    assert set(looks) == {7, 9}
    look = looks[7]
    assert len(look) <= MOST_SAMPLES
    assert look.counts.sum() == 10_000
    assert look.counts[0] == SAMPLE
    assert look.counts[-2] == SAMPLE
    assert look.first_frames[0] == 0
    assert look.last_frames[-1] == 9_999
    assert (look.first_frames[1:] == look.last_frames[:-1] + 1).all()
    assert np.allclose(look.at_start(), np.array([1, 1, 1, 1, 0, 0]) / 2)
    assert np.allclose(looks[9].vectors, np.eye(6)[5])


def test_saving_and_restoring_goes_on_the_same():
    whole, first = recorded(700), recorded(300)
    again = AppearanceRecorder()
    again.restore(first.tensors())
    random = torch.Generator().manual_seed(1)
    for position in range(700):
        scale = 1 + torch.rand(2, 1, generator=random)
        if position >= 300:
            embeddings = torch.nn.functional.one_hot(torch.tensor([position % 4, 5]), 6).float()
            again.add(position, [0, 5], embeddings * scale)
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, again.tensors()[name])
    empty = AppearanceRecorder()
    empty.restore(AppearanceRecorder().tensors())
    assert empty.appearance({1: 0}) == {}


def test_damaged_states_are_refused_and_numbers_that_are_none_left_out():
    recorder = AppearanceRecorder()
    recorder.add(0, [1], torch.full((1, 4), torch.nan))
    assert recorder.appearance({1: 1}) == {}
    for tensors in ({}, {"facts": torch.zeros(2, 4), "sums": torch.zeros(2, 3)}):
        with pytest.raises(InputError, match="saved looks"):
            recorder.restore(tensors)


@pytest.fixture(scope="module")
def model() -> GenVIS:
    return load_genvis("sprites-tiny")


@pytest.mark.parametrize("tracker", ["propagation", "memory", "queries", "clip_queries"])
def test_runs_gather_the_looks_of_the_tracks_they_report(tracker: TrackerName, model: GenVIS):
    scene = SpriteVideos(8, height=96, width=160, length=4, difficulty="easy").scene(7)
    segmenter = VideoSegmenter(model, tracker=tracker)
    run = segmenter.start(name="clip")
    for place, frame in enumerate(render(scene)):
        run.add([Frame(image=frame.image, index=place, time=place / 10, name=str(place))])
    result = run.result(segmenter.selection(score_threshold=0.1))
    looks = run.appearance()
    run.close()
    assert result.tracks
    assert set(looks) <= {track.id for track in result.tracks}
    sure = [track for track in result.tracks if track.score > 0.5]
    assert {track.id for track in sure} <= set(looks)
    for look in looks.values():
        assert np.allclose(np.linalg.norm(look.vectors, axis=1), 1, atol=1e-5)


def test_predict_writes_looks_beside_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scene = SpriteVideos(8, height=96, width=160, length=4, difficulty="easy").scene(7)
    with VideoWriter(tmp_path / "clip.mp4", frame_rate=10) as writer:
        for place, frame in enumerate(render(scene)):
            writer.write(frame.image, time=place / 10)
    words = [
        "predict",
        str(tmp_path / "clip.mp4"),
        "-o",
        str(tmp_path),
        "--weights",
        "sprites-tiny",
        "--outputs",
        "csv",
    ]
    words += ["--outputs", "csv"]
    assert main(words) == 0
    looks = load_appearance(tmp_path / "clip")
    assert looks
    assert set(looks) <= {track.id for track in VideoResult.load(tmp_path / "clip").tracks}
    assert main([*words, "--overwrite", "--live"]) == 0
    assert not (tmp_path / "clip" / "appearance.safetensors").exists()
    assert json.loads((tmp_path / "clip" / "result.json").read_text())
