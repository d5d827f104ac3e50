"""VidEoMT through the whole of inference: scores, labels and masks of the authors' implementation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genvis import VideoSegmenter, load
from genvis.video import Frame

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(GOLDEN / "videomt_tiny.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["videomt_tiny", "videomt_tiny.pth"])
@pytest.mark.parametrize("clip_length", [1, 2, 5])
def test_scores_labels_and_masks_are_the_published_ones(name: str, clip_length: int, golden: dict[str, Any]) -> None:
    segmenter = VideoSegmenter(load(GOLDEN / name), clip_length=clip_length, resolution=90)
    run = segmenter.start(name="golden", overlaps="keep")
    frames = (Frame(image, index, index / 10, str(index)) for index, image in enumerate(golden["frames"]))
    for clip in segmenter.clips(frames):
        run.add(clip)
    # The golden masks are of another size than the frames: what the network saw was not resized for them.
    run._sizes = run._sizes._replace(frame=(120, 187))
    result = run.result(segmenter.selection(detections=8, one_label_each=False))
    run.close()
    shape = tuple(golden["mask_shape"])
    masks = np.unpackbits(golden["masks"], axis=-1)[..., : shape[-1]].astype(bool)
    assert len(result.tracks) == shape[0]
    assert len({track.id for track in result.tracks}) == len(set(golden["queries"]))
    for track, score, label, expected in zip(result.tracks, golden["scores"], golden["labels"], masks, strict=True):
        ours = np.stack([np.zeros(shape[2:], bool) if mask is None else mask.decode() for mask in track.masks])
        assert track.score == pytest.approx(score, abs=1e-4)
        assert track.label_id == label
        assert (ours == expected).mean() >= 0.999
