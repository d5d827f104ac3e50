import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from genvis.errors import InputError, OutputError
from genvis.files import atomic_file, make_folder, write_json, write_text
from genvis.video import ContactSheet, open_source
from genvis.video.drawing.palette import track_color
from genvis.video.writing import video_writer as writing_module
from genvis.video.writing.label_png import read_label_png, safe_name, write_label_png
from genvis.video.writing.video_writer import VideoWriter

needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def flat(number: int, *, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), (200, 60, 20 + 10 * number), np.uint8)


def write_frames(path: Path, images: Sequence[np.ndarray]) -> None:
    with VideoWriter(path) as writer:
        for number, image in enumerate(images):
            writer.write(image, time=number / 25)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63), (8, 8), (1, 1), (17, 300)])
def test_frames_and_times_come_back(tmp_path: Path, height: int, width: int) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.51, 1.75, 1.8]
    with VideoWriter(tmp_path / "out.mp4", frame_rate=25) as writer:
        for number, time in enumerate(times):
            writer.write(flat(number, height=height, width=width), time=100 + time)
    assert writer.frames == len(times)
    assert os.listdir(tmp_path) == ["out.mp4"]
    with open_source(tmp_path / "out.mp4") as source:
        assert source.size == (max(16, height + height % 2), max(16, width + width % 2))
        frames = list(source)
    assert source.problem is None
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    for number, frame in enumerate(frames):
        difference = frame.image[:height, :width].astype(int) - flat(number, height=height, width=width)
        assert np.abs(difference).max() <= 6


def test_it_is_h264_that_every_player_plays(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", frame_rate=10) as writer:
        for number in range(5):
            writer.write(flat(number), time=number / 10)
    kinds = [kind for kind, _ in boxes(tmp_path / "out.mp4")]
    assert kinds.count(b"moov") == kinds.count(b"mdat") == 1
    assert b"moof" not in kinds
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.start_time) == ("h264", "yuv420p", 0)
        assert float(stream.duration * stream.time_base) == pytest.approx(0.5, abs=1e-3)


def boxes(path: Path) -> list[tuple[bytes, int]]:
    """The kinds and sizes of an MP4 file's parts."""
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        found.append((kind, size))
        place += size
    return found


def test_without_libx264_another_encoder_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "ENCODERS", ("no_such_encoder", "mpeg4"))
    with VideoWriter(tmp_path / "out.mp4") as writer:
        writer.write(flat(0), time=0)
    assert len(list(open_source(tmp_path / "out.mp4"))) == 1
    monkeypatch.setattr(writing_module, "ENCODERS", ("no_such_encoder",))
    with pytest.raises(InputError, match="no encoder"):
        write_frames(tmp_path / "other.mp4", [flat(0)])


