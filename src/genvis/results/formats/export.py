"""Results in the formats that the field's tools read."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genvis.masks import RLEMask
from genvis.results.types import FrameResult, VideoResult
from genvis.video.writing.label_png import MAX_INDEX, safe_name, write_label_png

if TYPE_CHECKING:
    import supervision


def to_supervision(frame: FrameResult) -> "supervision.Detections":
    """Convert the instances of a frame to ``supervision.Detections``.

    Identities are its ``tracker_id``, classes from 0 its ``class_id``, scores its ``confidence``, labels
    ``data["class_name"]``.
    """
    import supervision

    return supervision.Detections(
        xyxy=np.array([instance.box for instance in frame], np.float32).reshape(-1, 4),
        mask=frame.masks(),
        confidence=np.array([instance.score for instance in frame], np.float32),
        class_id=np.array([instance.label_id for instance in frame], np.int64),
        tracker_id=np.array([instance.id for instance in frame], np.int64),
        data={"class_name": np.array([instance.label for instance in frame], np.str_)},
    )


def youtube_vis_entries(result: VideoResult, video_id: int) -> list[dict[str, Any]]:
    """Return a video's entries of a YouTube-VIS results file, which is the list of the entries of all videos.

    OVIS has the same format. The frames of the result must be all frames of the data set's video, in order.

    Args:
        result: The result.
        video_id: The data set's id of the video.

    Returns:
        For each track ``video_id``, ``category_id`` (the data set's own), ``score`` and ``segmentations``: one COCO run
        length, or None where the object is not in sight, per frame.
    """
    return [
        {
            "video_id": video_id,
            "category_id": track.category_id,
            "score": track.score,
            "segmentations": [
                mask.to_coco() if seen and mask is not None else None
                for mask, seen in zip(track.masks, track.visible, strict=True)
            ],
        }
        for track in result.tracks
    ]


def mots_text(result: VideoResult) -> str:
    """Return the text of a MOTS result: ``frame id class height width run-lengths``, one object in one frame a line.

    Frames are numbered as in the source and classes by the data set's category ids. MOTS allows no overlap: a pixel
    belongs to the object with the higher score, as in label maps.
    """
    categories = {track.id: track.category_id for track in result.tracks}
    lines = []
    for frame in result:
        ids = frame.label_map()
        for track_id in np.unique(ids[ids > 0]).tolist():
            mask = RLEMask.encode(ids == track_id)
            words = (frame.stamp.index, track_id, categories[track_id], mask.height, mask.width, mask.counts.decode())
            lines.append(" ".join(map(str, words)))
    return "".join(f"{line}\n" for line in lines)


def write_label_pngs(result: VideoResult, folder: Path) -> list[Path]:
    """Write the label map of every frame as PNG, pixel value = identity, 0 = background.

    PNGs are indexed with the identities' colours, as in DAVIS; if an identity exceeds 255, all PNGs of the video are
    16-bit grey instead, as in MOTS. Overlaps go to the higher score.

    Args:
        result: The result.
        folder: An existing folder; files are named after the frames.

    Returns:
        The files, in order.

    Raises:
        InputError: If the folder cannot be written, the disk is full, or an identity exceeds 65,535.
    """
    indexed = all(track.id <= MAX_INDEX for track in result.tracks)
    files = []
    for frame in result:
        files.append(folder / f"{safe_name(frame.stamp.name)}.png")
        write_label_png(files[-1], frame.label_map(), indexed=indexed)
    return files
