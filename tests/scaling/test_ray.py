"""Videos on a local Ray cluster, whose actors and whose driver are killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from genvis import VideoResult
from genvis.cli.main import main
from genvis.errors import InputError
from genvis.scaling.manifests import keys_with_manifest, read_manifests
from genvis.scaling.ray_pool import RayPool, _sizes, status_table
from genvis.storage.stores import LocalStore

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--actors", "2"], "add --on ray"),
        (["--on", "ray", "--shard", "1/2"], "leave --shard and --live out"),
        (["--on", "ray", "--actors", "0"], "--actors is 0"),
        (["--on", "ray", "--gpus-per-actor", "-1"], "--gpus-per-actor is -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(words, sentence, predict_words, tmp_path, capsys):
    (tmp_path / "a.mp4").touch()
    assert main(predict_words([tmp_path / "a.mp4"], tmp_path / "out", *words)) == 2
    assert sentence in capsys.readouterr().err


def test_actors_are_as_many_as_there_is_room_for():
    assert _sizes(RayPool(), {"CPU": 8.0}) == (8, 0.0)
    assert _sizes(RayPool(), {"CPU": 64.0, "GPU": 8.0}) == (8, 1.0)
    assert _sizes(RayPool(gpus_per_actor=0.5), {"CPU": 64.0, "GPU": 8.0}) == (16, 0.5)
    assert _sizes(RayPool(actors=3), {"CPU": 64.0, "GPU": 8.0}) == (3, 1.0)
    with pytest.raises(InputError, match="no room for an actor of 1 CPU and 2 GPUs"):
        _sizes(RayPool(gpus_per_actor=2), {"CPU": 4.0})


def test_the_table_shows_what_each_actor_does():
    rows = {
        "b": {"where": "10.0.0.2:7", "item": "ride", "frames": 1200, "total": None},
        "a": {"where": "10.0.0.1:9", "item": "reef", "frames": 5, "total": 40},
    }
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
    console.print(status_table(rows, {"a": 2.0, "b": 3.5}, done=7, total=1000))
    lines = console.export_text().splitlines()
    assert "7 of 1,000 videos, 5.5 frames/s" in lines[0]
    shown = [line for line in lines if "10.0.0" in line]
    assert "reef" in shown[0]
    assert "5 of 40" in shown[0]
    assert "1,200 of ?" in shown[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a cluster of 2 CPUs on this machine, which outlives its drivers."""
    program = Path(sys.executable).with_name("ray")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (
            ("RAY_USAGE_STATS_ENABLED", "0"),
            ("RAY_BACKEND_LOG_LEVEL", "fatal"),
            ("RAY_AUTH_MODE", "token"),
            ("RAY_AUTH_TOKEN", uuid.uuid4().hex),
        ):
            environment.setenv(name, value)
        # Ray's sockets need short paths.
        folder, port = Path("/tmp") / f"ray-{os.getpid()}", 20000 + os.getpid() % 10000
        words = ["start", "--head", "--num-cpus=2", "--include-dashboard=false", f"--port={port}", "--block"]
        words += [f"--temp-dir={folder}", "--object-store-memory=100000000", "--disable-usage-stats"]
        log = tmp_path_factory.mktemp("ray") / "log"
        with log.open("w") as said:
            head = subprocess.Popen([program, *words], stdout=said, stderr=said, start_new_session=True)
        until = time.monotonic() + 120
        while "This command will now block forever" not in log.read_text():
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


