"""Generator of small undamaged videos of every container, and of damaged copies of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

FRAMES, HEIGHT, WIDTH, RATE = 24, 48, 64, 10


@dataclass(frozen=True)
class Kind:
    """A container with a codec.

    Attributes:
        name: File name.
        codec: FFmpeg's encoder.
        pixel_format: Of the encoder.
        options: Of the muxer.
        codec_options: Of the encoder.
        format: FFmpeg's muxer; None for the one of the suffix.
    """

    name: str
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = ()
    codec_options: tuple[tuple[str, str], ...] = ()
    format: str | None = None

    @property
    def rate(self) -> int:
        """Frames per second; MPEG-2 has no 10."""
        return 25 if self.codec == "mpeg2video" else RATE


X264 = (("g", "8"), ("preset", "veryfast"))
X265 = (("x265-params", "keyint=8:log-level=none:pools=none:frame-threads=1"), ("preset", "ultrafast"))
VPX = (("g", "8"), ("deadline", "realtime"), ("cpu-used", "8"))
KINDS = (
    Kind("plain.mp4", codec_options=X264),
    Kind("faststart.mp4", codec_options=X264, options=(("movflags", "faststart"),)),
    Kind("fragments.mp4", codec_options=X264, options=(("movflags", "frag_keyframe+empty_moov"),)),
    Kind("plain.mov", "mjpeg", "yuvj420p"),
    Kind("plain.mkv", codec_options=X264),
    Kind("piped.mkv", codec_options=X264, options=(("live", "1"),)),
    Kind("lossless.mkv", "ffv1"),
    Kind("plain.webm", "libvpx-vp9", codec_options=VPX),
    Kind("piped.webm", "libvpx-vp9", codec_options=VPX, options=(("live", "1"),)),
    Kind("plain.ogv", "libvpx", format="ogg", codec_options=VPX),
    Kind("plain.avi", "mpeg4", codec_options=(("g", "8"),)),
    Kind("mjpeg.avi", "mjpeg", "yuvj420p"),
    Kind("plain.ts", codec_options=X264),
    Kind("mpeg2.ts", "mpeg2video", codec_options=(("g", "8"),)),
    Kind("plain.mpg", "mpeg2video", codec_options=(("g", "8"),)),
    Kind("plain.flv", codec_options=X264),
    Kind("plain.wmv", "wmv2", codec_options=(("g", "8"),)),
    Kind("plain.gif", "gif", "rgb8"),
    Kind("plain.apng", "apng", "rgb24"),
    Kind("plain.nut", "mpeg4", codec_options=(("g", "8"),)),
    Kind("plain.ivf", "libvpx-vp9", codec_options=VPX),
    Kind("plain.mxf", "mpeg2video", codec_options=(("g", "8"),)),
    Kind("plain.3gp", "mpeg4", codec_options=(("g", "8"),)),
    Kind("plain.y4m", "rawvideo", "yuv420p", format="yuv4mpegpipe"),
    Kind("plain.h264", codec_options=X264),
    Kind("plain.hevc", "libx265", codec_options=X265),
    Kind("plain.mjpeg", "mjpeg", "yuvj420p"),
)


def pictures() -> Iterator[np.ndarray]:
    """A textured square that moves over noise, so that every frame weighs something."""
    generator = np.random.default_rng(0)
    ground = generator.integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
    square = generator.integers(120, 255, (16, 16, 3), np.uint8)
    for number in range(FRAMES):
        image = ground.copy()
        image[number : number + 16, 2 * number : 2 * number + 16] = square
        yield image


def write_video(folder: Path, kind: Kind) -> Path:
    """Write an undamaged video."""
    path = folder / kind.name
    with av.open(str(path), "w", format=kind.format, options=dict(kind.options)) as container:
        stream = container.add_stream(kind.codec, rate=kind.rate, options=dict(kind.codec_options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, kind.pixel_format
        for image in pictures():
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=kind.pixel_format)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _truncated(data: bytes, generator: np.random.Generator) -> bytes:
    return data[: int(generator.integers(len(data) // 5, len(data)))]


def _flipped(data: bytes, generator: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in generator.integers(0, len(data), int(generator.integers(1, 20))):
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def _zeroed(data: bytes, generator: np.random.Generator) -> bytes:
    begin, length = int(generator.integers(0, len(data))), int(generator.integers(16, 1024))
    block = data[begin : begin + length]
    return data[:begin] + bytes(len(block)) + data[begin + length :]


def _swapped(data: bytes, generator: np.random.Generator) -> bytes:
    length = int(generator.integers(16, min(1024, len(data) // 4)))
    first, second = sorted(int(place) for place in generator.integers(0, len(data) - length, 2))
    second = max(second, first + length)
    one, other = data[first : first + length], data[second : second + length]
    return data[:first] + other + data[first + length : second] + one + data[second + length :]


def _cut(data: bytes, generator: np.random.Generator) -> bytes:
    begin, length = int(generator.integers(0, len(data))), int(generator.integers(16, 1024))
    return data[:begin] + data[begin + length :]


DAMAGES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "zeroed": _zeroed,
    "swapped": _swapped,
    "cut": _cut,
}


def damaged_copies(path: Path, *, each: int, seed: int = 0) -> Iterator[Path]:
    """Yield damaged copies of a file, each named after its damage; a copy is gone when the next comes."""
    data = path.read_bytes()
    for damage, apply in DAMAGES.items():
        for number in range(each):
            copy = path.with_name(f"{path.stem}-{damage}-{number}{path.suffix}")
            copy.write_bytes(apply(data, np.random.default_rng([seed, number, len(damage)])))
            yield copy
            copy.unlink()
