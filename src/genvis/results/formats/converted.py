"""Results as videos with tracks, the common form of all converters."""

from genvis.data.convert.tracks import Category, ConvertedDataset, ConvertedTrack, ConvertedVideo, safe_name
from genvis.results.types import VideoResult


def tracks_of_result(result: VideoResult) -> ConvertedDataset:
    """Return a result as a data set of one video; tracks that are never visible are left out."""
    categories = {track.category_id: track.label for track in result.tracks}
    tracks = []
    for track in result.tracks:
        masks = {position: mask for position, mask in enumerate(track.masks) if mask is not None and mask.area}
        if masks:
            tracks.append(ConvertedTrack(track.id, track.category_id, masks))
    name = safe_name(result.name)
    video = ConvertedVideo(
        name,
        result.height,
        result.width,
        tuple(f"{name}/{stamp.index:06d}.jpg" for stamp in result.frames),
        tuple(tracks),
        frame_numbers=tuple(stamp.index for stamp in result.frames),
    )
    return ConvertedDataset(tuple(Category(*item) for item in sorted(categories.items())), (video,))
