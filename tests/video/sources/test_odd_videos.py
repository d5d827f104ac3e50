"""Undamaged videos of uncommon make: each is read as a player shows it, without a complaint.

In frame k of every video here, a white bar at the top is 8·(k + 1) pixels wide.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from genvis.video import open_source
from tests.video.video_helpers import MakeVideo

CASES = Path(__file__).parents[1] / "cases"
TENTHS = [number / 10 for number in range(12)]


def bars(count: int = 12) -> list[np.ndarray]:
    images = [np.full((96, 128, 3), 60, np.uint8) for _ in range(count)]
    for number, image in enumerate(images):
        image[:8, : 8 * (number + 1)] = 255
    return images


def bar_of(image: np.ndarray) -> int:
    """The number that the bar of a frame tells."""
    share = (image[:3].mean(axis=2) > 160).mean()
    return round(16 * float(share)) - 1


def read(path: Path) -> list[tuple[float, int]]:
    """The time and the number of every frame; the video must have no problem."""
    with open_source(path) as source:
        frames = [(frame.time, bar_of(frame.image)) for frame in source]
    assert (source.problem, source.notes) == (None, ())
    return frames


def check(path: Path, times: Sequence[float], numbers: Sequence[int] | None = None) -> None:
    frames = read(path)
    assert [number for _, number in frames] == list(range(len(times)) if numbers is None else numbers)
    assert [time for time, _ in frames] == pytest.approx(times, abs=2e-3)


def test_files_without_an_announced_duration() -> None:
    check(CASES / "mediarecorder.webm", TENTHS)
    with open_source(CASES / "h264.flv") as source:
        assert [frame.time for frame in source] == pytest.approx(TENTHS)
    assert source.problem is None


@pytest.mark.parametrize(
    ("name", "codec", "muxer"),
    [
        ("a.mkv", "libx264", "matroska"),
        ("a.webm", "libvpx-vp9", "webm"),
        ("a.mp4", "libx264", "mp4"),
        ("a.ts", "libx264", "mpegts"),
        ("a.flv", "libx264", "flv"),
        ("a.nut", "ffv1", "nut"),
        ("a.avi", "mpeg4", "avi"),
        ("a.h264", "libx264", "h264"),
        ("a.gif", "gif", "gif"),
        ("a.apng", "apng", "apng"),
    ],
)
def test_what_was_written_into_a_pipe(tmp_path: Path, name: str, codec: str, muxer: str) -> None:
    pixel_format = {"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p")
    options = {"movflags": "frag_keyframe+empty_moov"} if muxer == "mp4" else {}
    with (tmp_path / name).open("wb") as file, av.open(OneWay(file), "w", format=muxer, options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixel_format
        for image in bars():
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format))
            )
        container.mux(stream.encode())
    check(tmp_path / name, TENTHS)


class OneWay:
    """A file that can only be written on, like a pipe."""

    def __init__(self, file) -> None:
        self.write = file.write


def test_a_playlist(make_video: MakeVideo) -> None:
    options = {"hls_time": "0.3", "hls_list_size": "0", "hls_playlist_type": "vod"}
    path = make_video("list.m3u8", images=bars(), options=options, codec_options={"g": "3"})
    check(path, TENTHS)
    path.write_text(path.read_text().replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", ""))
    check(path, TENTHS)
    path.with_name("list1.ts").unlink()
    with open_source(path) as source:
        assert len(list(source)) == 9
    assert source.problem is not None
    assert source.problem.endswith("(9 frames), and 'list1.ts' of its playlist is missing.")


def test_an_edit_list_that_ends_early() -> None:
    check(CASES / "trim_end.mp4", TENTHS[:7])
    with open_source(CASES / "trim_end.mp4") as source:
        assert source.frame_count == 7


@pytest.mark.parametrize("first", [1, 4, 6])
def test_an_edit_list_that_begins_late(make_video: MakeVideo, first: int) -> None:
    whole = make_video("whole.mp4", images=bars(), codec_options={"g": "4", "bf": "2"})
    cut = whole.with_name("cut.mp4")
    with av.open(str(whole)) as reader, av.open(str(cut), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for packet in reader.demux(stream):
            if packet.dts is not None:
                shift = round(first / 10 / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                writer.mux(packet)
    check(cut, TENTHS[: 12 - first], range(first, 12))


def test_chunks_that_are_empty() -> None:
    check(CASES / "avi_dropped.avi", [0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.9, 1.0, 1.1], [0, 1, 2, 5, 6, 7, 9, 10, 11])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_reordered_frames_in_a_container_that_only_counts(make_video: MakeVideo, codec: str) -> None:
    check(make_video("a.avi", images=bars(), codec=codec, codec_options={"bf": "2"}), TENTHS)


def test_a_picture_before_the_film(tmp_path: Path) -> None:
    check(CASES / "plain_thumb_first.mkv", TENTHS)
    path = tmp_path / "both_default.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=10)
        picture.width, picture.height, picture.pix_fmt = 640, 480, "yuvj420p"
        film = container.add_stream("libx264", rate=10)
        film.width, film.height, film.pix_fmt = 128, 96, "yuv420p"
        container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")))
        container.mux(picture.encode())
        for image in bars():
            container.mux(film.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(film.encode())
    check(path, TENTHS)


def test_a_gap_of_half_an_hour() -> None:
    times = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 1800.5, 1800.7, 1800.8, 1800.9, 1801.0, 1801.1]
    check(CASES / "gap30min.mp4", times)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4", "a.mov", "a.nut"])
def test_variable_frame_rates(make_video: MakeVideo, name: str) -> None:
    times = [0, 0.04, 0.5, 0.533, 2, 2.25, 4, 8, 8.01, 8.02, 9, 20]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    check(make_video(name, images=bars(), times=times, codec=codec), times)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.flv", "a.ts", "a.avi", "a.asf", "a.nut"])
def test_sound_that_goes_on_after_the_last_frame(tmp_path: Path, name: str) -> None:
    suffix = name[2:]
    video = {"webm": "libvpx-vp9", "avi": "mpeg4", "asf": "wmv2", "nut": "mpeg4"}.get(suffix, "libx264")
    sound = {"webm": "libopus", "avi": "pcm_s16le", "asf": "aac", "nut": "pcm_s16le"}.get(suffix, "aac")
    with av.open(str(tmp_path / name), "w") as container:
        film = container.add_stream(video, rate=10)
        film.width, film.height, film.pix_fmt = 128, 96, "yuv420p"
        track = container.add_stream(sound, rate=48_000, layout="mono")
        for image in bars():
            container.mux(film.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(film.encode())
        for number in range(100):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 2400), np.int16), format="s16", layout="mono")
            silence.sample_rate, silence.pts = 48_000, 2400 * number
            container.mux(track.encode(silence))
        container.mux(track.encode())
    assert [number for _, number in read(tmp_path / name)] == list(range(12))


@pytest.mark.parametrize(
    "parameters",
    ["intra-refresh=1:keyint=6", "open-gop=1:keyint=5:bframes=3:b-pyramid=2", "tff=1:interlaced=1:keyint=5"],
)
@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv"])
def test_uncommon_streams(make_video: MakeVideo, suffix: str, parameters: str) -> None:
    check(make_video(f"a.{suffix}", images=bars(), codec_options={"x264-params": parameters}), TENTHS)


def test_a_recording_that_begins_between_two_key_frames(make_video: MakeVideo) -> None:
    path = make_video("a.ts", images=bars(), codec_options={"g": "4", "bf": "0"})
    data = path.read_bytes()
    with av.open(str(path)) as container:
        second = [packet.pos for packet in container.demux(video=0) if packet.size][1]
    head, rest = data[: 188 * 3], data[second // 188 * 188 :]
    path.write_bytes(head + rest)
    with open_source(path) as source:
        numbers = [bar_of(frame.image) for frame in source]
    assert numbers == list(range(4, 12))
    assert source.problem is None
    assert source.notes == ("'a' begins between two key frames: what comes before is left out (3 pictures).",)


@pytest.mark.parametrize("rotation", [0, 90])
def test_pixels_that_are_not_square(tmp_path: Path, make_video: MakeVideo, rotation: int) -> None:
    path = make_video("a.mp4", images=bars(), rotation=rotation, pixel_aspect=Fraction(16, 11))
    with open_source(path) as source:
        assert source.pixel_aspect == (Fraction(11, 16) if rotation else Fraction(16, 11))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mkv", "ffv1", "bgra"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.apng", "apng", "rgba"),
        ("a.mov", "png", "rgba"),
    ],
)
def test_what_is_transparent_is_laid_on_white(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    """The colours below full transparency are hidden, and stay so."""
    image = np.zeros((96, 128, 4), np.uint8)
    image[:, :, 0] = 200
    image[:, 64:, 3] = 255
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixel_format
        if name.endswith("webm"):
            stream.metadata["alpha_mode"] = "1"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba").reformat(format=pixel_format)))
        container.mux(stream.encode())
    frames = list(open_source(tmp_path / name))
    assert len(frames) == 3
    for frame in frames:
        assert frame.image[:, :60].min() > 245
        assert frame.image[:, 70:, 0].min() > 180
        assert frame.image[:, 70:, 1:].max() < 30


def test_sound_that_begins_where_nothing_announced_it(make_video: MakeVideo) -> None:
    """An FLV file has no list of its streams: one may begin after the reader has looked for them."""
    path = make_video("a.flv", images=bars(), codec_options={"bf": "0"})
    data, tags, place = path.read_bytes(), [], 13
    while place < len(data):
        length = 15 + int.from_bytes(data[place + 1 : place + 4], "big")
        tags.append(data[place : place + length])
        place += length
    sound = b"\x08" + (5).to_bytes(3, "big") + tags[8][4:8] + bytes(3) + b"\x3e" + bytes(4)
    sound += len(sound).to_bytes(4, "big")
    path.write_bytes(data[:13] + b"".join(tags[:9]) + sound + b"".join(tags[9:]))
    check(path, TENTHS)
