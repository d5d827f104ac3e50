"""Writing H.264 video with the source's own timing; what is written stays playable whatever happens."""

from collections import deque
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from statistics import median_low
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from av.codec import Codec
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from genvis.errors import InputError, OutputError
from genvis.files import cannot_write
from genvis.video.sources.source import FrameSource, RGBImage

# The best first. The wheels of PyAV bring libx264; builds without it have others.
ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
ENCODER_OPTIONS = {"libx264": {"preset": "veryfast", "bf": "0", "rc-lookahead": "8"}}
# Every millisecond and nearly every common frame rate is a whole number of ticks; MPEG-4 has 16 bits for it.
TICKS = 60_000
KEY_FRAME_INTERVAL = 48
# A source with long gaps has next to no frames per second on average.
LONGEST_STEP = TICKS
BT709 = 1
LIMITED_RANGE = 1
# While it grows the file consists of fragments, playable up to the last one. Closing it writes an index of them all at
# its end, in place: what was written is not copied again.
MUXER_OPTIONS = {"movflags": "hybrid_fragmented+frag_keyframe", "frag_duration": "200000", "flush_packets": "1"}
# The last frame lasts as long as most of so many before it: one long gap is no measure.
INTERVALS = 31
SMALLEST_SIDE = 16


class VideoWriter:
    """Writes an mp4 frame by frame.

    While it grows, the video is ``NAME.part.mp4`` beside the target, playable even if the process is killed, but for
    its last dozen frames. ``close()``, or leaving the ``with`` block, completes it and gives it its name; after an
    error the part stays as it is. Without a frame there is no file.

    Args:
        path: The target, ``.mp4``; its folder must exist.
        frame_rate: Frames per second on average, a hint for the encoder; None for 25.
        pixel_aspect: Width of a pixel divided by its height, for players to stretch the picture.
        quality: Constant rate factor of H.264: 18 is hardly distinguishable from the source, 23 is small, 28 is poor.

    Attributes:
        path: The target.
        part: The growing file.
        frames: Frames written so far.

    Raises:
        InputError: If the target is no ``.mp4``.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        frame_rate: float | None = None,
        pixel_aspect: Fraction = Fraction(1),
        quality: int = 20,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"'{path}' must end in .mp4.")
        self.part = part_of(self.path)
        self.frames = 0
        self._step = max(1, min(LONGEST_STEP, round(TICKS / (frame_rate or 25))))
        self._intervals: deque[int] = deque(maxlen=INTERVALS)
        self._pixel_aspect = pixel_aspect
        self._quality = quality
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._reformatter = VideoReformatter()
        self._size = (0, 0)
        self._first_time = 0.0
        self._ticks = -1

    @property
    def is_closed(self) -> bool:
        """Whether no file is open."""
        return self._container is None

    def write(self, image: RGBImage, *, time: float) -> None:
        """Write the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, all of one size. An odd side is made even by repeating its last line, and one
                below 16 pixels is filled up to it.
            time: Seconds; the video begins with the first frame's time. Gaps and variable rates are kept.

        Raises:
            InputError: If the size changes.
            OutputError: If the file cannot be written or the disk is full.
        """
        try:
            if self._stream is None:
                self._start(image.shape[0], image.shape[1])
                self._first_time = time
            if image.shape[:2] != self._size:
                raise InputError(f"A frame of {image.shape[:2]} cannot join '{self.path}', whose are {self._size}.")
            ticks = max(self._ticks + 1, round((time - self._first_time) * TICKS))
            if self.frames:
                self._intervals.append(ticks - self._ticks)
            self._ticks = ticks
            frame = self._reformatter.reformat(
                VideoFrame.from_ndarray(_padded(image), format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts = self._ticks
            frame.time_base = Fraction(1, TICKS)
            self._mux(frame)
            self.frames += 1
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Finish the video under its own name.

        Raises:
            OutputError: If the file cannot be written or the disk is full.
        """
        if self._container is None:
            return
        try:
            self._mux(None)
            self._close_part()
            self.part.replace(self.path)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def abandon(self) -> None:
        """Stop without finishing: the part stays, playable, with the frames so far."""
        # Whatever cannot be flushed is lost; the error that led here is the one to report.
        with suppress(av.error.FFmpegError, OSError):
            self._mux(None)
        with suppress(av.error.FFmpegError, OSError):
            self._close_part()

    def _start(self, height: int, width: int) -> None:
        self._container = av.open(str(self.part.absolute()), "w", format="mp4", options=dict(MUXER_OPTIONS))
        self._size = (height, width)
        rows, columns, _ = _padded(np.zeros((height, width, 3), np.uint8)).shape
        for name in ENCODERS:
            if not _has_encoder(name):
                continue
            stream = self._container.add_stream(name, rate=Fraction(TICKS, self._step), options=self._options(name))
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
            stream.codec_context.sample_aspect_ratio = self._pixel_aspect
            stream.gop_size = KEY_FRAME_INTERVAL
            stream.max_b_frames = 0
            stream.colorspace = stream.color_primaries = stream.color_trc = BT709
            stream.color_range = LIMITED_RANGE
            self._stream = stream
            return
        raise InputError("This FFmpeg has no encoder for H.264 or MPEG-4: install the `av` package from PyPI.")

    def _options(self, encoder: str) -> dict[str, str]:
        return {**ENCODER_OPTIONS.get(encoder, {}), **({"crf": str(self._quality)} if encoder == "libx264" else {})}

    def _mux(self, frame: VideoFrame | None) -> None:
        if self._container is None or self._stream is None:
            return
        step = int(median_low(self._intervals)) if self._intervals else self._step
        for packet in self._stream.encode(frame):
            packet.duration = step
            self._container.mux(packet)

    def _close_part(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _failed(self, error: av.error.FFmpegError | OSError) -> OutputError:
        with suppress(av.error.FFmpegError, OSError):
            self._close_part()
        sentence = str(cannot_write(self.path, OSError(error.errno or 0, error.strerror or str(error))))
        return OutputError(f"{sentence} '{self.part}' holds the video so far." if self.frames else sentence)


def part_of(path: Path) -> Path:
    """Return where a video grows, and what a process that is killed leaves of it."""
    return path.with_name(f"{path.stem}.part.mp4")


def video_writer(path: Path, source: FrameSource) -> VideoWriter:
    """Return a writer for a video with the rate and the pixels of a source."""
    return VideoWriter(path, frame_rate=source.frame_rate, pixel_aspect=source.pixel_aspect)


def _has_encoder(name: str) -> bool:
    try:
        Codec(name, "w")
    except ValueError:
        return False
    return True


def _padded(image: RGBImage) -> RGBImage:
    """Repeat the last row and column until sides are even, which halved chroma needs, and not below the encoder's."""
    height, width = (max(SMALLEST_SIDE, side + side % 2) for side in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return np.ascontiguousarray(image)
    return np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")
