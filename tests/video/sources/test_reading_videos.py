import gc
import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from genvis.errors import InputError
from genvis.video import FrameRange, open_source
from tests.stream_server import StreamServer
from tests.video.video_helpers import MakeVideo, number_of


def test_frames_come_in_order_with_place_time_and_name(make_video: MakeVideo) -> None:
    with open_source(make_video()) as source:
        assert (source.name, source.size, source.frame_count, source.frame_rate) == ("video", (48, 64), 10, 10.0)
        assert not source.is_live
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([number / 10 for number in range(10)])
    assert frames[3].name == "00003"
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous
    assert source.problem is None
    assert source.notes == ()


def test_a_file_can_be_read_again_even_after_closing_or_breaking_off(make_video: MakeVideo) -> None:
    source = open_source(make_video())
    first = next(iter(source))
    again = [frame.index for frame in source]
    source.close()
    assert first.index == 0
    assert again == [frame.index for frame in source] == list(range(10))


@pytest.mark.parametrize(("start", "stop", "stride"), [(0, None, 3), (2, 8, 1), (3, 9, 4), (0, 99, 1), (20, None, 1)])
def test_ranges_are_those_of_python(make_video: MakeVideo, start: int, stop: int | None, stride: int) -> None:
    expected = list(range(10))[start:stop:stride]
    with open_source(make_video(), start=start, stop=stop, stride=stride) as source:
        assert source.frame_count == len(expected)
        frames = list(source)
    assert [frame.index for frame in frames] == [number_of(frame.image) for frame in frames] == expected
    assert source.problem is None


@pytest.mark.parametrize(("start", "stop", "stride"), [(-1, None, 1), (5, 5, 1), (0, None, 0)])
def test_a_range_that_is_none_is_named(start: int, stop: int | None, stride: int) -> None:
    with pytest.raises(InputError, match="is no range"):
        FrameRange(start, stop, stride)


def test_variable_frame_rates_keep_their_times(make_video: MakeVideo) -> None:
    times = [0.0, 0.04, 0.5, 0.533, 2.0, 2.25]
    path = make_video("vfr.mkv", frames=len(times), times=times)
    with open_source(path) as source:
        assert [frame.time for frame in source] == pytest.approx(times, abs=0.002)
    assert source.problem is None


def test_times_begin_at_zero_wherever_the_file_begins(make_video: MakeVideo) -> None:
    # MPEG transport streams begin at 1.4 s.
    frames = list(open_source(make_video("video.ts", codec="mpeg2video", rate=25)))
    assert frames[0].time == 0
    assert frames[-1].time == pytest.approx(0.36, abs=0.001)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mov", "mjpeg", "yuvj420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mkv", "ffv1", "yuv420p10le"),
        ("b.mkv", "ffv1", "gray16le"),
        ("c.mkv", "ffv1", "gray"),
        ("d.mkv", "ffv1", "bgra"),
    ],
)
def test_containers_and_pixel_formats(make_video: MakeVideo, name: str, codec: str, pixel_format: str) -> None:
    frames = list(open_source(make_video(name, frames=6, codec=codec, pixel_format=pixel_format)))
    assert len(frames) == 6
    tolerance = 40 if codec == "gif" else 3
    for number, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert float(frame.image.mean()) == pytest.approx(20 + 8 * number, abs=tolerance)


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (270, (0, -1))], ids=str)
def test_rotation_is_applied(make_video: MakeVideo, rotation: int, corner: tuple[int, int]) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:16, :16] = 255
    with open_source(make_video(rotation=rotation, images=[image] * 3)) as source:
        frame = next(iter(source))
    assert source.size == frame.image.shape[:2] == ((64, 48) if rotation in (90, 270) else (48, 64))
    corners = {(y, x): int(frame.image[y, x].mean()) for y in (0, -1) for x in (0, -1)}
    assert max(corners, key=lambda place: corners[place]) == corner
    assert sorted(corners.values())[-2] < 40


def test_mirroring_is_applied(make_video: MakeVideo) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :16] = 255
    path = make_video("plain.mp4", images=[image])
    mirrored = path.with_name("mirrored.mp4")
    with av.open(str(path)) as reader, av.open(str(mirrored), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        copy.set_display_rotation(0, hflip=True)
        for packet in reader.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                writer.mux(packet)
    frame = next(iter(open_source(mirrored)))
    assert frame.image[:, -8:].mean() > 200
    assert frame.image[:, :40].mean() < 40


@pytest.mark.parametrize("name", ["mit Leerzeichen.mp4", "видео 视频 ü.mp4", "a:b%20c#d?e.mp4", "[1] *.mp4"])
def test_unusual_names(make_video: MakeVideo, name: str) -> None:
    path = make_video(name, frames=2)
    with open_source(str(path)) as source:
        assert source.name == path.stem
        assert len(list(source)) == 2


def test_a_relative_path_that_looks_like_a_protocol(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_video("http:x.mp4", frames=2).parent)
    assert len(list(open_source("http:x.mp4"))) == 2


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 400), (2, 2)])
def test_tiny_frames(make_video: MakeVideo, height: int, width: int) -> None:
    path = make_video("tiny.mkv", frames=3, height=height, width=width, codec="ffv1")
    assert [frame.image.shape for frame in open_source(path)] == [(height, width, 3)] * 3


