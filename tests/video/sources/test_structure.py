"""Damage that the decoder passes over is found in the structure of files; sound files of uncommon make have none."""

import io
from collections.abc import Iterable
from hashlib import md5
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest
from PIL import Image

from genvis.errors import InputError
from genvis.video import open_source
from genvis.video.sources.structure import matroska, mpeg_streams
from genvis.video.sources.structure.sized_file import SizedFile, StructureError
from tests.robustness.mutations import damage
from tests.robustness.sample_videos import FRAMES, KINDS, VideoKind, picture, write_video
from tests.video.video_helpers import MakeVideo

BY_NAME = {kind.name: kind for kind in KINDS}
# Trials of the campaign of damaged videos (seed 200) that once lost frames in silence.
# fmt: off
ONCE_SILENT = (
    42, 286, 386, 393, 506, 545, 560, 611, 651, 665, 712, 718, 925, 972, 1087, 1179, 1215, 1223, 1364, 1557, 1634,
    1641, 1706, 1772, 1826, 1882, 2017, 2113, 2131, 2143, 2179, 2200, 2214, 2284, 2289, 2412, 2415, 2864, 2946,
    2954, 2956, 3003, 3013, 3073, 3093, 3134, 3219, 3337, 3393,
)
# fmt: on


@pytest.mark.parametrize(("seed", "number"), [*((200, number) for number in ONCE_SILENT), (8, 307), (8, 1023)])
def test_losses_that_were_silent_are_told(seed: int, number: int, tmp_path: Path) -> None:
    random = Random(f"videos-{seed}-{number}")
    path = write_video(random.choice(KINDS), tmp_path)
    assert_told(path, random)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("faststart.mp4", 1295),
        ("mpeg4.mp4", 1203),
        ("h264.flv", 1007),
        ("mpeg1.mpeg", 1113),
        ("stream.h264", 1146),
        ("stream.mjpeg", 1039),
        ("stream.mjpeg", 1256),
        ("stream.mjpeg", 1386),
        ("stream.ivf", 1010),
    ],
)
def test_losses_that_the_long_test_of_damaged_videos_found_are_told(name: str, number: int, tmp_path: Path) -> None:
    assert_told(sample(name, tmp_path), Random(number))


def assert_told(path: Path, random: Random) -> None:
    """Damage a video, and assert that no frame is lost in silence."""
    sound = path.read_bytes()
    path.write_bytes(damage(sound, random)[0])
    try:
        frames, problem = read(path)
    except InputError:
        return
    told = f"{path.name}: {frames} frames of {FRAMES}; sound file {md5(sound).hexdigest()}"
    assert frames == FRAMES or problem is not None, f"{told}, damaged {md5(path.read_bytes()).hexdigest()}"


def read(path: Path) -> tuple[int, str | None]:
    with open_source(path) as source:
        return sum(1 for _ in source), source.problem


def sample(name: str, folder: Path) -> Path:
    return write_video(BY_NAME[name], folder)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.h264", {"slices": "4"}),
        ("a.h264", {"x264-params": "b-pyramid=strict:bframes=8"}),
        ("a.h264", {"x264-params": "open-gop=1:keyint=5:bframes=3"}),
        ("a.h264", {"x264-params": "intra-refresh=1:keyint=6"}),
        ("a.h264", {"x264-params": "tff=1"}),
        ("a.h264", {"x264-params": "fake-interlaced=1"}),
        ("a.h264", {"profile": "baseline"}),
        ("a.h264", {"x264-params": "cqm=jvt"}),
        ("a.ts", {"slices": "4"}),
        ("a.mpg", {"x264-params": "tff=1"}),
    ],
)
def test_sound_streams_of_h264(name: str, options: dict[str, str], make_video: MakeVideo) -> None:
    images = [picture(number) for number in range(24)]
    assert read(make_video(name, images=images, rate=25, codec_options=options)) == (24, None)


@pytest.mark.parametrize("muxer", ["vcd", "svcd", "dvd", "mpeg"])
def test_sound_program_streams(muxer: str, tmp_path: Path) -> None:
    codec = "mpeg1video" if muxer in ("vcd", "mpeg") else "mpeg2video"
    assert read(write_video(VideoKind("a.mpg", codec, format=muxer), tmp_path)) == (FRAMES, None)


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.ts", "mpeg2.mpg", "stream.h264", "stream.mjpeg", "stream.hevc"])
@pytest.mark.parametrize("chunk", [3, 50_000])
def test_files_that_were_joined_are_sound(
    name: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mpeg_streams, "CHUNK_PACKETS", chunk)
    path = sample(name, tmp_path)
    path.write_bytes(3 * path.read_bytes())
    assert read(path) == (3 * FRAMES, None)


