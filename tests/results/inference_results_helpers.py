"""Made-up results: random blobs that come, move, overlap and go."""

import numpy as np
from hypothesis import strategies as st

from genvis.masks import encode_mask
from genvis.results.types import FrameStamp, Track, VideoResult

LABELS = ("person", "giant panda", "Straßenbahn 视频")


def random_result(
    seed: int, *, frames: int = 5, tracks: int = 4, height: int = 24, width: int = 32, first_id: int = 1
) -> VideoResult:
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    made = []
    for number in range(tracks):
        masks = []
        for _ in range(frames):
            y, x, radius = random.random() * height, random.random() * width, random.random() * height / 2
            visible = random.random() < 0.7
            masks.append(((rows - y) ** 2 + (columns - x) ** 2 < radius**2) & visible)
        label_id = int(random.integers(len(LABELS)))
        made.append(
            Track(
                id=first_id + number,
                label=LABELS[label_id],
                label_id=label_id,
                category_id=10 * label_id + 3,
                score=float(random.random()),
                masks=tuple(encode_mask(mask) for mask in masks),
            )
        )
    times = np.cumsum(random.random(frames) + 1e-3).tolist()
    indices = np.cumsum(random.integers(1, 4, frames)).tolist()
    return VideoResult(
        name="made up ü",
        height=height,
        width=width,
        frames=tuple(
            FrameStamp(index=index, time=time, name=f"{index:05d}") for index, time in zip(indices, times, strict=True)
        ),
        tracks=tuple(made),
        categories_name="ovis",
        problem=None if seed % 2 else "It ends early.",
    )


RESULTS = st.builds(
    random_result,
    st.integers(0, 10**6),
    frames=st.integers(1, 5),
    tracks=st.integers(0, 5),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    first_id=st.sampled_from([1, 7, 200]),
)
