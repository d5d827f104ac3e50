"""Milliseconds per frame of reading, drawing, compressing and writing, without any model.

Run it with ``python benchmarks/video_io.py``; ``--height`` and ``--objects`` change the picture.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genvis.masks import RLEMask
from genvis.video import open_source
from genvis.video.drawing.instances import draw_instances
from genvis.video.writing.video_writer import VideoWriter


def moving_ellipses(height: int, width: int, objects: int, seed: int) -> NDArray[np.bool_]:
    """(objects, height, width) masks, each of some 3 to 6 percent of the frame."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    centres = random.uniform(0.1, 0.9, (objects, 2)) * (height, width)
    radii = random.uniform(0.12, 0.18, (objects, 1)) * height
    return np.stack(
        [((rows - y) ** 2 + (columns - x) ** 2 < r**2) for (y, x), (r,) in zip(centres, radii, strict=True)]
    )


def milliseconds(work: Callable[[], object], *, repeats: int = 30) -> tuple[float, float]:
    """Best and median CPU time of a call, which busy neighbours disturb least."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return min(times), float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    height, width, objects = options.height, options.height * 16 // 9, options.objects
    random = np.random.default_rng(0)
    smooth = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width))[..., None] + [0, 8, 15]
    image = (smooth + random.integers(0, 8, (height, width, 3))).astype(np.uint8)
    masks = moving_ellipses(height, width, objects, seed=1)
    encoded = [RLEMask.encode(mask) for mask in masks]
    ids = list(range(1, objects + 1))
    print(f"{width}x{height}, {objects} objects, CPU ms per frame: best / median")

    def report(name: str, times: tuple[float, float]) -> None:
        print(f"{name:<34}{times[0]:8.2f} / {times[1]:.2f}")

    def draw() -> object:
        return draw_instances(image, masks=masks, ids=ids, labels=["giant panda"] * objects, scores=[0.9] * objects)

    report("draw", milliseconds(draw))
    report("compress all masks", milliseconds(lambda: [RLEMask.encode(mask) for mask in masks]))
    report("decompress all masks", milliseconds(lambda: [mask.decode() for mask in encoded]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        start = time.perf_counter()
        with VideoWriter(path, frame_rate=25) as writer:
            for number in range(options.frames):
                writer.write(np.roll(image, 2 * number, axis=1), time=number / 25)
        each = 1000 * (time.perf_counter() - start) / options.frames
        print(f"{'write H.264 (mean, elapsed)':<34}{each:8.2f}")
        start = time.perf_counter()
        with open_source(path) as source:
            count = sum(1 for _ in source)
        print(f"{'read (mean, elapsed)':<34}{1000 * (time.perf_counter() - start) / count:8.2f}")
    counts = sum(len(mask.counts) for mask in encoded)
    print(f"{'bytes of RLE per frame':<34}{counts:8d}")


if __name__ == "__main__":
    main()
