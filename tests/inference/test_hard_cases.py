"""`genvis predict` when something is wrong: one clear sentence, and what is done stays usable."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from genvis import VideoResult
from genvis.cli.main import main
from genvis.inference import jobs
from genvis.video import VideoWriter, open_source

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
TINY = ("--weights", str(GOLDEN / "genvis_r50_tiny.pth"), "--resolution", "64", "--score-threshold", "0")


@pytest.fixture
def film(golden_frames, tmp_path):
    def make(name="film.mp4", *, repeat=1):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(path, frame_rate=10) as writer:
            for number in range(8 * repeat):
                writer.write(golden_frames[number % 8], time=number / 10)
        return path

    return make


def with_index_first(video, path):
    """The same video with its index in front, so that it opens although its end is lost."""
    with av.open(str(video)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


def predict(*words):
    return main(["predict", *map(str, words), *TINY])


def test_a_truncated_file_is_segmented_as_far_as_it_goes(film, tmp_path, capsys):
    whole = with_index_first(film(repeat=6), tmp_path / "whole.mp4")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert predict(cut, "-o", tmp_path / "out") == 1
    result = VideoResult.load(tmp_path / "out" / "cut")
    assert 8 <= len(result) < 48
    said = " ".join(capsys.readouterr().out.split())
    assert result.problem in said
    assert f"{len(result)} " in result.problem
    with open_source(tmp_path / "out" / "cut" / "annotated.mp4") as video:
        assert len(list(video)) == len(result)


@pytest.mark.parametrize("name", ["mein Film.mp4", "фильм 映画.mp4", "clip [1] [bold].mp4"])
def test_names_with_spaces_brackets_and_other_scripts(name, film, tmp_path, capsys):
    assert predict(film(name), "--stop", 2, "-o", tmp_path / "the output") == 0
    assert (tmp_path / "the output" / Path(name).stem / "annotated.mp4").stat().st_size > 0
    assert Path(name).stem in capsys.readouterr().out


def test_images_of_every_kind_in_one_folder(golden_frames, tmp_path, capsys):
    folder = tmp_path / "shots"
    folder.mkdir()
    rgb = Image.fromarray(golden_frames[0])
    rgb.save(folder / "0.png")
    rgb.convert("L").save(folder / "1.png")
    rgb.convert("RGBA").save(folder / "2.png")
    rgb.convert("CMYK").save(folder / "3.jpg")
    Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save(folder / "4.png")
    rgb.resize((70, 70)).save(folder / "5.png")
    rgb.resize((8, 8)).save(folder / "6.png")
    (folder / "7.png").write_bytes((folder / "0.png").read_bytes()[:500])
    assert predict(folder, "-o", tmp_path / "out") == 1
    assert len(VideoResult.load(tmp_path / "out" / "shots")) == 7
    said = " ".join(capsys.readouterr().out.split())
    assert "2 frames of 'shots' had another size than the first" in said
    assert "1 damaged frame, left out: 7" in said


@pytest.mark.parametrize("size", [(8, 8), (1, 1)])
def test_one_tiny_frame(size, tmp_path):
    Image.new("RGB", size, "red").save(tmp_path / "dot.png")
    assert predict(tmp_path / "dot.png", "-o", tmp_path / "out") == 0
    assert len(VideoResult.load(tmp_path / "out" / "dot")) == 1
    assert (tmp_path / "out" / "dot" / "contact_sheet.png").exists()


@pytest.mark.slow
def test_8k_frames(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (540, 960, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with VideoWriter(tmp_path / "large.mp4") as writer:
        writer.write(noise, time=0.0)
        writer.write(noise, time=0.1)
    assert predict(tmp_path / "large.mp4", "-o", tmp_path / "out") == 0
    result = VideoResult.load(tmp_path / "out" / "large")
    assert (result.height, result.width, len(result)) == (4320, 7680, 2)


def test_sources_that_are_none_do_not_keep_others_from_being_done(film, tmp_path, capsys):
    (tmp_path / "noise.mp4").write_bytes(os.urandom(5000))
    (tmp_path / "empty.mp4").write_bytes(b"")
    words = [tmp_path / "noise.mp4", tmp_path / "empty.mp4", tmp_path / "absent.mp4", film()]
    assert predict(*words, "--stop", 2, "-o", tmp_path / "out") == 2
    assert len(VideoResult.load(tmp_path / "out" / "film")) == 2
    assert capsys.readouterr().out.count("Error:") == 3


def test_a_folder_that_cannot_be_written_is_named_before_any_work(film, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert predict(film(), "-o", tmp_path / "file" / "out") == 2
    assert "Cannot write" in capsys.readouterr().err


def test_a_disk_that_fills_up_is_one_sentence(film, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genvis.inference.state_file.save", full)
    monkeypatch.setattr(jobs, "SAVE_EVERY_SECONDS", -1)
    assert predict(film(), "-o", tmp_path / "out") == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "the disk is full: free some space or choose another folder" in said


def started(words):
    """`genvis predict` in a process of its own, which is waited for until it has kept something."""
    program = "import sys; from genvis.inference import jobs; jobs.SAVE_EVERY_SECONDS = 0.2; "
    program += "from genvis.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, "predict", *map(str, words), *TINY],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


def content(folder):
    document = json.loads((folder / "result.json").read_text())
    return document["tracks"], document["frames"]


def assert_same_up_to_rounding(found, expected):
    """Sums in another process may be rounded otherwise, which can turn over a pixel on the edge of a mask."""
    (tracks, frames), (wanted, wanted_frames) = content(found), content(expected)
    assert frames == wanted_frames
    assert [(track["id"], track["label"]) for track in tracks] == [(track["id"], track["label"]) for track in wanted]
    assert [track["score"] for track in tracks] == pytest.approx([track["score"] for track in wanted], abs=1e-5)
    first, second = VideoResult.load(found), VideoResult.load(expected)
    for position in range(len(first)):
        for one, other in zip(first.frame(position).instances, second.frame(position).instances, strict=True):
            assert np.count_nonzero(one.mask != other.mask) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whatever_ends_the_process_resume_gives_the_same_result(number, film, tmp_path):
    video = film(repeat=60)
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    assert predict(video, "--outputs", "youtube_vis", "-o", straight) == 0
    words = [video, "--outputs", "youtube_vis", "-o", cut]
    process = started(words)
    wait_for(cut / "film" / ".unfinished" / "state.safetensors", process)
    process.send_signal(number)
    said = process.communicate(timeout=300)[0]
    if number == signal.SIGKILL:
        assert not (cut / "film" / "result.json").exists()
    else:
        assert process.returncode == 130
        assert "--resume continues it" in " ".join(said.split())
        assert 0 < len(VideoResult.load(cut / "film")) < 480  # What is done is usable.
    assert predict(*words, "--resume") == 0
    assert_same_up_to_rounding(cut / "film", straight / "film")


@pytest.mark.slow
def test_a_live_run_that_is_killed_leaves_its_identities_and_a_playable_video(film, tmp_path):
    session = tmp_path / "camera.session"
    process = started([film(repeat=60), "--live", "--session", session, "-o", tmp_path / "out"])
    wait_for(session, process)
    time.sleep(1)
    process.kill()
    process.communicate(timeout=300)
    with open_source(tmp_path / "out" / "film" / "annotated.part.mp4") as video:
        assert sum(1 for _ in video) > 0
    words = [film("later.mp4"), "--live", "--session", session, "-o", tmp_path / "out"]
    assert predict(*words) == 0
