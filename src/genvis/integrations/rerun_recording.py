"""Results in Rerun: frames, masks and boxes on a timeline that scrubs."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genvis.errors import InputError, MissingExtraError
from genvis.results.types import FrameResult, VideoResult
from genvis.video.drawing.palette import track_color
from genvis.video.sources.opening import Source, open_source

if TYPE_CHECKING:
    import rerun

# Masks are label maps of 16 bits.
_GREATEST_ID = 65_535
_JPEG_QUALITY = 85


def record_in_rerun(result: VideoResult, *, video: Source | None = None, save: Path | None = None) -> int:
    """Send a result to a Rerun viewer, or write it as a recording.

    Args:
        result: The result.
        video: The video; without it there are masks and boxes only.
        save: The recording to write (.rrd); None opens a viewer.

    Returns:
        How many frames were sent.

    Raises:
        MissingExtraError: If rerun-sdk is not installed.
        InputError: If the video is another one, or a track id does not fit into 16 bits.
    """
    try:
        import rerun
    except ModuleNotFoundError as error:
        raise MissingExtraError("rerun", "rerun") from error
    if any(track.id > _GREATEST_ID for track in result.tracks):
        raise InputError(f"'{result.name}' has track ids above {_GREATEST_ID}, which Rerun's masks cannot hold.")
    recording = rerun.RecordingStream("genvis", recording_id=None)
    if save is None:
        recording.spawn()
    else:
        recording.save(save)
    names = [
        rerun.AnnotationInfo(track.id, f"{track.id} {track.label}", track_color(track.id)) for track in result.tracks
    ]
    recording.log("video", rerun.AnnotationContext(names), static=True)
    try:
        if video is None:
            for frame in result:
                _log(recording, frame)
            return len(result)
        return _log_with_video(recording, result, video)
    finally:
        recording.flush()
        recording.disconnect()


def _log_with_video(recording: "rerun.RecordingStream", result: VideoResult, video: Source) -> int:
    import rerun

    positions = {stamp.index: position for position, stamp in enumerate(result.frames)}
    sent = 0
    with open_source(video) as source:
        for image in source:
            position = positions.get(image.index)
            if position is None:
                continue
            if (image.height, image.width) != (result.height, result.width):
                raise InputError(
                    f"'{source.name}' is {image.width}x{image.height}, but the result is of "
                    f"{result.width}x{result.height}: this is another video."
                )
            frame = result.frame(position)
            _log(recording, frame)
            recording.log("video/image", rerun.Image(image.image).compress(jpeg_quality=_JPEG_QUALITY))
            sent += 1
    return sent


def _log(recording: "rerun.RecordingStream", frame: FrameResult) -> None:
    import rerun

    recording.set_time("frame", sequence=frame.stamp.index)
    recording.set_time("time", duration=frame.stamp.time)
    recording.log("video/masks", rerun.SegmentationImage(frame.label_map().astype(np.uint16)))
    boxes = np.array([instance.box for instance in frame], np.float32).reshape(-1, 4)
    recording.log(
        "video/boxes",
        rerun.Boxes2D(
            array=boxes,
            array_format=rerun.Box2DFormat.XYXY,
            class_ids=[instance.id for instance in frame],
            labels=[f"{instance.id} {instance.label} {instance.score:.2f}" for instance in frame],
        ),
    )
