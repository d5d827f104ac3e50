"""What the page asks for, asked for without a page."""

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genvis.results.editing.edit_log import EditLog
from genvis.results.editing.edits import DeleteTrack
from genvis.results.exporting import EXPORT_FORMATS
from genvis.results.types import VideoResult
from tests.app.app_helpers import HEIGHT, WIDTH, Client, serving, small_result, small_video


def only_result(client: Client) -> str:
    return str(client.get("/api/state")["results"][0]["id"])


def test_the_folder_is_told(client: Client):
    state = client.get("/api/state")
    assert state["folder"] == "served"
    assert [video["name"] for video in state["videos"]] == ["clip.mp4"]
    (result,) = state["results"]
    assert (result["name"], result["video_name"], result["width"]) == ("results/clip", "clip", WIDTH)
    assert state["default_model"] in {model["name"] for model in state["models"]}


def test_frames_are_those_of_the_result_at_the_size_asked_for(client: Client):
    result = only_result(client)
    described = client.opened(result)
    assert described["video"]["name"] == "clip.mp4"
    assert described["times"] == {"start": 0.0, "step": pytest.approx(0.1)}
    for position in (11, 0, 6):
        _, headers, body = client.send("GET", f"/api/results/{result}/frames/{position}")
        assert "immutable" in headers["cache-control"]
        image = np.asarray(Image.open(io.BytesIO(body)))
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert abs(image.mean() - (20 + 10 * position)) < 3
    small = client.send("GET", f"/api/results/{result}/frames/3?width=32")[2]
    assert Image.open(io.BytesIO(small)).size == (32, 24)
    for wrong in ("frames/12", "frames/-1", "frames/x", "frames/3?width=9999999", "masks?first=0&count=100000"):
        assert client.send("GET", f"/api/results/{result}/{wrong}")[0] == 422


def test_another_video_is_refused_and_the_right_one_can_be_chosen(folder: Path):
    small_video(folder / "other.mp4", frames=3)
    (folder / "clip.mp4").rename(folder / "moved.mp4")
    with serving(folder) as client:
        result = only_result(client)
        assert client.opened(result)["video"] is None
        assert client.send("GET", f"/api/results/{result}/frames/0")[0] == 404
        videos = {video["name"]: video["id"] for video in client.get("/api/state")["videos"]}
        client.post(f"/api/results/{result}/video", {"video": videos["other.mp4"]})
        status, _, body = client.send("GET", f"/api/results/{result}/frames/9")
        assert status == 422
        assert b"this is another video" in body
        client.post(f"/api/results/{result}/video", {"video": videos["moved.mp4"]})
        assert client.send("GET", f"/api/results/{result}/frames/9")[0] == 200


def test_edits_by_request(client: Client):
    result = only_result(client)
    client.opened(result)
    state = client.post(f"/api/results/{result}/edits", {"edit": "split", "track_id": 1, "frame": 5})
    assert [track["id"] for track in state["tracks"]] == [1, 4, 2, 3]
    assert state["edits"][0]["new_id"] == 4
    assert client.post(f"/api/results/{result}/undo")["undone"]
    assert "no edit to undo" in client.post(f"/api/results/{result}/undo", expect=422)["error"]
    assert client.post(f"/api/results/{result}/redo")["edits"]
    for wrong in ({}, {"edit": "rm"}, {"edit": "merge", "track_ids": "1"}, {"edit": "delete", "track_id": 99}):
        client.post(f"/api/results/{result}/edits", wrong, expect=422)


def test_edits_of_another_program_are_not_lost(client: Client, folder: Path):
    result = only_result(client)
    client.opened(result)
    client.post(f"/api/results/{result}/edits", {"edit": "delete", "track_id": 1})
    EditLog(folder / "results" / "clip").append(DeleteTrack(track_id=2))
    refused = client.post(f"/api/results/{result}/edits", {"edit": "delete", "track_id": 3}, expect=422)
    assert "open the result again" in refused["error"]
    assert [track["id"] for track in client.opened(result)["state"]["tracks"]] == [3]
    client.post(f"/api/results/{result}/undo")


def test_events_tell_other_pages(client: Client):
    import http.client

    from tests.app.app_helpers import TOKEN

    result = only_result(client)
    client.opened(result)
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    connection.request("GET", "/api/events", headers={"authorization": f"Bearer {TOKEN}"})
    stream = connection.getresponse()
    assert stream.readline() == b"retry: 1000\n"
    client.post(f"/api/results/{result}/edits", {"edit": "delete", "track_id": 1})
    lines = [stream.readline() for _ in range(3)]
    assert b"event: edited\n" in lines
    assert {"id": result, "edits": 1, "undone": 0} == json.loads(lines[-1].removeprefix(b"data: "))
    connection.close()


