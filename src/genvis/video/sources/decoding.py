"""One pass of FFmpeg, through PyAV, over a file, camera or stream: all that can be decoded, and what could not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from genvis.errors import InputError
from genvis.video.sources.source import RGBImage

# Demuxers that take any text for a picture: a wrong path must not become a film of ASCII art.
TEXT_FORMATS = frozenset({"tty", "ass", "srt", "webvtt", "subviewer", "microdvd", "jacosub", "mpl2", "stl"})
FALLBACK_STEP = 0.04
MICROSECONDS = 1_000_000
# PyAV's types leave out the argument.
_side_data_of = cast(Callable[[VideoFrame], Mapping[Type, SideData]], SideDataContainer)


@dataclass(frozen=True)
class Location:
    """What FFmpeg needs to open something.

    Attributes:
        address: Path, device or URL.
        label: What messages call it; without a password.
        format: FFmpeg's input format, for devices; None to probe.
        options: FFmpeg's options.
        timeout: Seconds without data after which a stream counts as stalled; None for local files.
        live: Whether it is live for certain; otherwise it is if it comes over the network without a known duration.
    """

    address: str
    label: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    live: bool = False


class Decoding:
    """One pass over the video of a location.

    Attributes:
        container: The open container.
        stream: Its first video stream that is no cover picture.
        damaged: Seconds since the first frame at which packets could not be decoded.
        interruption: The error that ended reading, if one did.
        packets: Packets read so far.
        reformatter: For `upright`.

    Args:
        location: What to open.
        begin: Time of the first frame; more than 0 where a live source goes on after it dropped.

    Raises:
        InputError: If it cannot be opened or holds no video.
    """

    def __init__(self, location: Location, *, begin: float = 0.0) -> None:
        self.location = location
        self.container = _open(location)
        films = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        if not films or self.container.format.name in TEXT_FORMATS:
            self.container.close()
            raise InputError(f"'{location.label}' holds no video: give a video, an image or a folder of images.")
        self.stream: VideoStream = films[0]
        # Frame threads decode ahead, which delays what is live.
        self.stream.thread_type = "SLICE" if location.live else "AUTO"
        self.damaged: list[float] = []
        self.interruption: av.error.FFmpegError | None = None
        self.packets = 0
        self.reformatter = VideoReformatter()
        self._clock = _Clock(begin)

    def close(self) -> None:
        """Close the file, device or connection."""
        self.container.close()

    @property
    def now(self) -> float:
        """Time of the last frame, in seconds."""
        return self._clock.now

    @property
    def average_rate(self) -> float | None:
        """Frames per second on average, as far as the container says or FFmpeg guesses."""
        return float(self.stream.average_rate or self.stream.guessed_rate or 0) or None

    @property
    def announced_seconds(self) -> float | None:
        """Duration of the video stream as the container states it."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        hours, _, rest = self.stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            pass
        # The container's own duration may be that of longer sound.
        if self.container.duration is not None and len(self.container.streams) == 1:
            return self.container.duration / MICROSECONDS
        return None

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Deliver every frame that can be decoded, with its time in seconds since the first one."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.interruption = error
                packet = None
            if packet is None:
                break
            self.packets += packet.size > 0
            for frame in self._decode(packet):
                yield self._clock.time_of(frame), frame
        if self.interruption is not None:
            # The demuxer has not flushed the decoder, which may still hold frames.
            for frame in self._decode(None):
                yield self._clock.time_of(frame), frame

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            return self.stream.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self.damaged.append(self._clock.now)
            return []

    def ending(self, *, frames: int, live: bool) -> str | None:
        """Say up to where the video went if it ended before it should; call it after the last frame.

        Args:
            frames: How many frames were decoded.
            live: Whether the source has no planned end.
        """
        label, reached = self.location.label, f"{self._clock.now:.2f} s ({frames} frames)"
        if isinstance(self.interruption, av.error.ExitError):
            return f"'{label}' sent nothing for {self.location.timeout:g} s and was given up after {reached}."
        if self.interruption is not None:
            return f"'{label}' broke off after {reached}: {reason(self.interruption)}."
        if live:
            return f"'{label}' ended after {reached}: the sender closed it."
        if frames == 0:
            return f"'{label}' holds no frame that can be decoded."
        if missing := self._missing():
            return f"'{label}' is truncated or damaged: it was decoded up to {reached}, {missing}."
        return None

    def _missing(self) -> str | None:
        if announced := self.stream.frames:
            return f"of {announced} frames that it announces" if self.packets < announced else None
        seconds = self.announced_seconds
        if seconds is not None and self._clock.now + 2 * self._clock.step + 0.5 < seconds:
            return f"of {seconds:.2f} s that it announces"
        return None


class _Clock:
    """Turns presentation times into strictly increasing seconds since the first frame."""

    def __init__(self, begin: float) -> None:
        self.now = begin
        self.step = FALLBACK_STEP
        self._origin: float | None = None

    def time_of(self, frame: VideoFrame) -> float:
        if frame.duration and frame.time_base:
            self.step = float(frame.duration * frame.time_base)
        # Where a frame has no stamp, PyAV's `time` is not a number.
        ticks, unit = frame.pts, frame.time_base
        stamp = None if ticks is None or unit is None else float(ticks * unit)
        if self._origin is None:
            self._origin = (stamp if stamp is not None else 0.0) - self.now
            return self.now
        time = self.now + self.step if stamp is None else stamp - self._origin
        if time <= self.now:
            # A small step back is a repeated or rounded stamp; a large one is a stream that starts its clock anew.
            later = self.now + (0.001 if self.now - time < 1 else self.step)
            self._origin -= 0.0 if self.now - time < 1 else later - time
            time = later
        self.now = time
        return time


def upright(frame: VideoFrame, reformatter: VideoReformatter) -> RGBImage | None:
    """Convert a decoded frame to (H, W, 3) uint8 RGB, rotated and mirrored as its display matrix says.

    Args:
        frame: The frame.
        reformatter: One for all frames of a pass: it holds tables, and a thread for each processor.

    Returns:
        The image, or None if FFmpeg cannot convert it.
    """
    try:
        image: RGBImage = np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray())
    except av.error.FFmpegError:
        return None
    swaps, mirrors_x, mirrors_y = orientation(frame)
    if swaps:
        image = image.transpose(1, 0, 2)
    image = image[:: -1 if mirrors_y else 1, :: -1 if mirrors_x else 1]
    return np.ascontiguousarray(image)


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Read the display matrix, to the nearest right angle.

    The matrix (a b; c d) takes pixel (x, y) to (a·x + c·y, b·x + d·y).

    Returns:
        Whether x and y swap, and whether the result is then mirrored in x and in y.
    """
    try:
        # `frame.side_data` would tie the frame into a reference cycle: its memory would wait for the garbage collector.
        matrix = _side_data_of(frame)[Type.DISPLAYMATRIX]
    except KeyError:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's words for an error, without the address, which may hold a password."""
    return error.strerror or type(error).__name__


def _open(location: Location) -> InputContainer:
    try:
        return av.open(
            location.address,
            "r",
            format=location.format,
            options=dict(location.options),
            metadata_errors="replace",
            timeout=location.timeout,
        )
    except av.error.ExitError:
        raise InputError(f"'{location.label}' did not answer within {location.timeout:g} s.") from None
    except (av.error.FFmpegError, OSError) as error:
        words = reason(error) if isinstance(error, av.error.FFmpegError) else error.strerror
        raise InputError(f"'{location.label}' cannot be opened as a video: {words}.") from error
    except ValueError as error:
        raise InputError(f"'{location.label}' cannot be opened as a video: {error}.") from error
