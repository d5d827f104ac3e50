"""Results as MOTS text."""

import numpy as np

from genvis.masks import RLEMask
from genvis.results.types import VideoResult


def mots_text(result: VideoResult) -> str:
    """Return the text of a MOTS result: ``frame id class height width rle``, one object in one frame a line.

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
