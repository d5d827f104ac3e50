"""Requests of people who must not get in, and of programs that send rubbish."""

import asyncio
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from genvis.app.hidden_paths import without_paths
from genvis.app.library import Library
from genvis.app.serving.security import host_names, kept_token
from genvis.errors import InputError
from tests.app.app_helpers import TOKEN, Client, serving, small_result, small_video, wait_until

ROUTES = ("/", "/static/main.js", "/api/state", "/api/events", "/api/upload?name=a.mp4", "/api/videos/x/poster")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "t", "\u00e9"])
def test_nothing_without_the_token(shared: Client, token):
    for path in ROUTES:
        status, _, body = shared.send("GET", path, token=token)
        assert status == 401
        assert b"genvis" in body
        assert TOKEN.encode() not in body


def test_the_token_of_the_address_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(shared: Client):
    status, headers, _ = shared.send("GET", f"/?token={TOKEN}", token=None)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    name = cookie.split(";")[0]
    assert shared.send("GET", "/api/state", headers={"cookie": name}, token=None)[0] == 200
    assert shared.send("GET", "/?token=wrong", headers={"cookie": name}, token=None)[0] == 401
    # It is no key for anything else in an address.
    assert shared.send("GET", f"/api/state?token={TOKEN}", token=None)[0] == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("[::1]:80", 200),
        ("192.168.1.5:8765", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ],
)
def test_names_that_lead_here_by_rebinding_are_refused(shared: Client, host, status):
    assert shared.send("GET", "/api/state", headers={"host": host})[0] == status


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_other_sites_change_nothing(shared: Client, headers):
    sent = {"content-type": "application/json", **headers}
    assert shared.send("POST", "/api/jobs", b"{}", sent)[0] == 403
    assert shared.send("PUT", "/api/upload?name=a.mp4", b"x", sent)[0] == 403
    own = {"origin": f"http://127.0.0.1:{shared.port}", "sec-fetch-site": "same-origin"}
    assert shared.send("POST", "/api/jobs", b"{}", {"content-type": "application/json", **own})[0] == 404


def test_pages_run_no_script_but_their_own(shared: Client):
    headers = shared.send("GET", "/")[1]
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2f..%2fserver.py",
        "/static/%2e%2e/launch.py",
        "/../../outside.txt",
        "/api/videos/..%2f..%2foutside.txt/poster",
        "/api/results/..%2Fclip",
        "/api/jobs/..%2f..%2f/files/0",
        "/api/jobs/%00/files/0",
        "//etc/passwd",
        "/api/results/" + "a" * 5000,
    ],
)
def test_paths_lead_nowhere(shared: Client, path):
    status, _, body = shared.send("GET", path)
    assert status in (400, 404)
    assert b"nobody may read" not in body
    assert b"import" not in body


def test_links_that_leave_the_folder_are_not_there(tmp_path: Path):
    outside, root = tmp_path / "outside", tmp_path / "served"
    small_video(outside / "private.mp4")
    small_result(name="private").save(outside / "private")
    small_video(root / "own.mp4")
    (root / "linked.mp4").symlink_to(outside / "private.mp4")
    (root / "linked").symlink_to(outside)
    (root / "results").mkdir()
    (root / "results" / "linked").symlink_to(outside / "private")
    (root / "results" / "half").mkdir()
    (root / "results" / "half" / "result.json").symlink_to(outside / "private" / "result.json")
    (root / "inside.mp4").symlink_to(root / "own.mp4")
    (root / "loop").symlink_to(root / "loop")
    library = Library(root)
    assert [video.name for video in library.videos()] == ["inside.mp4", "own.mp4"]
    assert library.results() == []


def test_a_file_that_becomes_a_link_is_not_served(client: Client, folder: Path):
    video = client.get("/api/state")["videos"][0]["id"]
    assert client.send("GET", f"/api/videos/{video}/poster")[0] == 200
    outside = small_video(folder.parent / "private.mp4")
    (folder / "clip.mp4").unlink()
    (folder / "clip.mp4").symlink_to(outside)
    assert client.send("GET", f"/api/videos/{video}/poster")[0] == 404


