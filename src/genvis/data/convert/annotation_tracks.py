"""Annotations as videos with tracks, the common form of all converters."""

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.convert.label_maps import video_names
from genvis.data.convert.tracks import Category, ConvertedDataset, ConvertedTrack, ConvertedVideo


def tracks_of_annotations(annotations: VideoAnnotations) -> ConvertedDataset:
    """Return all videos of an annotation file; objects without a mask in any frame are left out."""
    names = video_names(annotations)
    categories = zip(annotations.categories.ids, annotations.categories.names, strict=True)
    return ConvertedDataset(
        tuple(Category(identifier, name) for identifier, name in categories),
        tuple(_video(annotations, index, name) for index, name in enumerate(names)),
    )


def _video(annotations: VideoAnnotations, index: int, name: str) -> ConvertedVideo:
    video = annotations.video(index)
    present = annotations.present(index)
    tracks = []
    for position, track in enumerate(annotations.tracks(index)):
        masks = {
            frame: mask
            for frame in present[position].nonzero()[0].tolist()
            if (mask := annotations.mask(index, position, frame)) is not None
        }
        if masks:
            category_id = annotations.categories.ids[track.label]
            tracks.append(ConvertedTrack(track.id, category_id, masks, track.crowd))
    return ConvertedVideo(name, video.height, video.width, video.file_names, tuple(tracks), video.id)
