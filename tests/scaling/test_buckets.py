"""From bucket to bucket: sources, weights and outputs elsewhere, in memory and on a server of S3's protocol."""

import logging
import threading
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from genvis import VideoResult
from genvis.cli.main import main
from genvis.scaling.manifests import keys_with_manifest, read_manifests
from genvis.storage import stores
from genvis.storage.stores import open_store
from genvis.video import expand_sources, open_source


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENVIS_CACHE", str(tmp_path / "cache"))


def put(local: Path, address: str) -> None:
    fs, path = fsspec.url_to_fs(address)
    fs.put(str(local), path, recursive=local.is_dir())


def results_of(out) -> dict[str, list[object]]:
    """The results of an output folder anywhere, by the name of the video."""
    import json

    store, found = open_store(out), {}
    for manifest in read_manifests(store, sorted(keys_with_manifest(store))):
        result = VideoResult.from_json(json.loads(store.read(f"{manifest.folder}/result.json") or b""))
        found[manifest.name] = [(track.id, track.label, track.score, track.masks) for track in result.tracks]
    return found


def test_sources_weights_and_outputs_in_memory(write_videos, predict_words, model_folder, tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 2)
    bucket = f"memory://{uuid.uuid4().hex}"
    for video in videos:
        put(video, f"{bucket}/day1/{video.name}")
    put(model_folder, f"{bucket}/model")
    words = predict_words([f"{bucket}/day1/*.mp4"], f"{bucket}/out", "--skip-finished")
    words[words.index(str(model_folder))] = f"{bucket}/model"
    assert main(words) == 0
    assert f"Wrote {bucket}/out/clip0/objects.csv" in capsys.readouterr().out
    assert main(predict_words(videos, tmp_path / "plain")) == 0
    assert results_of(f"{bucket}/out") == results_of(tmp_path / "plain")
    assert not list((tmp_path / "cache" / "work").iterdir())
    assert main(words) == 0
    assert "2 of 2 videos are finished already" in capsys.readouterr().out
    assert main(["status", f"{bucket}/out"]) == 0
    assert main(["collect", f"{bucket}/out", "--outputs", "csv"]) == 0
    assert open_store(f"{bucket}/out").read("objects.csv").count(b"\n") > 1


def test_a_damaged_video_elsewhere_is_called_by_its_address(write_videos, predict_words, tmp_path, capsys):
    (video,) = write_videos(tmp_path / "videos", 1)
    bucket = f"memory://{uuid.uuid4().hex}"
    video.write_bytes(video.read_bytes()[:300])
    put(video, f"{bucket}/a.mp4")
    assert main(predict_words([f"{bucket}/a.mp4"], tmp_path / "out", "--skip-finished")) == 2
    said = capsys.readouterr().out
    assert f"'{bucket}/a.mp4' cannot be opened" in said
    assert "cache" not in said
    assert main(predict_words([f"{bucket}/none.mp4"], tmp_path / "out")) == 2
    assert f"No file matches '{bucket}/none.mp4'" in capsys.readouterr().err


def test_a_source_elsewhere_is_one_like_any_other(write_videos, tmp_path):
    (video,) = write_videos(tmp_path / "videos", 1)
    bucket = f"memory://{uuid.uuid4().hex}"
    put(video, f"{bucket}/day 1/a.mp4")
    put(video, f"{bucket}/day 1/notes.txt")
    (found,) = expand_sources([f"{bucket}/day 1/"])
    with open_source(found) as source, open_source(f"{bucket}/day 1/a.mp4") as same:
        assert source.name == same.name == "a"
        assert source.origin.digest == same.origin.digest
        assert len(list(source)) == len(list(source)) == 4


def test_an_unfinished_upload_is_done_again(write_videos, predict_words, tmp_path, monkeypatch, capsys):
    """Outputs that were cut off on their way: without a manifest they do not count."""
    videos = write_videos(tmp_path / "videos", 1)
    out = f"memory://{uuid.uuid4().hex}/out"
    written = stores.RemoteStore._put_file

    def broken(self, path, target):
        if path.name == "result.json":
            raise PermissionError
        written(self, path, target)

    monkeypatch.setattr(stores.RemoteStore, "_put_file", broken)
    words = predict_words(videos, out, "--skip-finished")
    assert main(words) == 2
    assert "access is denied" in capsys.readouterr().out
    assert results_of(out) == {}
    monkeypatch.setattr(stores.RemoteStore, "_put_file", written)
    assert main(words) == 0
    assert "Already there" in capsys.readouterr().out  # It was kept here, and only copied.
    assert len(results_of(out)) == 1


