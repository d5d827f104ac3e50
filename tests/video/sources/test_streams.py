"""Network streams against a server of our own that stalls, drops or refuses."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from genvis.errors import InputError
from genvis.video import FrameRange, open_source
from genvis.video.sources.container import ContainerSource
from genvis.video.sources.decoding import Location
from genvis.video.sources.opening import camera
from tests.stream_server import StreamServer
from tests.video.video_helpers import MakeVideo

DEVICES = [("Built-in camera", ["video"]), ("Microphone", ["audio"]), ("USB camera", ["video", "audio"])]


def test_a_finished_file_over_http(make_video: MakeVideo, http_server: StreamServer) -> None:
    http_server.body = make_video("video.mp4", options={"movflags": "faststart"}).read_bytes()
    with open_source(f"{http_server.address}/some/video.mp4?token=1") as source:
        assert (source.name, source.is_live, source.frame_count) == ("video", False, 10)
        assert len(list(source)) == 10
    assert source.problem is None


def test_a_stream_that_stalls_ends_with_a_sentence(make_video: MakeVideo, http_server: StreamServer) -> None:
    http_server.body = make_video("video.ts", codec="mpeg2video", frames=40, rate=25).read_bytes()
    http_server.stalls = True
    with open_source(f"{http_server.address}/live.ts", timeout=1.0) as source:
        frames = list(source)
    assert 30 <= len(frames) <= 40
    assert source.problem is not None
    assert f"/live.ts' sent nothing for 1 s and was given up after {frames[-1].time:.2f} s" in source.problem


def test_a_stream_that_drops_ends_with_a_sentence(make_video: MakeVideo, http_server: StreamServer) -> None:
    http_server.body = make_video("video.ts", codec="mpeg2video", frames=40, rate=25).read_bytes()
    with open_source(f"{http_server.address}/live.ts", timeout=5.0) as source:
        frames = list(source)
        assert source.is_live
    assert len(frames) == 40
    assert source.problem is not None
    assert f"broke off after {frames[-1].time:.2f} s (40 frames)" in source.problem
    assert frames[-1].time == pytest.approx(1.56, abs=0.01)
    assert list(source) == []
    assert "has been read already" in source.problem


def test_a_server_that_refuses_is_named_without_the_password(http_server: StreamServer) -> None:
    with pytest.raises(InputError) as caught:
        open_source(f"http://user:secret@127.0.0.1:{http_server.port}/missing.mp4?key=secret", timeout=2.0)
    assert f"'http://127.0.0.1:{http_server.port}/missing.mp4' cannot be opened" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nobody_listens() -> None:
    with pytest.raises(InputError, match=r"rtsp://127.0.0.1:9/camera' cannot be opened as a video: Connection refused"):
        open_source("rtsp://127.0.0.1:9/camera", timeout=2.0)


def test_a_server_that_never_answers_is_given_up(http_server: StreamServer) -> None:
    http_server.is_mute = True
    with pytest.raises(InputError, match="did not answer within 1 s"):
        open_source(f"{http_server.address}/video.mp4", timeout=1.0)


def test_a_device_is_live_and_is_read_once() -> None:
    """FFmpeg's own test device stands for a camera: a format and a name instead of a file."""
    device = Location("testsrc=size=64x48:rate=10", label="camera 0", format="lavfi", timeout=2.0, live=True)
    with ContainerSource(device, name="camera0", frames=FrameRange(stride=2)) as source:
        assert (source.is_live, source.frame_count, source.size) == (True, None, (48, 64))
        frames = list(itertools.islice(source, 3))
        assert [frame.index for frame in frames] == [0, 2, 4]
        assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4])
        assert list(source) == []
    assert source.problem == "'camera 0' is live and has been read already."


def test_a_camera_is_named_as_each_system_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    location = camera(1, 3.0)
    assert (location.format, location.address, location.live) == ("avfoundation", "1:none", True)
    monkeypatch.setattr("sys.platform", "win32")
    devices = [SimpleNamespace(name=name, media_types=types) for name, types in DEVICES]
    monkeypatch.setattr("av.device.enumerate_input_devices", lambda kind: devices)
    assert camera(1, 3.0).address == "video=USB camera"
    with pytest.raises(InputError, match="There is no camera 2: this computer has 2"):
        camera(2, 3.0)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "exists", lambda self: str(self) == "/dev/video3")
    assert (camera(3, 3.0).format, camera(3, 3.0).address) == ("video4linux2", "/dev/video3")
