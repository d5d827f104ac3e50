import numpy as np

from genvis.masks import RLEMask
from genvis.results.types import FrameStamp, Track, VideoResult


def test_a_track_of_hundreds_of_frames_is_counted():
    count = 700
    masks = []
    for index in range(count):
        mask = np.zeros((6, 8), bool)
        mask[: 1 + index % 5, 2:4] = True
        masks.append(RLEMask.encode(mask))
    track = Track(id=1, label="cat", label_id=0, category_id=1, score=0.5, masks=tuple(masks))
    assert track.areas.tolist() == [2 * (1 + index % 5) for index in range(count)]
    assert track.boxes.shape == (count, 4)
    assert track.frames_seen == count
    frames = tuple(FrameStamp(index=index, time=index / 10, name=str(index)) for index in range(count))
    result = VideoResult(name="long", height=6, width=8, frames=frames, tracks=(track,))
    assert result.table().row_count == 1
    assert len(result.to_youtube_vis(1)[0]["segmentations"]) == count
