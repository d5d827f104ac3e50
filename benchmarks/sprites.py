"""Frames per second of CPU time of the generated videos and images: what one core makes.

Run ``python benchmarks/sprites.py``.
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch

from genvis.data.sprites import SpriteImages, SpriteVideos


def frames_per_second(dataset: SpriteVideos, samples: int) -> float:
    """Return the rate of ``samples`` samples, after one that warms the glyph cache."""
    for index in range(samples):
        dataset[index]
    started = time.process_time()
    for index in range(samples, 2 * samples):
        dataset[index]
    return samples * dataset.length / (time.process_time() - started)


def main() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    cases = {
        "images, 96x160, 1-6 objects": (SpriteImages(10_000), 300),
        "videos of 5 frames, 96x160, normal (2-6 objects)": (SpriteVideos(10_000, length=5), 100),
        "videos of 5 of 20 frames, 96x160, normal": (SpriteVideos(10_000, length=5, span=20), 100),
        "videos of 36 frames, 96x160, easy (1-3 objects)": (SpriteVideos(10_000, difficulty="easy"), 20),
        "videos of 48 frames, 96x160, normal (2-6 objects)": (SpriteVideos(10_000), 20),
        "videos of 72 frames, 96x160, hard (4-10 objects)": (SpriteVideos(10_000, difficulty="hard"), 10),
        "videos of 48 frames, 360x640, normal": (SpriteVideos(10_000, height=360, width=640), 5),
    }
    for name, (dataset, samples) in cases.items():
        print(f"{frames_per_second(dataset, samples):7.0f} frames/s  {name}", flush=True)


if __name__ == "__main__":
    main()