def start(words):
    return subprocess.Popen(
        [sys.executable, "-m", "genvis", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def manifests_of(out):
    store = LocalStore(out)
    return {manifest.name: manifest for manifest in read_manifests(store, sorted(keys_with_manifest(store)))}


def content(folder):
    return [(track.id, track.label, track.score, track.masks) for track in VideoResult.load(folder).tracks]


def wait_for(condition, process):
    until = time.monotonic() + 300
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "nothing happens"
        time.sleep(0.02)
    return found


def finished_count(out):
    return len([path for path in (out / "manifests").glob("*.json") if path.name != "job.json"])


def process_at_work(out):
    """The number of the process that does a video now; 0 if there is none."""
    for path in (out / "manifests").glob("*.running"):
        try:
            return int(json.loads(path.read_text())["owner"]["pid"])
        except (OSError, ValueError):
            continue
    return 0


@pytest.mark.slow
def test_actors_and_driver_are_killed_and_nothing_is_lost_or_done_twice(cluster, write_videos, predict_words, tmp_path):
    """40 videos, three of them damaged; actors are killed twice, the driver once."""
    videos = write_videos(tmp_path / "videos", 40)
    for number in (3, 17, 31):
        videos[number].write_bytes(videos[number].read_bytes()[:200])
    out = tmp_path / "out"
    words = predict_words(videos, out, "--on", "ray", "--address", cluster, "--actors", "2")
    driver = start(words)
    killed = []
    for done in (4, 10):
        wait_for(lambda done=done: finished_count(out) >= done, driver)
        killed.append(wait_for(lambda: process_at_work(out), driver))
        os.kill(killed[-1], signal.SIGKILL)
    wait_for(lambda: finished_count(out) >= 18, driver)
    driver.kill()
    driver.communicate()
    time.sleep(3)  # Ray ends the actors of a driver that is gone.
    first = {path.name: path.stat().st_mtime_ns for path in out.glob("*/result.json")} | {
        path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/result.json")
    }
    done_before = {name for name, manifest in manifests_of(out).items() if manifest.has_result}
    assert 15 <= len(done_before) < 40
    driver = start(words)
    said = driver.communicate(timeout=400)[0]
    assert driver.returncode == 2, said
    found = manifests_of(out)
    assert len(found) == 40, said
    assert {name for name, manifest in found.items() if manifest.state == "failed"} == {"clip3", "clip17", "clip31"}
    assert not list(out.rglob("*.running"))
    # What was finished was not done again.
    for name in done_before:
        assert (out / name / "result.json").stat().st_mtime_ns == first[name]
    lines = [line.split()[1] for line in said.splitlines() if line.startswith("finished ")]
    assert sorted(Path(line.rstrip(",")).stem for line in lines) == sorted(
        set(found) - done_before - {"clip3", "clip17", "clip31"}
    )
    assert main(predict_words(videos, tmp_path / "plain", "--skip-finished")) == 2
    for name, manifest in manifests_of(tmp_path / "plain").items():
        assert found[name].state == manifest.state
        assert found[name].frames == manifest.frames
        if manifest.has_result:
            assert content(out / name) == content(tmp_path / "plain" / name)
    assert len(set(killed)) == 2


HANGING = """
import sys, threading
import genvis.scaling.ray_prediction as module
from genvis.inference.jobs import PredictionOptions
from genvis.scaling.listed_videos import list_videos
from genvis.video import FrameRange

weights, video, out, hangs = sys.argv[1:]
module._GRACE_SECONDS = 0.2
if hangs == "hangs":
    module._DoesVideos._work = lambda *arguments, **options: threading.Event().wait()
job = module.PredictionJob(weights, out, PredictionOptions(outputs=()), FrameRange(), device="cpu", time_limit=0.2)
print(module._DoesVideos(job, lambda *arguments, **options: None)(list_videos([video])[0])["problem"])
"""


@pytest.mark.slow
def test_a_video_that_hangs_is_ended_with_its_process_and_not_tried_again(model_folder, write_videos, tmp_path):
    """What an actor does, without Ray: a source that never delivers, as of a broken network file system."""
    (video,) = write_videos(tmp_path / "videos", 1)
    words = [sys.executable, "-c", HANGING, str(model_folder), str(video), str(tmp_path / "out")]
    first = subprocess.run([*words, "hangs"], timeout=300, check=False)
    assert first.returncode == 1
    second = subprocess.run([*words, "works"], timeout=300, check=True, capture_output=True, text=True)
    assert "'clip0' hung" in second.stdout
    assert manifests_of(tmp_path / "out")["clip0"].state == "failed"


@pytest.mark.slow
def test_an_evaluation_on_ray_is_that_of_one_process(cluster, model_folder, tmp_path, capsys):
    assert (
        main(
            [
                "data",
                "sprites",
                str(tmp_path / "set"),
                "--videos",
                "4",
                "--length",
                "3",
                "--height",
                "48",
                "--width",
                "64",
            ]
        )
        == 0
    )
    words = ["eval", "--weights", str(model_folder), "--annotations", str(tmp_path / "set" / "annotations.json")]
    words += ["--images", str(tmp_path / "set" / "frames"), "--device", "cpu", "--resolution", "48", "--workers", "1"]
    assert main([*words, "-o", str(tmp_path / "plain")]) == 0
    ray_words = [*words, "-o", str(tmp_path / "ray"), "--on", "ray", "--address", cluster, "--actors", "2"]
    assert main(ray_words) == 0
    for name in ("results.json", "fingerprint.json"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "ray" / "videos").iterdir()}
    next(iter(before)).unlink()
    assert main(ray_words) == 0
    assert len([path for path, time in before.items() if path.stat().st_mtime_ns == time]) == 3


def test_a_cluster_that_is_not_there_and_cameras_are_one_sentence(write_videos, predict_words, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 1)
    assert main(predict_words(videos, tmp_path / "out", "--on", "ray", "--address", "127.0.0.1:9")) == 2
    assert "There is no Ray cluster at '127.0.0.1:9' (Connection refused)" in capsys.readouterr().err
    assert main(["predict", "0", "--on", "ray", "--weights", "sprites-tiny", "-o", str(tmp_path / "out")]) == 2
    assert "Ray does files only" in capsys.readouterr().err
