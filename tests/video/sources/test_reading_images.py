import io
import os
import re
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import genvis
from genvis.errors import InputError
from genvis.image_files import read_image
from genvis.video import Frame, expand_sources, open_source
from genvis.video.sources.image_folders import natural_key
from genvis.video.sources.source import letterbox
from tests.video.video_helpers import MakeVideo


def save(path: Path, *, mode: str = "RGB", color: object = (200, 100, 50), size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)  # type: ignore[arg-type]
    return path


def test_a_folder_is_sorted_naturally_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        save(tmp_path / "my shots" / f"frame{number}.png", color=(number, 0, 0))
    save(tmp_path / "my shots" / "._frame3.png")
    (tmp_path / "my shots" / "notes.txt").write_text("no image")
    with open_source(tmp_path / "my shots", image_rate=5) as source:
        assert (source.name, source.frame_count, source.size, source.frame_rate) == ("my shots", 4, (4, 6), 5)
        frames = list(source)
    assert [frame.name for frame in frames] == ["frame1", "frame2", "frame9", "frame10"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert [frame.index for frame in open_source(tmp_path / "my shots", start=1, stride=2)] == [1, 3]


def test_a_pattern_and_a_single_image(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.png"):
        save(tmp_path / "set [1]" / name)
    pattern = str(tmp_path / "*" / "*.jpg")
    with open_source(pattern) as source:
        assert source.name == "set [1]"
        assert [frame.name for frame in source] == ["a", "b"]
    with open_source(tmp_path / "set [1]" / "c.png") as source:
        assert (source.name, len(list(source))) == ("c", 1)
    assert len(list(open_source(str(tmp_path / "**" / "c.png")))) == 1


def test_names_that_repeat_become_numbers(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a" / "1.png"), save(tmp_path / "b" / "1.png")]
    assert [frame.name for frame in open_source(paths)] == ["00000", "00001"]


@pytest.mark.parametrize(
    ("mode", "color", "suffix", "expected"),
    [
        ("L", 90, "png", (90, 90, 90)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 0, "png", None),
        ("LA", (90, 255), "png", (90, 90, 90)),
        ("RGBA", (200, 100, 50, 255), "png", (200, 100, 50)),
        ("RGBA", (200, 100, 50, 0), "png", (255, 255, 255)),
        ("RGBA", (200, 100, 50, 128), "webp", (227, 177, 152)),
        ("CMYK", (0, 255, 255, 0), "jpg", (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), "tif", (0, 0, 0)),
        ("YCbCr", (128, 128, 128), "jpg", (128, 128, 128)),
        ("I;16", 32896, "png", (128, 128, 128)),
        ("I;16", 65535, "tif", (255, 255, 255)),
        ("F", 0.5, "tif", (128, 128, 128)),
        ("F", 128.0, "tif", (128, 128, 128)),
    ],
)
def test_modes_become_rgb(tmp_path: Path, mode: str, color: object, suffix: str, expected: object) -> None:
    image = read_image(save(tmp_path / f"image.{suffix}", mode=mode, color=color))
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    if expected is not None:
        assert np.abs(image.astype(int) - np.array(expected)).max() <= 3


def test_16_bits_keep_their_gradation(tmp_path: Path) -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert (read_image(tmp_path / "ramp.png")[:, :, 1] == np.arange(256).reshape(16, 16)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo(upright))).save(tmp_path / "image.png", exif=exif)
    with open_source(tmp_path / "image.png") as source:
        assert source.size == (40, 60)
        assert (next(iter(source)).image == upright).all()


def test_other_sizes_are_fitted_into_the_first_with_a_note(tmp_path: Path) -> None:
    save(tmp_path / "0.png", size=(60, 40), color=(10, 10, 10))
    save(tmp_path / "1.png", size=(20, 40), color=(200, 200, 200))
    save(tmp_path / "2.png", size=(120, 80), color=(50, 50, 50))
    with open_source(tmp_path) as source:
        frames = list(source)
    assert [frame.image.shape for frame in frames] == [(40, 60, 3)] * 3
    assert (frames[1].image[:, 20:40] == 200).all()
    assert (frames[1].image[:, :20] == 0).all()
    assert (frames[1].image[:, 40:] == 0).all()
    assert (frames[2].image == 50).all()
    assert source.problem is None
    assert source.notes == (
        f"2 frames of '{tmp_path.name}' had another size than the first: fitted into 60x40 pixels.",
    )


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 70)] * 4))
def test_letterboxing_always_gives_the_size_asked_for(sizes: tuple[int, int, int, int]) -> None:
    result = letterbox(np.full((sizes[0], sizes[1], 3), 200, np.uint8), height=sizes[2], width=sizes[3])
    assert result.shape == (sizes[2], sizes[3], 3)
    assert (result.max(axis=(1, 2)) == 200).all() or (result.max(axis=(0, 2)) == 200).all()


