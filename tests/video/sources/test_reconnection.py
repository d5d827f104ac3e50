"""Streams that break off and come back, from a server on this machine."""

import threading

import pytest

from genvis.errors import InputError
from genvis.video import open_source, prefetch
from genvis.video.sources import reconnection
from tests.stream_server import StreamServer
from tests.video.video_helpers import MakeVideo


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnection, "FIRST_PAUSE", 0.05)


@pytest.fixture
def parts(make_video: MakeVideo) -> list[bytes]:
    """Three parts of what a camera sends, each of 20 frames at 25 per second, none like another."""
    parts = []
    for number in range(3):
        path = make_video(f"{number}.ts", codec="mpeg2video", frames=20, rate=25, height=48 + 16 * number)
        parts.append(path.read_bytes())
    return parts


def test_a_stream_that_drops_goes_on_when_it_is_back(parts: list[bytes], http_server: StreamServer) -> None:
    http_server.bodies = [parts[0], None, parts[1]]
    said: list[str] = []
    with open_source(f"{http_server.address}/live.ts", on_drop=said.append, reconnect=3) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(40))
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert times[20] - times[19] > 0.1  # The clock ran on while it was away.
    assert times[39] - times[20] == pytest.approx(19 / 25, abs=0.01)
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    # Dropped, refused once, came back, dropped for good: then the attempt that is left is refused.
    assert len(http_server.requests) == 4
    assert len(said) == 2
    assert "/live.ts' broke off after 0.76 s (20 frames)" in said[0]
    assert said[0].endswith("Connecting again, at most 3 times.")
    assert "dropped at 0.76 s for" in source.notes[-1]
    assert source.problem is not None
    assert "(40 frames)" in source.problem
    assert "After 3 attempts to connect again it was given up" in source.problem
    assert "404" in source.problem


def test_a_stall_counts_as_a_drop(parts: list[bytes], http_server: StreamServer) -> None:
    http_server.stalls = True
    http_server.bodies = [parts[0], parts[1]]
    with open_source(f"{http_server.address}/live.ts", timeout=0.7, reconnect=2) as source:
        frames = list(source)
    assert 30 <= len(frames) <= 40
    assert source.problem is not None
    assert "sent nothing for 0.7 s" in source.problem
    assert len(source.notes) == 2  # Away once; and the second part has another size.


def test_no_attempts_means_none(parts: list[bytes], http_server: StreamServer) -> None:
    http_server.bodies = [parts[0], parts[1]]
    with open_source(f"{http_server.address}/live.ts", reconnect=0) as source:
        assert len(list(source)) == 20
    assert len(http_server.requests) == 1
    with pytest.raises(InputError, match="-1 times"):
        open_source(f"{http_server.address}/live.ts", reconnect=-1)


def test_a_recording_that_begins_anew_is_not_taken_twice(parts: list[bytes], http_server: StreamServer) -> None:
    http_server.body = parts[0]
    with open_source(f"{http_server.address}/live.ts") as source:
        assert len(list(source)) == 20
    assert len(http_server.requests) == 2
    assert source.problem is not None
    assert "so it is a recording" in source.problem
    assert source.notes == ()


def test_pauses_grow_and_a_steady_connection_has_all_attempts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    location = reconnection.Location("rtsp://127.0.0.1:9/camera", label="camera", timeout=1.0, live=True)
    keeper = reconnection.Reconnection(location, attempts=7, tell=None)
    monkeypatch.setattr(reconnection, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(keeper._is_stopped, "wait", pauses.append)
    assert list(keeper.connections(ending="It ended.", now=1.0)) == []
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert list(keeper.connections(ending="It ended.", now=1.0)) == []
    assert len(pauses) == 7  # Nothing is left.
    monkeypatch.setattr(reconnection, "STEADY_SECONDS", -1.0)
    assert list(keeper.connections(ending="It ended.", now=1.0)) == []
    assert len(pauses) == 14


def test_who_stops_does_not_wait_for_a_stream_that_is_away(
    parts: list[bytes], http_server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnection, "FIRST_PAUSE", 60.0)
    http_server.bodies = [parts[0]]
    dropped = threading.Event()
    with (
        open_source(f"{http_server.address}/live.ts", on_drop=lambda _: dropped.set()) as source,
        prefetch(source, should_stop=dropped.is_set) as frames,
    ):
        assert len(list(frames)) == 20
    assert source.problem is not None  # The thread has ended: it did not wait for the minute.
    assert "reading was stopped" in source.problem
