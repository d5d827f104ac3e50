"""One pass of FFmpeg, through PyAV, over a file, camera or stream: all that can be decoded, and what could not."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from genvis.errors import InputError
from genvis.video.sources.frame_conversion import upright
from genvis.video.sources.missing_frames import MP4_AND_MOV, Losses, announced_seconds
from genvis.video.sources.source import RGBImage

# Demuxers that take any text for a picture: a wrong path must not become a film of ASCII art.
TEXT_FORMATS = frozenset({"tty", "ass", "srt", "webvtt", "subviewer", "microdvd", "jacosub", "mpl2", "stl"})
# FFmpeg's own decoders of WebM leave its transparency out.
DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
FALLBACK_STEP = 0.04
# Twelve thousand pixels side by side fit; a small hostile file that announces more must not fill the memory.
MOST_PIXELS = 100_000_000
# FFmpeg's AVFMT_NOTIMESTAMPS; PyAV's types take it for something that is no number.
NO_TIMESTAMPS = 0x80
STRICT = {"err_detect": "explode"}


@dataclass(frozen=True)
class Location:
    """What FFmpeg needs to open something.

    Attributes:
        address: Path, device or URL.
        label: What messages call it; without a password.
        path: The same, if it is a file.
        format: FFmpeg's input format, for devices; None to probe.
        options: FFmpeg's options.
        timeout: Seconds without data after which a stream counts as stalled; None for local files.
        live: Whether it is live for certain; otherwise it is if it comes over the network without a known duration.
    """

    address: str
    label: str
    path: Path | None = None
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    live: bool = False


class Decoding:
    """One pass over the video of a location.

    Attributes:
        container: The open container.
        stream: Its video: FFmpeg's choice, which prefers what is marked as default, and a film to a picture.
        announced_seconds: Duration of the video as the container states it.
        average_rate: Frames per second on average, as far as the container says or FFmpeg guesses.
        pixel_aspect: Width of a pixel divided by its height, as it is stored.
        losses: What could not be decoded so far.

    Args:
        location: What to open.
        begin: Time of the first frame; more than 0 where a live source goes on after it dropped.

    Raises:
        InputError: If it cannot be opened or holds no video.
    """

    def __init__(self, location: Location, *, begin: float = 0.0) -> None:
        self.location = location
        self.container = _open(location)
        best = self.container.streams.best("video")
        if best is None or best.disposition & Disposition.attached_pic or self.container.format.name in TEXT_FORMATS:
            self.container.close()
            raise InputError(f"'{location.label}' holds no video: give a video, an image or a folder of images.")
        self.stream = cast(VideoStream, best)
        if cast(VideoCodecContext | None, self.stream.codec_context) is None:
            self.container.close()
            raise InputError(f"'{location.label}' cannot be decoded: its codec is unknown, or the file is damaged.")
        if (width := self.stream.width) * (height := self.stream.height) > MOST_PIXELS:
            self.container.close()
            raise InputError(
                f"'{location.label}' has frames of {width}x{height}, more than {MOST_PIXELS // 10**6} million pixels: "
                "scale the video down first."
            )
        for other in self.container.streams:
            if other is not best:
                other.discard = Discard.all
        self._decoder = self._with_alpha() or self.stream.codec_context
        # Of pictures without a container only their decoder can tell that two of them have become one.
        is_strict = self.container.format.name in ("mjpeg", "jpeg_pipe") and location.path is not None
        self._decoder.options = {"max_pixels": str(MOST_PIXELS), **(STRICT if is_strict else {})}
        self._lenient = CodecContext.create("mjpeg", "r") if is_strict else None
        # Frame threads decode ahead, which delays what is live, and may miss the errors of a frame: without a container
        # nothing else tells of damage.
        self._decoder.thread_type = "SLICE" if location.live or not self._has_times else "AUTO"
        self._reformatter = VideoReformatter()
        self._is_open = True
        self.losses = Losses(codec=self.stream.codec_context.codec.canonical_name)
        self.announced_seconds = announced_seconds(self.container, self.stream)
        self.average_rate = self._average_rate()
        self.pixel_aspect = self.stream.sample_aspect_ratio or Fraction(1)
        step = 1 / self.average_rate if self.average_rate else FALLBACK_STEP
        self._clock = _Clock(begin, step=step, counts_packets=self.container.format.name == "avi")

    def close(self) -> None:
        """Close the file, device or connection, and end the threads of its decoder."""
        if not self._is_open:
            return
        self._is_open = False
        self.container.close()
        # Their threads end when nothing refers to them; to this object the traceback of an error may still refer.
        del self.container, self.stream, self._decoder, self._lenient, self._reformatter

    @property
    def now(self) -> float:
        """Time of the last frame, in seconds."""
        return self._clock.now

    @property
    def announced_frames(self) -> int | None:
        """Estimate of the frames that the whole video has."""
        seconds = self.announced_seconds
        estimate = max(1, round(seconds * self.average_rate)) if seconds and self.average_rate else None
        # An edit list shows less than the file holds, and a file that still grows says what its first part holds.
        is_indexed = self.container.format.name == MP4_AND_MOV
        listed = sum(not entry.is_discard for entry in self.stream.index_entries) if is_indexed else 0
        # Headers of files that were piped or killed name any number of frames.
        stated = min((number for number in (self.stream.frames, estimate) if number), default=None)
        return listed or stated

    def frames(self, *, all_from: int | None = None) -> Generator[tuple[float, VideoFrame], None, None]:
        """Deliver every frame that can be decoded, with its time in seconds since the first one.

        Args:
            all_from: Time stamp, in units of the stream's time base, before which frames may be left out that no other
                one is decoded from; None leaves out none.
        """
        packets = self.container.demux(self.stream)
        is_flushed = True
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.losses.interruption = error
                packet, is_flushed = None, False
            except IndexError:
                # PyAV fails at the end of a file in which another stream began on the way.
                packet, is_flushed = None, False
            if packet is None:
                break
            self.losses.add_packet(packet)
            if all_from is not None:
                is_before = packet.pts is not None and packet.pts < all_from
                self._decoder.skip_frame = "NONREF" if is_before else "DEFAULT"
            yield from self._timed(packet)
        if not is_flushed:
            # The decoder may still hold frames.
            yield from self._timed(None)

    def seek(self, stamp: int) -> None:
        """Go to a key frame at or before a time stamp, as far as the container's index knows; then call `frames` anew.

        The times that `frames` delivers afterwards mean nothing: compare the stamps of the frames themselves.

        Args:
            stamp: In units of the stream's time base.

        Raises:
            av.error.FFmpegError: If the container cannot be searched.
        """
        self.container.seek(stamp, stream=self.stream)
        self._decoder.flush_buffers()

    def _timed(self, packet: "Packet[VideoStream] | None") -> Iterator[tuple[float, VideoFrame]]:
        try:
            frames = self._decoder.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            frames, is_whole = self._decoded_in_part(packet), False
            if not frames:
                self.losses.damaged.append(self._clock.now)
                return
        else:
            is_whole = True
        for frame in frames:
            time = self._clock.time_of(frame)
            self.losses.add_frame(frame, time, is_whole=is_whole)
            yield time, frame

    def _decoded_in_part(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        """Decode a picture that a strict decoder refused."""
        try:
            return [] if self._lenient is None else self._lenient.decode(packet)
        except av.error.FFmpegError:
            return []

    def image_of(self, frame: VideoFrame) -> RGBImage | None:
        """Convert a frame to (H, W, 3) uint8 RGB, upright; None if FFmpeg cannot.

        Raises:
            InputError: If there is not enough memory for it.
        """
        try:
            return upright(frame, self._reformatter)
        except MemoryError:
            size = f"{frame.width}x{frame.height}"
            raise InputError(f"There is not enough memory for the frames of '{self.location.label}', {size}.") from None

    def _with_alpha(self) -> VideoCodecContext | None:
        """Return a decoder for a WebM with transparency, if this FFmpeg has one."""
        own = self.stream.codec_context
        name = DECODERS_WITH_ALPHA.get(own.name)
        if name is None or self.stream.metadata.get("alpha_mode", self.stream.metadata.get("ALPHA_MODE")) != "1":
            return None
        try:
            decoder = cast(VideoCodecContext, CodecContext.create(name, "r"))
        except ValueError:
            return None
        decoder.extradata = own.extradata
        return decoder

    def _average_rate(self) -> float | None:
        # Raw H.264 and H.265 have no times: FFmpeg's average stands for nothing, but the stream may name its rate.
        rates = (self.stream.average_rate, self.stream.guessed_rate)
        return next((float(rate) for rate in (rates if self._has_times else rates[::-1]) if rate), None)

    @property
    def _has_times(self) -> bool:
        return not self.container.format.flags & NO_TIMESTAMPS

    def ending(self, *, frames: int, live: bool) -> str | None:
        """Say up to where the video went if it ended before it should; call it after the last frame, before closing.

        Args:
            frames: How many frames were decoded.
            live: Whether the source has no planned end.
        """
        label, reached = self.location.label, f"{self._clock.now:.2f} s ({frames} frames)"
        interruption = self.losses.interruption
        if isinstance(interruption, av.error.ExitError):
            return f"'{label}' sent nothing for {self.location.timeout:g} s and was given up after {reached}."
        if interruption is not None:
            return f"'{label}' broke off after {reached}: {reason(interruption)}."
        if live:
            return f"'{label}' ended after {reached}: the sender closed it."
        if frames == 0:
            return f"'{label}' holds no frame that can be decoded."
        missing = self.losses.missing(
            self.container, self.stream, path=self.location.path, seconds=self._clock.now, step=self._clock.step
        )
        if missing is not None:
            return f"'{label}' is truncated or damaged: it was decoded up to {reached}, {missing}."
        return None


class _Clock:
    """Turns presentation times into strictly increasing seconds since the first frame.

    Args:
        begin: Seconds of the first frame.
        step: Seconds between frames without a time.
        counts_packets: Whether the container has no presentation times but counts packets: frames that were reordered
            then take the times of the packets with which they come.

    Attributes:
        now: Seconds of the last frame.
        step: Seconds that it lasts.
    """

    def __init__(self, begin: float, *, step: float, counts_packets: bool) -> None:
        self.now = begin
        self.step = step
        self._counts_packets = counts_packets
        self._origin: float | None = None

    def time_of(self, frame: VideoFrame) -> float:
        if frame.duration and frame.time_base:
            self.step = float(frame.duration * frame.time_base)
        # Where a frame has no stamp, PyAV's `time` is not a number.
        ticks, unit = frame.dts if self._counts_packets else frame.pts, frame.time_base
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
