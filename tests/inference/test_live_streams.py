"""A stream that breaks off and comes back, from the address to the outputs."""

import io
from dataclasses import replace

import av
import numpy as np
import pytest
from rich.console import Console

from genvis import VideoResult, VideoSegmenter
from genvis.cli.common.prediction_loop import PredictionLoop
from genvis.errors import InputError, SourceLost
from genvis.inference.jobs import PredictionOptions
from genvis.inference.live_jobs import predict_live
from genvis.video import FrameRange, open_source
from genvis.video.sources import reconnection
from genvis.video.sources.frames_in_memory import ArraySource
from tests.stream_server import StreamServer

OPTIONS = PredictionOptions(score_threshold=0, outputs=("youtube_vis", "video"))


def transport_stream(frames: np.ndarray) -> bytes:
    """Code frames without loss as a camera would send them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.fixture
def server():
    server = StreamServer()
    yield server
    server.close()


def test_identities_outlive_a_drop_and_what_was_done_is_written(
    server, tiny_model, golden_frames, tmp_path, monkeypatch
):
    monkeypatch.setattr(reconnection, "FIRST_PAUSE", 0.05)
    server.bodies = [transport_stream(golden_frames[:4]), None, transport_stream(golden_frames[4:])]
    console = Console(file=io.StringIO(), width=300)
    segmenter = VideoSegmenter(tiny_model, resolution=64)
    loop = PredictionLoop(segmenter=segmenter, out=tmp_path, options=OPTIONS, console=console, reconnect=2)
    monkeypatch.setattr("genvis.inference.live_jobs.prefetch", patient_prefetch)
    status = loop.run([f"{server.address}/live.ts"])
    assert status == 1  # Given up in the end, for the server has nothing more.
    said = console.file.getvalue()
    assert said.count("Connecting again, at most") == 1
    assert "After 2 attempts to connect again it was given up" in said
    result = VideoResult.load(tmp_path / "live")
    session = segmenter.open_session(score_threshold=0)
    straight = [session.step(frame) for frame in golden_frames]
    assert len(result) == 8
    for position, expected in enumerate(straight):
        found = {one.id: one.mask.tobytes() for one in result.frame(position)}
        assert found == {one.id: one.mask.tobytes() for one in expected}
    with open_source(tmp_path / "live" / "annotated.mp4") as video:
        assert len(list(video)) == 8


def test_a_lost_stream_is_an_error_after_its_last_frame(server, tiny_model, golden_frames, monkeypatch):
    monkeypatch.setattr(reconnection, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("genvis.inference.segmenter.prefetch", patient_prefetch)
    server.bodies = [transport_stream(golden_frames[:4])]
    arrived = []

    def watch():
        for frame, _ in VideoSegmenter(tiny_model, resolution=64).stream(f"{server.address}/live.ts"):
            arrived.append(frame.index)

    with pytest.raises(SourceLost, match="After 5 attempts to connect again it was given up"):
        watch()
    assert arrived == [0, 1, 2, 3]


class Camera(ArraySource):
    """Frames in memory that come as a camera's do: once."""

    is_live = True


@pytest.fixture
def record(tiny_model, golden_frames, tmp_path, monkeypatch):
    """A function that records a camera of some frames, and is killed at one of them."""
    monkeypatch.setattr("genvis.inference.live_jobs.prefetch", patient_prefetch)

    def recorded(*, frames, die_at=None, **options):
        def die(progress):
            if progress.frames == die_at:
                raise MemoryError("as if killed")

        source = Camera(golden_frames[:frames], name="camera0", frames=FrameRange(), frame_rate=10, bgr=False)
        segmenter = VideoSegmenter(tiny_model, resolution=64)
        options = replace(OPTIONS, **options)
        return predict_live(segmenter, source, tmp_path / "out", options, on_progress=die, should_stop=lambda: False)

    return recorded


def frames_in(path):
    with open_source(path) as video:
        return len(list(video))


@pytest.mark.parametrize("resume", [False, True])
def test_the_video_of_a_killed_stream_is_kept(resume, record, tmp_path):
    for frames in (4, 3):
        with pytest.raises(MemoryError):
            record(frames=8, die_at=frames, resume=resume)
    again = record(frames=8, resume=resume)
    kept = [tmp_path / "out" / f"annotated.killed-{number}.mp4" for number in (1, 2)]
    assert [frames_in(path) for path in (*kept, again.files.video)] == [4, 3, 8]
    assert f"The video of an earlier run that was killed is kept as '{kept[1]}'." in again.notes
    assert not list((tmp_path / "out").glob("*.part.mp4"))


def test_the_video_of_a_killed_stream_is_overwritten_where_that_is_asked_for(record, tmp_path):
    with pytest.raises(MemoryError):
        record(frames=8, die_at=4)
    assert frames_in(record(frames=8, overwrite=True).files.video) == 8
    assert [path.name for path in (tmp_path / "out").glob("*.mp4")] == ["annotated.mp4"]


def test_a_result_of_a_stream_is_never_taken_for_what_the_stream_sends_now(record, tmp_path):
    record(frames=8)
    before = (tmp_path / "out" / "result.json").read_bytes()
    with pytest.raises(InputError, match=r"result of an earlier recording, and what 'camera0' sends now .*overwrite"):
        record(frames=8, resume=True)
    assert (tmp_path / "out" / "result.json").read_bytes() == before


def patient_prefetch(source, *, drop_late, **options):
    """Wait for slow tests instead of dropping what comes too fast."""
    from genvis.video.sources.prefetch import prefetch

    return prefetch(source, **options)