def test_lists_of_other_files_are_no_videos(client: Client, folder: Path):
    outside = small_video(folder.parent / "private.mp4")
    for name, text in (
        ("list.mp4", f"#EXTM3U\n#EXTINF:1,\nfile://{outside}\n"),
        ("concat.mkv", f"ffconcat version 1.0\nfile '{outside}'\n"),
    ):
        (folder / name).write_text(text)
        status, _, body = client.send("PUT", f"/api/upload?name=up-{name}", text.encode(), UPLOAD)
        assert status == 422, body
    for video in client.get("/api/state")["videos"]:
        if video["name"] != "clip.mp4":
            status, _, body = client.send("GET", f"/api/videos/{video['id']}/poster")
            assert status == 422
            assert b"no video" in body


UPLOAD = {"content-type": "application/octet-stream"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 422),
        (b"{", {"content-type": "application/json"}, 422),
        (b"[]", {"content-type": "application/json"}, 422),
        (b"[" * 100_000, {"content-type": "application/json"}, 422),
        (b"\xff\xfe", {"content-type": "application/json"}, 422),
        (b'{"video": {"a": 1}}', {"content-type": "application/json"}, 404),
        (b'{"video": null}', {"content-type": "text/plain"}, 422),
        (b"{}", {"content-type": "application/json", "content-length": "-5"}, 400),
    ],
)
def test_broken_bodies_are_one_sentence(shared: Client, body, headers, status):
    answer = shared.send("POST", "/api/jobs", body, headers)
    assert answer[0] == status
    if answer[2].startswith(b"{"):
        assert len(json.loads(answer[2])["error"]) < 200


def test_bodies_end(shared: Client):
    headers = {"content-type": "application/json"}
    assert shared.send("POST", "/api/jobs", b" " * (1 << 21), headers)[0] == 413

    def endless():
        for _ in range(64):
            yield b" " * 65536

    with suppress(BrokenPipeError, ConnectionResetError):  # The server has answered and left while more was sent.
        assert shared.send("POST", "/api/jobs", endless(), headers)[0] == 413
    assert shared.get("/api/state")


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("a.mp4", {"content-type": "multipart/form-data; boundary=x"}, 415),
        ("a.mp4", {"content-type": "multipart/form-data"}, 415),
        ("a.exe", UPLOAD, 422),
        ("..", UPLOAD, 422),
        ("", UPLOAD, 422),
        ("a.mp4", UPLOAD, 422),
    ],
)
def test_uploads_that_are_no_videos_leave_nothing(client: Client, folder: Path, name, headers, status):
    before = sorted(folder.rglob("*"))
    body = b"--x\r\nContent-Disposition: form-data; name=\r\n\r\nno end"
    assert client.send("PUT", f"/api/upload?name={quote(name)}", body, headers)[0] == status
    assert sorted(path for path in folder.rglob("*") if path.suffix != ".lock") == before


def test_uploads_lie_in_the_folder_and_replace_nothing(client: Client, folder: Path):
    body = (folder / "clip.mp4").read_bytes()
    names = {
        "../../../up.mp4": "up.mp4",
        "/etc/up.mp4": "up-2.mp4",
        "..\\..\\up.mp4": "up-3.mp4",
        "clip.mp4": "clip-2.mp4",
        "a\x00b\n.mp4": "a b .mp4",
        ".hidden.mp4": "hidden.mp4",
        "x" * 300 + ".mp4": "x" * 90 + ".mp4",
    }
    for name, expected in names.items():
        status, _, answer = client.send("PUT", f"/api/upload?name={quote(name)}", body, UPLOAD)
        assert (status, json.loads(answer)["name"]) == (200, expected)
    assert {path.name for path in folder.glob("*.mp4")} == {"clip.mp4", *names.values()}
    assert not list(folder.parent.glob("*.mp4"))


def test_uploads_end_at_the_limit(folder: Path):
    with serving(folder, most_upload=100_000) as client:
        assert client.send("PUT", "/api/upload?name=a.mp4", b"x" * 100_001, UPLOAD)[0] == 413

        def endless():
            for _ in range(200):
                yield b"x" * 65536

        with suppress(BrokenPipeError, ConnectionResetError):
            assert client.send("PUT", "/api/upload?name=a.mp4", endless(), UPLOAD)[0] == 413
        assert [path.name for path in folder.glob("*.mp4")] == ["clip.mp4"]


