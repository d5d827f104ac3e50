"""Any frame in any order is the very frame that reading from the beginning delivers."""

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from genvis.errors import InputError
from genvis.video import open_source
from genvis.video.sources.random_access import FrameReader

FRAMES = 60
# Container, codec and options: B-frames in open and closed groups, hidden frames, few and many key frames, no stamps.
KINDS = {
    "h264": (".mp4", "libx264", {"g": "12", "bf": "3"}),
    "h264 open groups": (
        ".mp4",
        "libx264",
        {"g": "12", "bf": "3", "x264-params": "open-gop=1:keyint=12:min-keyint=12"},
    ),
    "h264 one key frame": (".mkv", "libx264", {"g": "600", "bf": "2"}),
    "h264 refresh without key frames": (".mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=15"}),
    "hevc open groups": (".mp4", "libx265", {"x265-params": "open-gop=1:keyint=12:bframes=4:log-level=none"}),
    "vp9": (".webm", "libvpx-vp9", {"g": "16", "auto-alt-ref": "1", "lag-in-frames": "12", "cpu-used": "8"}),
    "mpeg2 in a transport stream": (".ts", "mpeg2video", {"g": "10", "bf": "2"}),
    "mpeg4 in avi": (".avi", "mpeg4", {"g": "10", "bf": "2"}),
    "h264 without a container": (".h264", "libx264", {"g": "12", "bf": "2"}),
    "motion jpeg": (".mkv", "mjpeg", {}),
}


def write(path: Path, codec: str, options: dict[str, str], *, ticks: list[int], rate: int = 25) -> Path:
    """A bar that moves over noise, one place a frame, at given milliseconds."""
    noise = np.random.default_rng(0).integers(0, 90, (48, 96, 3), np.uint8)
    with av.open(str(path), "w") as container:
        try:
            stream = container.add_stream(codec, rate=rate, options=options)
        except (ValueError, av.error.FFmpegError):
            pytest.skip(f"This FFmpeg has no {codec}.")
        stream.width, stream.height = 96, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = Fraction(1, 1000)
        counts = codec in ("mpeg4", "mpeg2video")  # Encoders that take whole frames.
        stream.codec_context.time_base = Fraction(1, rate) if counts else Fraction(1, 1000)
        for number, tick in enumerate(ticks):
            image = np.roll(noise, number, axis=1)
            image[:, number : number + 8] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = number if counts else tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def check(path: Path, *, stride: int = 1) -> FrameReader:
    with open_source(path, stride=stride) as source:
        frames = list(source)
    assert len(frames) > 5
    order = [0, 1, 2, len(frames) - 1, len(frames) - 2, *range(20, 12, -1)]
    order = [position for position in order if position < len(frames)]
    order += random.Random(0).choices(range(len(frames)), k=40)
    reader = FrameReader(path, indices=[one.index for one in frames], times=[one.time for one in frames])
    with reader:
        for position in order:
            assert np.array_equal(reader.image(position), frames[position].image), position
        with pytest.raises(InputError, match="There is no frame"):
            reader.image(len(frames))
    return reader


@pytest.mark.parametrize("kind", KINDS)
def test_jumps_deliver_the_frames_of_reading_in_order(kind, tmp_path):
    suffix, codec, options = KINDS[kind]
    path = write(tmp_path / f"a{suffix}", codec, options, ticks=[40 * number for number in range(FRAMES)])
    reader = check(path)
    assert reader.is_searched == (suffix not in (".avi", ".h264"))


def test_variable_frame_rate(tmp_path):
    steps = random.Random(1).choices([5, 33, 40, 400, 3000], k=FRAMES)
    ticks = np.cumsum(steps).tolist()
    assert check(write(tmp_path / "a.mkv", "libx264", {"g": "9", "bf": "3"}, ticks=ticks)).is_searched


def test_a_stride_and_a_late_begin(tmp_path):
    path = write(tmp_path / "a.mp4", "libx264", {"g": "12", "bf": "3"}, ticks=[7000 + 40 * n for n in range(FRAMES)])
    assert check(path, stride=3).is_searched


def test_repeated_stamps_are_counted_instead(tmp_path):
    path = write(tmp_path / "a.mkv", "mjpeg", {}, ticks=[40 * number for number in range(FRAMES)])
    with open_source(path) as source:
        frames = list(source)
    # As the clock of a source tells frames of one stamp apart.
    times = [one.time + (0.001 if one.index == 30 else 0) for one in frames]
    with FrameReader(path, indices=range(FRAMES), times=times) as reader:
        for position in (40, 30, 31, 5, 59, 30):
            assert np.array_equal(reader.image(position), frames[position].image)
        assert not reader.is_searched


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_reader_that_was_closed_opens_again(tmp_path, suffix):
    codec = "libx264" if suffix == ".mp4" else "mpeg4"
    path = write(tmp_path / f"a{suffix}", codec, {"g": "12"}, ticks=[40 * number for number in range(FRAMES)])
    with open_source(path) as source:
        frames = list(source)
    reader = FrameReader(path, indices=range(FRAMES), times=[one.time for one in frames])
    for position in (30, 31, 0, 59):
        assert np.array_equal(reader.image(position), frames[position].image)
        reader.close()


def test_images(tmp_path):
    for number in range(12):
        Image.fromarray(np.full((8, 9, 3), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
    with FrameReader(tmp_path, indices=range(12), times=[number / 24 for number in range(12)]) as reader:
        for position in (11, 0, 7):
            assert reader.image(position)[0, 0, 0] == 20 * position


def test_another_video_is_one_sentence(tmp_path):
    path = write(tmp_path / "a.mp4", "libx264", {}, ticks=[40 * number for number in range(10)])
    with FrameReader(path, indices=range(20), times=[number / 25 for number in range(20)]) as reader:
        reader.image(3)
        with pytest.raises(InputError, match=r"Frame 15 of the result is not in 'a\.mp4'"):
            reader.image(15)
        reader.image(9)


def test_a_long_way_keeps_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("genvis.video.sources.random_access.CACHED_BYTES", 100_000)
    path = write(tmp_path / "a.mp4", "libx264", {"g": "600"}, ticks=[40 * number for number in range(FRAMES)])
    check(path)