def test_outputs_of_an_earlier_run_are_replaced(write_videos, predict_words, tmp_path):
    videos = write_videos(tmp_path / "videos", 1)
    out = f"memory://{uuid.uuid4().hex}/out"
    assert main(predict_words(videos, out, "--outputs", "csv,mots")) == 0
    assert "clip0/mots.txt" in open_store(out).names("clip0")
    words = predict_words(videos, out, "--overwrite")
    assert main(words) == 0
    assert {"clip0/objects.csv", "clip0/result.json"} <= set(open_store(out).names("clip0"))
    assert "clip0/mots.txt" not in open_store(out).names("clip0")


class Bucket:
    """A server of S3's protocol on this machine."""

    def __init__(self):
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]
        self._kind = ThreadedMotoServer

    def stop(self):
        self.server.stop()

    def start(self):
        self.server = self._kind(ip_address="127.0.0.1", port=self.port)
        self.server.start()


@pytest.fixture
def videos(write_videos, tmp_path):
    return write_videos(tmp_path / "videos", 6)


@pytest.fixture
def bucket(monkeypatch):
    pytest.importorskip("moto")
    s3fs = pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = Bucket()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}"),
        ("AWS_ACCESS_KEY_ID", "hidden-key"),
        ("AWS_SECRET_ACCESS_KEY", "hidden-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("videos", exist_ok=True)
    s3fs.S3FileSystem().makedirs("results", exist_ok=True)
    yield server
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_from_bucket_to_bucket_while_the_server_restarts(bucket, videos, predict_words, monkeypatch, capsys):
    tmp_path = videos[0].parents[1]
    put(tmp_path / "videos", "s3://videos/day1")
    for wrong, sentence in (
        ("s3://none/day1/*.mp4", "No file matches 's3://none/day1/*.mp4'"),
        ("s3://videos/day2/", "No file matches 's3://videos/day2/'"),
    ):
        assert main(predict_words([wrong], "s3://results/out")) == 2
        assert sentence in capsys.readouterr().err
    calls = []
    done = stores.patiently

    def counted(operation, label, *, writes=False):
        calls.append(label)
        if len(calls) == 20:  # In the middle of the job.
            bucket.stop()
            threading.Thread(target=lambda: (time.sleep(3), bucket.start())).start()
        return done(operation, label, writes=writes)

    monkeypatch.setattr(stores, "patiently", counted)
    words = predict_words(["s3://videos/day1/*.mp4"], "s3://results/out", "--shard", "1/1")
    assert main(words) == 0
    said = capsys.readouterr()
    assert len(calls) > 40
    assert "hidden" not in said.out + said.err
    assert main(predict_words(videos, tmp_path / "plain")) == 0
    assert results_of("s3://results/out") == results_of(tmp_path / "plain")
    before = {name: open_store("s3://results").read(name) for name in open_store("s3://results").names("out/manifests")}
    assert main(words) == 0
    assert before == {name: open_store("s3://results").read(name) for name in before}
    # Two processes: of a file that is there already, S3 tells one so.
    store = open_store("s3://results/out")
    assert [store.create("claim", b"1"), store.create("claim", b"2")] == [True, False]
    assert main(["collect", "s3://results/out", "--outputs", "youtube_vis"]) == 0


@pytest.mark.slow
def test_a_server_that_stays_away_is_one_sentence(bucket, videos, predict_words, monkeypatch, capsys):
    bucket.stop()
    monkeypatch.setattr(stores, "PATIENCE_SECONDS", 1.0)
    assert main(predict_words(videos, "s3://results/out", "--skip-finished")) == 2
    said = capsys.readouterr().err
    assert "'s3://results/out/manifests/job.json' cannot be read: its server does not answer" in said
    assert "hidden" not in said
    bucket.start()
