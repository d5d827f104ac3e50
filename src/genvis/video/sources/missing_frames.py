"""Frames that a file should have delivered and did not: the counts of a pass, compared with what the file announces."""

from dataclasses import dataclass, field
from pathlib import Path

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from genvis.video.sources.structure.file_structure import structural_damage
from genvis.video.sources.structure.sized_file import CUT_OFF

MICROSECONDS = 1_000_000
MPEG_PICTURE = b"\0\0\1\0"
LARGEST_PLACEHOLDER = 16
# The index of these lists every frame exactly: an edit list, or a chunk that was left empty, is accounted for in it.
MP4_AND_MOV = "mov,mp4,m4a,3gp,3g2,mj2"
INDEXED_FORMATS = frozenset({MP4_AND_MOV, "avi"})
# Their structure tells every loss; the duration may be that of a recording in which nothing moved at the end.
SELF_DESCRIBING_FORMATS = frozenset({"matroska,webm", "gif", "mpegts"})
# Decoders that make one frame of every picture (see `pictures_in`). Others have pictures that show nothing.
ONE_FRAME_A_PICTURE = frozenset(
    {
        "mpeg1video",
        "mpeg2video",
        "h264",
        "hevc",
        "mpeg4",
        "vp8",
        "vp9",
        "av1",
        "mjpeg",
        "png",
        "apng",
        "gif",
        "ffv1",
        "prores",
        "rawvideo",
    }
)
# Where a duration is all that is announced, it may be rounded, or that of the recording rather than of its frames.
SLACK_SECONDS, SLACK_STEPS = 0.5, 2


@dataclass
class Losses:
    """What was read and decoded in one pass over a video, and what of it was damaged.

    Attributes:
        damaged: Seconds since the first frame at which packets could not be decoded.
        incomplete: Seconds of frames that were decoded only in part.
        interruption: The error that ended reading, if one did.
        leading: Packets before the first key frame, which nothing can be decoded from.
        codec: FFmpeg's name of the codec.
    """

    damaged: list[float] = field(default_factory=list)
    incomplete: list[float] = field(default_factory=list)
    interruption: av.error.FFmpegError | None = None
    leading: int = 0
    codec: str = ""
    _packets: int = 0
    _to_show: int = 0
    _pictures: int = 0
    _shown: int = 0
    _read_to: int = 0
    _key_pts: int | None = None
    _has_key: bool = False
    _interlaced: int = 0

    def add_packet(self, packet: "Packet[VideoStream]") -> None:
        """Count a packet that the file delivered."""
        if not packet.size:
            return
        self._packets += 1
        self._read_to = max(self._read_to, (packet.pos or 0) + packet.size)
        if not self._has_key and packet.is_keyframe:
            self._has_key, self._key_pts = True, packet.pts
        if not self._has_key or self._is_before_key(packet.pts):
            self.leading += 1
        elif not packet.is_discard:
            self._to_show += 1
        self._pictures += 0 if packet.is_discard else pictures_in(packet, self.codec)

    def add_frame(self, frame: VideoFrame, time: float, *, is_whole: bool = True) -> None:
        """Count a frame that was decoded, be it in part, shown at ``time`` seconds."""
        self._interlaced += bool(frame.interlaced_frame)
        self._shown += 1
        if not self._has_key or self._is_before_key(frame.pts):
            self.leading -= 1
            return
        if frame.is_corrupt or not is_whole:
            self.incomplete.append(time)

    def _is_before_key(self, pts: int | None) -> bool:
        return self._key_pts is not None and pts is not None and pts < self._key_pts

    def missing(
        self, container: InputContainer, stream: VideoStream, *, path: Path | None, seconds: float, step: float
    ) -> str | None:
        """Say, after the last frame, what is missing: half a sentence, or None.

        Args:
            container: The file, still open.
            stream: Its video.
            path: Where it lies, if it is a file.
            seconds: Time of the last frame since the first.
            step: Seconds that the last frame lasts.
        """
        format_name = container.format.name
        announced = announced_seconds(container, stream)
        is_checked = format_name in INDEXED_FORMATS or (path is not None and format_name in SELF_DESCRIBING_FORMATS)
        listed = self._listed_frames(format_name, stream)
        # An interlaced frame may be two pictures.
        lost = self._pictures - self._shown - self._interlaced - len(self.damaged) - max(0, self.leading)
        if self._packets < listed:
            return f"of {listed} frames that it lists"
        if path is not None and (damage := self._structural_damage(format_name, path, stream)):
            return f"and {damage}"
        if self.codec in ONE_FRAME_A_PICTURE and lost > 0:
            return f"of {self._pictures} frames that it holds"
        if announced and not is_checked and seconds + SLACK_STEPS * step + SLACK_SECONDS < announced:
            return f"of {announced:.2f} s that it announces"
        return None

    def _listed_frames(self, format_name: str, stream: VideoStream) -> int:
        if format_name in INDEXED_FORMATS:
            return sum(entry.size > 0 for entry in stream.index_entries)
        if format_name == "mxf" and stream.duration and stream.time_base and stream.average_rate:
            # One frame for each unit of time: the length of the video is their number.
            return stream.duration if stream.time_base * stream.average_rate == 1 else stream.frames
        return stream.frames

    def _structural_damage(self, format_name: str, path: Path, stream: VideoStream) -> str | None:
        damage = structural_damage(path, format_name, video=stream.id, shown=self._to_show + self.leading)
        # A reader of raw pictures leaves out a last one that is not whole.
        if damage is None and format_name == "yuv4mpegpipe" and path.is_file() and self._read_to < path.stat().st_size:
            return CUT_OFF
        return damage


def pictures_in(packet: "Packet[VideoStream]", codec: str) -> int:
    """Return how many frames a packet holds, as far as the codec tells it at a glance; else 1.

    Args:
        packet: One with content.
        codec: FFmpeg's name of the codec.
    """
    if codec == "vp8":  # A frame that only others are predicted from is not shown.
        return memoryview(packet)[0] >> 4 & 1
    if codec in ("mpeg1video", "mpeg2video"):  # Two that became one.
        return max(1, bytes(packet).count(MPEG_PICTURE))
    if codec == "mpeg4":  # What follows two frames in one packet, and what repeats a frame, are a few bytes.
        return int(packet.size > LARGEST_PLACEHOLDER)
    return 1


def announced_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Duration of the video as its container states it."""
    is_alone = len(container.streams) == 1
    # The header of a Windows Media file gives all streams the duration of the longest.
    has_own = is_alone or container.format.name != "asf"
    if has_own and stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        pass
    # The container's own duration may be that of longer sound.
    if is_alone and container.duration is not None:
        return container.duration / MICROSECONDS
    return None