def test_pictures_of_any_writer_with_filling_between_them_are_sound(tmp_path: Path) -> None:
    path, data = tmp_path / "a.mjpeg", b""
    for number in range(FRAMES):
        buffer = io.BytesIO()
        Image.fromarray(picture(number)).save(buffer, "jpeg", progressive=number % 2 == 1, optimize=number % 3 == 0)
        data += buffer.getvalue() + bytes(number % 4)
    path.write_bytes(data)
    assert read(path) == (FRAMES, None)


def packets_of(path: Path, length: int = 188) -> list[bytes]:
    data = path.read_bytes()
    return [data[start : start + length] for start in range(0, len(data), length)]


def number_of(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


@pytest.mark.parametrize("chunk", [2, 50_000])
def test_every_packet_of_a_transport_stream_that_is_missing_is_told(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mpeg_streams, "CHUNK_PACKETS", chunk)
    packets = packets_of(sample("mpeg2.ts", tmp_path))
    video = [number for number, packet in enumerate(packets) if number_of(packet) == 256]
    # A last frame that is one packet leaves no trace.
    for missing in video[1:] if not packets[video[-1]][1] & 0x40 else video[1:-1]:
        with pytest.raises(StructureError, match=r"packets of it are missing or damaged at byte|ends in the middle"):
            check(mpeg_streams.check_transport_stream, packets[:missing] + packets[missing + 1 :], tmp_path)
    others = [number for number in range(len(packets)) if number not in video]
    check(mpeg_streams.check_transport_stream, [packets[number] for number in (*others, *video)], tmp_path)


def check(function, parts: Iterable[bytes], folder: Path, *, video: int = 256) -> None:
    path = folder / "parts"
    path.write_bytes(b"".join(parts))
    with path.open("rb") as stream:
        function(SizedFile(path, stream, video=video, shown=0))


@pytest.mark.parametrize(
    ("lacing", "data", "is_sound"),
    [
        (1, bytes((2, 255, 5, 3)) + bytes(260 + 3 + 7), True),
        (1, bytes((2, 255, 5, 3)) + bytes(262), False),
        (2, bytes((2,)) + bytes(9), True),
        (2, bytes((2,)) + bytes(10), False),
        # The first has 100 bytes, the second 100 + 4, the last the rest.
        (3, bytes((2, 0x80 | 100, 0x80 | 63 + 4)) + bytes(204 + 1), True),
        (3, bytes((2, 0x80 | 100, 0x80 | 63 + 4)) + bytes(203), False),
        (3, bytes((2, 0x80 | 10, 0x80 | 63 - 20)) + bytes(99), False),
    ],
)
def test_laces_of_matroska(lacing: int, data: bytes, is_sound: bool, tmp_path: Path) -> None:
    def laces(file: SizedFile) -> None:
        matroska._laces(file, 0, file.size, lacing)

    if is_sound:
        check(laces, [data], tmp_path)
    else:
        with pytest.raises(StructureError):
            check(laces, [data], tmp_path)


@pytest.mark.parametrize("name", ["wmv2.wmv", "msmpeg4.asf", "ffv1.nut", "mpeg2.mpg", "animation.apng", "stream.ivf"])
def test_zeroed_heads_are_told(name: str, tmp_path: Path) -> None:
    """Every tenth of the file in turn: eight zeros lose a frame with a word, or lose none."""
    path = sample(name, tmp_path)
    whole = path.read_bytes()
    for start in np.linspace(len(whole) // 4, len(whole) - 200, 12).astype(int).tolist():
        path.write_bytes(whole[:start] + bytes(8) + whole[start + 8 :])
        try:
            frames, problem = read(path)
        except InputError:
            continue
        assert frames == FRAMES or problem is not None, start


@pytest.mark.parametrize("removed", range(1, FRAMES - 1))
def test_a_picture_that_is_taken_out_of_raw_h264_is_told(removed: int, tmp_path: Path) -> None:
    path = sample("stream.h264", tmp_path)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    path.write_bytes(b"".join(packets[:removed] + packets[removed + 1 :]))
    frames, problem = read(path)
    assert frames < FRAMES
    # The last picture before a new beginning leaves no trace.
    with av.open(str(path)) as container:
        keys = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    if removed not in keys:
        assert problem is not None
        assert "pictures of it are missing before byte" in problem