def test_8k_frames(make_video: MakeVideo) -> None:
    path = make_video("8k.mkv", frames=1, height=4320, width=7680, codec="mjpeg", pixel_format="yuvj420p")
    assert next(iter(open_source(path))).image.shape == (4320, 7680, 3)


def test_one_frame(make_video: MakeVideo) -> None:
    with open_source(make_video(frames=1)) as source:
        assert [frame.time for frame in source] == [0.0]
    assert source.problem is None


def test_no_frame(make_video: MakeVideo) -> None:
    path = make_video("empty.avi", frames=10, codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    with open_source(path) as source:
        assert source.size is None
        assert list(source) == []
    assert source.problem == f"'{path}' holds no frame that can be decoded."


def test_a_truncated_file_gives_what_it_has_and_says_up_to_where(make_video: MakeVideo) -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8))
    path = make_video(images=images, options={"movflags": "faststart"}, codec_options={"g": "5", "bf": "0"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(path) as source:
        frames = list(source)
    assert 5 <= len(frames) <= 12
    assert source.problem is not None
    assert f"decoded up to {frames[-1].time:.2f} s ({len(frames)} frames), of 20 frames" in source.problem


def test_a_truncated_file_without_frame_numbers(make_video: MakeVideo) -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8))
    path = make_video("video.mkv", images=images, codec_options={"g": "5", "bf": "0"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(path) as source:
        frames = list(source)
    assert 8 <= len(frames) <= 20
    assert source.problem is not None
    assert "is truncated or damaged" in source.problem


def test_a_file_without_its_index_is_named(make_video: MakeVideo) -> None:
    path = make_video()
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match=r"video.mp4' cannot be opened as a video: Invalid data"):
        open_source(path)


def test_damage_in_the_middle_costs_only_what_is_damaged(make_video: MakeVideo) -> None:
    path = make_video("video.mkv", frames=12, codec="mjpeg", pixel_format="yuvj420p")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    place = data.index(packets[5])
    path.write_bytes(data[:place] + b"\0" * len(packets[5]) + data[place + len(packets[5]) :])
    with open_source(path) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert source.problem == "'video' has 1 damaged frame, left out: near 0.40 s."


@pytest.mark.parametrize("name", ["notes.md", "list.txt", "empty.mp4", "noise.mp4"])
def test_what_is_no_video_is_named(tmp_path: Path, name: str) -> None:
    content = {"empty.mp4": b"", "noise.mp4": os.urandom(5000)}.get(name, b"# A text\n\nof some lines\n" * 50)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        open_source(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="holds no video"):
        open_source(tmp_path / "sound.wav")


def test_a_playlist_on_disk_fetches_nothing(tmp_path: Path, http_server: StreamServer) -> None:
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{http_server.address}/video.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(InputError, match="cannot be opened"):
        open_source(tmp_path / "list.m3u8")
    assert http_server.requests == []


def test_an_open_source_is_its_own_source(make_video: MakeVideo) -> None:
    source = open_source(make_video())
    assert open_source(source) is source
    with pytest.raises(InputError, match="where it is opened"):
        open_source(source, start=3)


def test_decoded_frames_are_freed_without_the_garbage_collector(make_video: MakeVideo) -> None:
    """A frame in a reference cycle keeps its picture, converter and threads until the collector happens to run."""
    gc.collect()
    others = decoded_frames_in_memory()
    gc.disable()
    try:
        with open_source(make_video(frames=100)) as source:
            alive = [decoded_frames_in_memory() - others for frame in source if frame.index % 33 == 0]
    finally:
        gc.enable()
    assert len(alive) == 4
    assert max(alive) <= 40  # What the threads of the decoder hold at the end.


def decoded_frames_in_memory() -> int:
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())


def test_a_small_file_with_huge_frames_is_refused(tmp_path: Path, make_video: MakeVideo) -> None:
    """Its header alone would fill the memory."""
    path = make_video("a.gif", height=304, width=320, frames=2, codec="gif", pixel_format="rgb8")
    path.write_bytes(path.read_bytes().replace(struct.pack("<HH", 320, 304), struct.pack("<HH", 15_000, 15_000)))
    with pytest.raises(InputError, match=r"a.gif' has frames of 15000x15000, more than 100 million pixels"):
        open_source(path)
