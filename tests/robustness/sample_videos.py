"""Sound videos of many containers and codecs, twelve small frames each, to be damaged."""

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

FRAMES, HEIGHT, WIDTH = 12, 48, 64


@dataclass(frozen=True)
class VideoKind:
    """A container with a codec.

    Attributes:
        name: File name; its ending is what people give such files.
        codec: Encoder of FFmpeg.
        pixels: Pixel format.
        format: Container of FFmpeg where the ending does not say it.
        options: Of the container.
        codec_options: Of the encoder.
    """

    name: str
    codec: str
    pixels: str = "yuv420p"
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)


KINDS = (
    VideoKind("h264.mp4", "libx264"),
    VideoKind("faststart.mp4", "libx264", options={"movflags": "faststart"}),
    VideoKind("fragmented.mp4", "libx264", options={"movflags": "frag_keyframe+empty_moov"}, codec_options={"g": "4"}),
    VideoKind("mpeg4.mp4", "mpeg4"),
    VideoKind("hevc.mp4", "libx265", codec_options={"x265-params": "log-level=none"}),
    VideoKind("prores.mov", "prores_ks", "yuv422p10le"),
    VideoKind("mjpeg.mov", "mjpeg", "yuvj420p"),
    VideoKind("h264.mkv", "libx264"),
    VideoKind("ffv1.mkv", "ffv1"),
    VideoKind("piped.mkv", "libx264", options={"live": "1"}, codec_options={"g": "4"}),
    VideoKind(
        "piped.webm", "libvpx-vp9", options={"live": "1"}, codec_options={"cpu-used": "8", "deadline": "realtime"}
    ),
    VideoKind("vp8.webm", "libvpx"),
    VideoKind("vp9.webm", "libvpx-vp9", codec_options={"cpu-used": "8", "deadline": "realtime"}),
    VideoKind("av1.webm", "libsvtav1", codec_options={"preset": "12", "svtav1-params": "lp=1"}),
    VideoKind("mpeg4.avi", "mpeg4"),
    VideoKind("mjpeg.avi", "mjpeg", "yuvj420p"),
    VideoKind("raw.avi", "rawvideo", "bgr24"),
    VideoKind("flv1.flv", "flv"),
    VideoKind("h264.flv", "libx264"),
    VideoKind("h264.ts", "libx264", codec_options={"g": "4"}),
    VideoKind("mpeg2.ts", "mpeg2video"),
    VideoKind("mpeg2.mpg", "mpeg2video", format="vob"),
    VideoKind("mpeg1.mpeg", "mpeg1video", format="mpeg"),
    VideoKind("wmv2.wmv", "wmv2"),
    VideoKind("msmpeg4.asf", "msmpeg4"),
    VideoKind("vp8.ogv", "libvpx", format="ogg"),
    VideoKind("animation.gif", "gif", "rgb8"),
    VideoKind("animation.apng", "apng", "rgb24"),
    VideoKind("ffv1.nut", "ffv1", format="nut"),
    VideoKind("raw.y4m", "rawvideo", format="yuv4mpegpipe"),
    VideoKind("stream.h264", "libx264", format="h264", codec_options={"g": "4"}),
    VideoKind("stream.hevc", "libx265", format="hevc", codec_options={"x265-params": "log-level=none"}),
    VideoKind("stream.mjpeg", "mjpeg", "yuvj420p", format="mjpeg"),
    VideoKind("stream.ivf", "libvpx", format="ivf"),
    VideoKind("mpeg2.mxf", "mpeg2video", "yuv422p"),
    VideoKind("h263.3gp", "h263"),
)


def picture(number: int, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return frame ``number``: a bright square on a slope of grey, both moving. (H, W, 3) uint8 RGB."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([(rows * 3 + number * 5) % 200, (columns * 2 + number * 9) % 200, (rows + columns) % 200], axis=-1)
    left, top = 4 + 3 * number, 8 + number
    image[top : top + 14, left : left + 18] = (250, 240, 60)
    return image.astype(np.uint8)


def write_video(
    kind: VideoKind, folder: Path, *, frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH
) -> Path:
    """Write the sound video of a kind."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind.name
    if kind.name == "h263.3gp":
        height, width = 96, 128  # One of the five sizes of H.263.
    with av.open(str(path), "w", format=kind.format, options=kind.options) as container:
        broadcast = kind.codec == "mpeg1video" or kind.name.endswith(".mxf")  # These know a few rates only.
        stream = container.add_stream(kind.codec, rate=25 if broadcast else 10)
        stream.options = {"threads": "1", **kind.codec_options}
        stream.width, stream.height, stream.pix_fmt = width, height, kind.pixels
        for number in range(frames):
            image = picture(number, height=height, width=width)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=kind.pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