def test_damaged_images_are_left_out_and_named(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.jpg", size=(200, 200))
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "2.jpg").write_bytes(b"no image at all")
    with open_source(tmp_path) as source:
        assert [frame.index for frame in source] == [0, 3]
    assert source.problem is not None
    assert source.problem.startswith(f"'{tmp_path.name}' has 2 damaged frames, left out: 1, 2. The image '")
    assert "1.jpg' cannot be read" in source.problem


def test_all_images_damaged(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"nothing")
    with open_source(tmp_path) as source:
        assert source.size is None
        assert list(source) == []
    assert source.problem is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "There is no file or folder"),
        ("*.jpeg", "No file matches"),
        ("", "There is no source"),
        ("  ", "There is no source"),
        (".", "holds no image"),
        ("empty", "holds no image"),
        ("12345", "There is no camera 12345"),
        ("/dev/video12345", "There is no camera 12345"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        open_source(name)


def test_a_file_named_like_a_camera_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "0" / "a.png")
    assert open_source("0").name == "0"


def test_read_image_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no image"):
        read_image(tmp_path / "missing.png")
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(InputError, match=r"bad.png' cannot be read"):
        read_image(tmp_path / "bad.png")


def test_only_decoders_of_the_named_formats_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow starts Ghostscript for what begins like PostScript, whatever it is called."""
    monkeypatch.setattr("subprocess.Popen", None)
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    (tmp_path / "b.png").write_bytes(b"P6 9 9 255\n" + bytes(243))
    with pytest.raises(InputError, match=r"a.jpg' cannot be read: it is damaged, or none of the image formats"):
        open_source(tmp_path / "a.jpg")
    assert read_image(tmp_path / "b.png").shape == (9, 9, 3)


def test_the_package_opens_images_in_one_place() -> None:
    package = Path(genvis.__file__).parent
    users = [path.name for path in package.rglob("*.py") if re.search(r"Image\.open\(", path.read_text("utf-8"))]
    assert users == ["image_files.py"]


def test_a_decompression_bomb_is_named(tmp_path: Path) -> None:
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(bytes(9)))
    data = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(data))
    with pytest.raises(InputError, match=r"bomb.png' cannot be read: it has more than 178 million pixels"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", ["avif", "webp", "jp2", "tif", "png", "bmp", "tga", "gif", "heic"])
def test_damaged_images_of_every_format(tmp_path: Path, suffix: str) -> None:
    """A damaged file gives an image or one sentence, whatever its decoder raises."""
    pillow_heif.register_heif_opener()
    generator = np.random.default_rng(0)
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(generator.integers(0, 255, (40, 60, 3), np.uint8)).save(path)
    data = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(data[: int(generator.integers(4, len(data) + 1))])
        for place in generator.integers(4, len(damaged) + 1, 5):
            damaged[min(place, len(damaged) - 1)] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        with suppress(InputError):
            read_image(path)


def test_photos_of_iphones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif.register_heif_opener()
    save(tmp_path / "IMG_1.HEIC", size=(64, 48), color=(200, 100, 50))
    with open_source(tmp_path) as source:
        frame = next(iter(source))
    assert frame.image.shape == (48, 64, 3)
    assert np.abs(frame.image.astype(int) - (200, 100, 50)).max() < 8
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"pip install 'genvis\[heic\]'"):
        open_source(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "webp", "avif"])
def test_animations(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.new("RGB", (64, 48), (20 + 40 * number,) * 3) for number in range(5)]
    pictures[0].save(
        tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:], duration=[100, 200, 300, 100, 100]
    )
    with open_source(tmp_path / f"a.{suffix}") as source:
        assert (source.frame_count, source.size) == (5, (48, 64))
        frames = list(source)
    assert [round((frame.image.mean() - 20) / 40) for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.3, 0.6, 0.7], abs=2e-3)
    assert source.problem is None
    save(tmp_path / f"b.{suffix}", size=(64, 48))
    with open_source(tmp_path) as folder:
        assert len(list(folder)) == 2
    assert folder.notes == (f"1 image of '{tmp_path.name}' with several pictures: the first of each was taken.",)


def test_a_gif_whose_pictures_state_no_time(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (64, 48), (20 + 40 * number,) * 3) for number in range(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    with open_source(tmp_path / "a.gif") as source:
        frames = list(source)
    assert [round((frame.image.mean() - 20) / 40) for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert source.problem is None


def test_a_truncated_animation(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pictures = [Image.fromarray(generator.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(6)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], duration=100)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with open_source(tmp_path / "a.png") as source:
        frames = list(source)
    assert 1 <= len(frames) <= 4
    assert source.problem is not None
    assert f"is truncated or damaged: it was decoded up to {frames[-1].time:.2f} s ({len(frames)} frames), of 6" in (
        source.problem
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["pipe.png", "pipe.mp4"])
def test_a_pipe_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe or a device"):
        open_source(tmp_path / name)
    with pytest.raises(InputError, match="but a folder, a pipe or a device"):
        read_image(tmp_path / name)
    with pytest.raises(InputError, match="holds no image"):
        expand_sources([tmp_path])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_fit_on_no_line(tmp_path: Path) -> None:
    name = os.fsdecode(b"line\nbreak \xff\xfe")
    save(tmp_path / f"{name}.png")
    (tmp_path / f"{name}.mp4").write_bytes(b"nothing")
    with open_source(tmp_path / f"{name}.png") as source:
        frame = next(iter(source))
    assert source.name == frame.name == "line break ??"
    with pytest.raises(InputError, match=r"line break \?\?.mp4' cannot be opened") as error:
        open_source(tmp_path / f"{name}.mp4")
    assert "\n" not in str(error.value)


def test_frames_in_memory() -> None:
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 5, 7, 3), np.uint8)
    with open_source(images, start=1, stride=2, image_rate=10, name="mine") as source:
        assert (source.name, source.size, source.frame_count) == ("mine", (5, 7), 2)
        assert [(frame.index, int(frame.image[0, 0, 0])) for frame in source] == [(1, 1), (3, 3)]
    generated = open_source(image for image in images)
    assert generated.frame_count is None
    assert [frame.index for frame in generated] == [0, 1, 2, 3]
    frames = [Frame(image=images[2], index=7, time=1.5, name="seven")]
    assert [(frame.index, frame.time, frame.name) for frame in open_source(frames)] == [(7, 1.5, "seven")]


@pytest.mark.parametrize(
    "images",
    [np.zeros((5, 7, 3), np.uint8), np.zeros((2, 5, 7, 1), np.uint8), np.zeros((2, 5, 7, 3), np.float32), [3, 4]],
    ids=["one image", "grey", "float", "numbers"],
)
def test_frames_in_memory_of_another_kind_are_named(images: object) -> None:
    with pytest.raises(InputError, match="uint8 RGB"):
        list(open_source(images))  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True))
def test_natural_order_is_that_of_the_numbers(numbers: list[int]) -> None:
    paths = [Path(f"shot_{number}_x.png") for number in numbers]
    assert sorted(paths, key=natural_key) == [Path(f"shot_{number}_x.png") for number in sorted(numbers)]


def test_expanding_what_was_typed(tmp_path: Path, make_video: MakeVideo) -> None:
    clips = [make_video(f"clips/{name}", frames=1) for name in ("b10.mp4", "b9.mp4")]
    images = [save(tmp_path / "shots" / f"{number}.png") for number in (2, 10)]
    alone = save(tmp_path / "alone" / "x.png")
    nested = [save(tmp_path / "JPEGImages" / name / "0.jpg").parent for name in ("dog", "cat")]
    address = "rtsp://camera/1"
    typed = io.StringIO(f"\n# comment\n{address}\n  {clips[0]}  \n")
    assert expand_sources([tmp_path / "clips"]) == [clips[1], clips[0]]
    assert expand_sources([str(tmp_path / "clips" / "*.mp4")]) == [clips[1], clips[0]]
    assert expand_sources([0, *map(str, images), address]) == [0, tuple(images), address]
    assert expand_sources([str(tmp_path / "shots"), str(alone)]) == [tmp_path / "shots", alone]
    assert expand_sources([str(tmp_path / "JPEGImages")]) == sorted(nested)
    assert expand_sources(["-", alone], stdin=typed) == [address, clips[0], alone]
    assert expand_sources(["3"]) == ["3"]
    assert open_source(expand_sources([*map(str, images)])[0]).name == "shots"


@pytest.mark.parametrize("sources", [[], ["-"], ["*.nothing"], ["."], ["*.txt"]])
def test_expanding_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError):
        expand_sources(sources, stdin=io.StringIO(""))