def test_every_format_is_written_of_the_corrected_result(client: Client, tmp_path: Path):
    result = only_result(client)
    client.opened(result)
    client.post(f"/api/results/{result}/edits", {"edit": "merge", "track_ids": [1, 2, 3]})
    offered = client.get(f"/api/results/{result}/take")
    assert {entry["name"] for entry in offered["formats"]} == set(EXPORT_FORMATS)
    names = [entry["name"] for entry in offered["formats"] if entry["is_possible"]]
    for wrong in ([], ["rm"], "csv", [3]):
        client.post(f"/api/results/{result}/exports", {"formats": wrong}, expect=422)
    job = client.post(f"/api/results/{result}/exports", {"formats": names}, expect=201)

    def ended(state: dict) -> dict | None:
        return next(
            (one for one in state["jobs"] if one["id"] == job["id"] and one["state"] in ("done", "failed")), None
        )

    done = ended(client.wait_for("/api/state", ended, seconds=60))
    assert done is not None
    assert done["error"] is None
    assert len(done["files"]) == len(names)
    for number, name in enumerate(done["files"]):
        _, headers, body = client.send("GET", f"/api/jobs/{job['id']}/files/{number}")
        assert headers["content-disposition"].startswith("attachment")
        assert body
        if name == "result.json":
            (tmp_path / "result.json").write_bytes(body)
    assert len(VideoResult.load(tmp_path / "result.json").tracks) == 1
    assert client.send("GET", f"/api/jobs/{job['id']}/files/{len(names)}")[0] == 422


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", ".hidden/a.json", "a.txt", "", 3, "a//b.json", "results"])
def test_training_sets_lie_in_the_folder(shared: Client, name):
    result = only_result(shared)
    shared.opened(result)
    shared.post(f"/api/results/{result}/append", {"file": name}, expect=422)


BRIEF = (
    "--run.max_steps 1 --run.accelerator cpu --run.devices 1 --run.tensorboard false --data.workers 0 "
    "--data.batch_size 1 --loss.points.count 64"
)


@pytest.mark.slow
def test_a_corrected_result_trains(client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch):
    from genvis.cli.main import main

    result = only_result(client)
    client.opened(result)
    client.post(f"/api/results/{result}/edits", {"edit": "merge", "track_ids": [1, 2]})

    def appended() -> dict:
        job = client.post(f"/api/results/{result}/append", {"file": "training/own.json"}, expect=201)
        find = lambda state: [one for one in state["jobs"] if one["id"] == job["id"] and one["state"] == "done"]  # noqa: E731
        return find(client.wait_for("/api/state", find, seconds=60))[0]["answer"]

    assert (appended()["replaced"], appended()["replaced"]) == (False, True)
    answer = appended()
    assert (answer["frames"], answer["objects"]) == (12, 2)
    monkeypatch.chdir(folder)
    prepare, *train = (command.removeprefix("genvis ").split() for command in answer["commands"])
    assert main([*prepare, "--init", "sprites-tiny", "--no-estimate"]) == 0
    for words in train:
        assert main([*words, *BRIEF.split()]) == 0
    assert list((folder / "training").glob("runs/*/model/*.safetensors"))


def test_places_to_look_at(folder: Path):
    # A track that jumps, and one that lives for two frames.
    result = small_result(frames=40, tracks=1)
    track = result.tracks[0]
    from dataclasses import replace

    short = replace(track, id=7, masks=(None,) * 3 + track.masks[20:22] + (None,) * 35)
    replace(result, tracks=(track, short)).save(folder / "results" / "clip")
    with serving(folder) as client:
        identifier = only_result(client)
        client.opened(identifier)
        job = client.post(f"/api/results/{identifier}/review", expect=202)["job"]

        def ended(state: dict) -> list[dict]:
            return [one for one in state["jobs"] if one["id"] == job["id"] and one["state"] == "done"]

        (done,) = ended(client.wait_for("/api/state", ended, seconds=60))
        places = {(place["kind"], tuple(place["track_ids"])): place for place in done["answer"]["places"]}
        place = places["short", (7,)]
        assert place["edit"] == {"edit": "delete", "track_id": 7}
        state = client.post(f"/api/results/{identifier}/edits", place["edit"])
        assert [one["id"] for one in state["tracks"]] == [1]


def test_the_list_follows_the_folder(client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("genvis.app.library.FRESH_SECONDS", 0.2)
    assert len(client.get("/api/state")["videos"]) == 1
    small_video(folder / "deep" / "er" / "new.mp4")
    model = folder / "runs" / "mine"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    time.sleep(0.2)
    state = client.get("/api/state")
    assert [video["name"] for video in state["videos"]] == ["clip.mp4", "deep/er/new.mp4"]
    assert state["models"][0]["name"] == "runs/mine"


def test_videos_outside_are_told_in_the_terminal_alone(folder: Path):
    from genvis.app.library import Library
    from genvis.fingerprint import FINGERPRINT_FILE, Fingerprint, files_stamp

    outside = small_video(folder.parent / "films" / "clip2.mp4")
    stamp = files_stamp([outside], name="clip2")
    small_result(name="clip2").save(folder / "results" / "clip2")
    Fingerprint("a result", source={"video": stamp}).write(folder / "results" / "clip2" / FINGERPRINT_FILE)
    assert Library(folder).folders_elsewhere() == [outside.parent]
    with serving(folder) as client:
        (result,) = [one for one in client.get("/api/state")["results"] if one["video_name"] == "clip2"]
        assert client.opened(result["id"])["video"] is None
        assert "films" not in json.dumps([client.get("/api/state"), client.opened(result["id"])])