def test_what_breaks_off_leaves_nothing_behind_and_is_no_fault_of_the_server(folder: Path, capsys):
    with serving(folder) as client:

        def begun(path: str, content: bytes, kind: str) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", client.port))
            head = f"{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            head += f"Content-Type: {kind}\r\nContent-Length: 50000\r\n\r\n"
            connection.sendall(head.encode() + content)
            return connection

        def uploads() -> list[Path]:
            return list((folder / ".genvis").glob("upload-*"))

        with begun("PUT /api/upload?name=b.mp4", b"x" * 100, "application/octet-stream"):
            wait_until(uploads)
        wait_until(lambda: not uploads())
        begun("POST /api/jobs", b'{"video": ', "application/json").close()
        assert client.get("/api/state")["videos"]
        assert [path.name for path in folder.glob("*.mp4")] == ["clip.mp4"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_thousand_connections_at_once(client: Client):
    async def one(number: int) -> int:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", client.port), 20)
            writer.write(
                f"GET /api/state HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
            )
            line = await asyncio.wait_for(reader.readline(), 20)
            writer.close()
            return int(line.split()[1])
        except (OSError, TimeoutError, IndexError):
            return 0

    async def all_of_them() -> list[int]:
        idle = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(100)]
        answers = await asyncio.gather(*(one(number) for number in range(1000)))
        for _, writer in idle:
            writer.close()
        return answers

    answers = asyncio.run(all_of_them())
    assert answers.count(200) == 1000
    assert client.get("/api/state")["videos"]


@pytest.mark.parametrize(
    "raw", [b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"a" * 200_000, b"\r\n" * 10]
)
def test_what_is_no_request_harms_nobody(shared: Client, raw):
    with socket.create_connection(("127.0.0.1", shared.port)) as connection:
        connection.settimeout(1)
        try:
            connection.sendall(raw)
            answer = connection.recv(1000)
        except (TimeoutError, OSError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 200")
    assert shared.get("/api/state")


def test_no_answer_names_a_path_of_this_machine(client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("genvis.app.library.FRESH_SECONDS", 0.2)
    result = client.get("/api/state")["results"][0]["id"]
    client.opened(result)
    (folder / "results" / "clip" / "edits.jsonl").write_text("no log")
    broken = folder / "results" / "broken"
    broken.mkdir()
    (broken / "result.json").write_text('{"format":"genvis-video-result","name":"b","height":4,"width":4,"tracks":[')
    time.sleep(0.2)
    for other in client.get("/api/state")["results"]:
        client.send("GET", f"/api/results/{other['id']}")
    job = client.wait_for("/api/state", lambda state: [job for job in state["jobs"] if job["state"] == "failed"])
    answers = [json.dumps(job).encode()]
    (folder / "clip.mp4").write_bytes(b"no video")
    video = client.get("/api/state")["videos"][0]["id"]
    for method, path, body in (
        ("GET", "/api/state", None),
        ("GET", f"/api/results/{result}", None),
        ("GET", f"/api/results/{result}/frames/3", None),
        ("GET", f"/api/results/{result}/frames/99", None),
        ("POST", f"/api/results/{result}/edits", b'{"edit":"merge","track_ids":[1,2]}'),
        ("POST", f"/api/results/{result}/undo", b"{}"),
        ("GET", f"/api/videos/{video}/poster", None),
    ):
        answers.append(client.send(method, path, body, {"content-type": "application/json"})[2])
    for answer in answers:
        for secret in (str(folder.parent), "secret place", os.path.expanduser("~"), "site-packages", "Traceback"):
            assert secret.encode() not in answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cannot read '/srv/data/a b/c.json': it is gone.", "Cannot read 'a b/c.json': it is gone."),
        ("'/etc/x y/passwd' is odd", "'passwd' is odd"),
        ("see /home/me/.cache/hub/model.bin, please", "see model.bin, please"),
        (r"'C:\Users\me\x.mp4' is gone", "'x.mp4' is gone"),
        ("no file in /srv/data", "no file in the folder"),
        (
            "12 frames/s and 3/4 at 10:30; https://example.org/a/b",
            "12 frames/s and 3/4 at 10:30; https://example.org/a/b",
        ),
    ],
)
def test_paths_are_taken_out_of_sentences(text, expected):
    assert without_paths(text, Path("/srv/data")) == expected


def test_the_token_is_kept_for_the_user_alone(tmp_path: Path):
    token = kept_token(tmp_path)
    assert len(token) >= 43
    assert kept_token(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token").write_text("short")
    with pytest.raises(InputError, match="holds no token"):
        kept_token(tmp_path)


def test_names_of_the_server():
    assert host_names("127.0.0.1") == frozenset()
    assert socket.gethostname().lower() in host_names("0.0.0.0")