def test_times_that_stand_still_are_spread(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4") as writer:
        for number in range(3):
            writer.write(flat(number), time=1.0)
    times = [frame.time for frame in open_source(tmp_path / "out.mp4")]
    assert times == sorted(set(times))
    assert len(times) == 3


def test_no_frame_leaves_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4"):
        pass
    assert os.listdir(tmp_path) == []


def test_an_error_leaves_a_playable_part_and_the_old_video(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the old one")
    with suppress(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4") as writer:
        for number in range(5):
            writer.write(flat(number), time=number / 25)
        raise KeyboardInterrupt
    assert (tmp_path / "out.mp4").read_bytes() == b"the old one"
    assert len(list(open_source(writer.part))) == 5


def test_a_killed_process_leaves_a_playable_part(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, numpy as np
        from genvis.video.writing.video_writer import VideoWriter
        writer = VideoWriter(sys.argv[1])
        for number in range(10_000):
            writer.write(np.full((48, 64, 3), number % 250, np.uint8), time=number / 25)
            if number == 99:
                print("far enough", flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "out.mp4")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "far enough\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    frames = list(open_source(tmp_path / "out.part.mp4"))
    assert len(frames) >= 70
    assert [frame.time for frame in frames] == pytest.approx([number / 25 for number in range(len(frames))], abs=1e-3)


def test_another_size_is_named(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4") as writer:
        writer.write(flat(0), time=0)
        with pytest.raises(InputError, match=r"\(8, 9\) cannot join"):
            writer.write(flat(0, height=8, width=9), time=1)


@pytest.mark.parametrize("name", ["out.avi", "out"])
def test_other_containers_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        VideoWriter(tmp_path / name)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write '.*out\.mp4': a folder of its path is missing"):
        write_frames(tmp_path / "missing" / "out.mp4", [flat(0)] * 3)


@needs_dev_full
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
    (tmp_path / "out.part.mp4").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"Cannot write '.*out\.mp4': the disk is full"):
        write_frames(tmp_path / "out.mp4", [*noise] * 10)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are those of Linux here")
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_file_that_may_not_grow_leaves_a_playable_part(tmp_path: Path, share: float) -> None:
    """The limit stands for a disk that fills up: at the first frame, on the way, and at the index."""
    write_frames(tmp_path / "whole.mp4", list(np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)))
    limit = int(share * (tmp_path / "whole.mp4").stat().st_size)
    script = textwrap.dedent(
        f"""
        import resource, signal, sys, numpy as np
        from genvis.errors import OutputError
        from genvis.video.writing.background_writer import BackgroundWriter
        from genvis.video.writing.video_writer import VideoWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        images = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
        try:
            with BackgroundWriter(VideoWriter(sys.argv[1])) as writer:
                for number, image in enumerate(images):
                    writer.write(lambda image=image: image, time=number / 25)
        except OutputError as error:
            print(error)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"Cannot write '{tmp_path / 'out.mp4'}': it is larger than" in done.stdout
    assert not (tmp_path / "out.mp4").exists()
    if share > 0.1:
        assert len(list(open_source(tmp_path / "out.part.mp4"))) >= 50 * share


def test_the_last_frame_lasts_as_long_as_most(tmp_path: Path) -> None:
    """Half an hour between two frames does not make the average the duration of the last."""
    times = [0, 0.1, 0.2, 0.3, 1800.3, 1800.4]
    with VideoWriter(tmp_path / "out.mp4", frame_rate=6 / 1800) as writer:
        for number, time in enumerate(times):
            writer.write(flat(number), time=time)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(1800.5, abs=0.01)
    assert [frame.time for frame in open_source(tmp_path / "out.mp4")] == pytest.approx(times, abs=1e-3)


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", pixel_aspect=Fraction(16, 11)) as writer:
        for number in range(3):
            writer.write(flat(number), time=number / 25)
    with open_source(tmp_path / "out.mp4") as source:
        assert source.pixel_aspect == Fraction(16, 11)


@needs_dev_full
def test_a_full_disk_is_named_by_every_writer(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    sheet = ContactSheet()
    sheet.add(noise, time=0, index=0)
    for name, write in (
        ("sheet.png", sheet.save),
        ("map.png", lambda path: write_label_png(path, noise[..., 0])),
        ("text.txt", lambda path: write_text(path, "x" * 100_000)),
    ):
        target = tmp_path / name
        target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}").symlink_to("/dev/full")
        with pytest.raises(OutputError, match=f"Cannot write '.*{name}': the disk is full"):
            write(target)
    assert os.listdir(tmp_path) == []


@needs_dev_full
def test_a_full_disk_leaves_the_old_text(tmp_path: Path) -> None:
    target = tmp_path / "data.json"
    write_json(target, [1, 2.5, "ü"])
    (tmp_path / f".data.{os.getpid()}.part.json").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"Cannot write '.*data\.json': the disk is full"):
        write_json(target, list(range(100_000)))
    assert json.loads(target.read_text(encoding="utf-8")) == [1, 2.5, "ü"]
    assert os.listdir(tmp_path) == ["data.json"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with suppress(RuntimeError), atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_numbers_that_json_has_not_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written as JSON"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert os.listdir(tmp_path) == []


def test_folders_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file of that name is in the way"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="a part of its path is a file"):
        make_folder(tmp_path / "file" / "below")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_folders_without_permission_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not writable"):
        make_folder(tmp_path)


@settings(max_examples=25, deadline=None)
@given(arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 255)))
def test_indexed_pngs_keep_every_identity(tmp_path_factory: pytest.TempPathFactory, label_map: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("png") / "map.png"
    write_label_png(path, label_map)
    assert (read_label_png(path) == label_map).all()
    with Image.open(path) as image:
        assert image.mode == "P"
        colors = image.getpalette()
    assert colors is not None
    assert tuple(colors[:3]) == (0, 0, 0)
    assert tuple(colors[15:18]) == track_color(5)


def test_large_identities_need_16_bits(tmp_path: Path) -> None:
    label_map = np.array([[0, 255, 256], [65_535, 1, 2]], np.int32)
    with pytest.raises(InputError, match="Track id 65535 does not fit"):
        write_label_png(tmp_path / "map.png", label_map)
    write_label_png(tmp_path / "map.png", label_map, indexed=False)
    assert (read_label_png(tmp_path / "map.png") == label_map).all()
    Image.new("RGB", (3, 3)).save(tmp_path / "color.png")
    with pytest.raises(InputError, match="holds colours"):
        read_label_png(tmp_path / "color.png")


@pytest.mark.parametrize("name", ["00012", "../../etc/passwd", "a/b\\c:d", "..", "", "x" * 400, "ü 视频"])
def test_names_never_leave_their_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{safe_name(name)}.png"
    assert path.resolve().parent == tmp_path.resolve()
    path.write_bytes(b"")
