"""Structure of video files: where their parts end, and whether each joins the next.

FFmpeg skips what it cannot make sense of, and estimates the length of a file that says none from the file itself. A
truncated GIF, or a Matroska file with a hole, then reads like a shorter video without any error. The structure of the
file tells: its parts state their sizes, so a whole file is covered by them from its first byte to its last. Only heads
are read, not the pictures. Every check is made so that undamaged files pass it, with what writers in use leave behind:
unknown sizes of live recordings, padding, foreign data after the end.
"""

from collections.abc import Callable
from pathlib import Path

from genvis.video.sources.structure.containers import (
    check_flash_video,
    check_interchange_video,
    check_material_exchange,
    check_ogg,
    check_riff,
)
from genvis.video.sources.structure.h264 import check_h264, check_h265
from genvis.video.sources.structure.iso_media import check_iso_media
from genvis.video.sources.structure.matroska import check_matroska
from genvis.video.sources.structure.mpeg_streams import check_program_stream, check_transport_stream
from genvis.video.sources.structure.nut import check_nut
from genvis.video.sources.structure.raw_streams import (
    check_animated_png,
    check_gif,
    check_motion_jpeg,
    check_playlist,
)
from genvis.video.sources.structure.sized_file import SizedFile, StructureError
from genvis.video.sources.structure.windows_media import check_advanced_systems

CHECKS: dict[str, Callable[[SizedFile], None]] = {
    "matroska,webm": check_matroska,
    "gif": check_gif,
    "apng": check_animated_png,
    "png_pipe": check_animated_png,  # One whose first chunks are damaged.
    "mpegts": check_transport_stream,
    "mpeg": check_program_stream,
    "mov,mp4,m4a,3gp,3g2,mj2": check_iso_media,
    "avi": check_riff,
    "flv": check_flash_video,
    "asf": check_advanced_systems,
    "ivf": check_interchange_video,
    "nut": check_nut,
    "mxf": check_material_exchange,
    "ogg": check_ogg,
    "h264": check_h264,
    "hevc": check_h265,
    "mjpeg": check_motion_jpeg,
    "jpeg_pipe": check_motion_jpeg,  # The same, of which only one picture is left.
    "hls": check_playlist,
}


def structural_damage(path: Path, format_name: str, *, video: int, shown: int) -> str | None:
    """Say how the structure of a video file is damaged; None if it is whole, or of a format without a check.

    Args:
        path: A regular file.
        format_name: FFmpeg's name of the format.
        video: The container's own number of the video stream.
        shown: How many of its frames were read and are to be shown.

    Returns:
        Half a sentence, such as ``"the file ends in the middle of a part"``.
    """
    check = CHECKS.get(format_name)
    if check is None:
        return None
    try:
        with path.open("rb") as stream:
            check(SizedFile(path, stream, video=video, shown=shown))
    except StructureError as damage:
        return str(damage)
    except OSError as error:
        return f"the file cannot be read any more ({error.strerror})"
    return None
