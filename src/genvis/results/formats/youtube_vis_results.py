"""Results in the format of YouTube-VIS and OVIS."""

from typing import Any

from genvis.results.types import VideoResult


def youtube_vis_entries(result: VideoResult, video_id: int) -> list[dict[str, Any]]:
    """Return a video's entries of a YouTube-VIS results file, which is the list of the entries of all videos.

    OVIS has the same format. The frames of the result must be all frames of the data set's video, in order.

    Args:
        result: The result.
        video_id: The data set's id of the video.

    Returns:
        For each track ``video_id``, ``category_id`` (the data set's own), ``score`` and ``segmentations``: one RLE of
        COCO, or None where the object is not visible, per frame.
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
