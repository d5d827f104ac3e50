"""Cost of a frame besides the network where much comes together: many ids, large frames, a memory of 10,000 clips.

Processor time, which busy neighbours disturb least; medians. Masks are discs of the network's stride-4 map, spread over
the frame: cut at the size of the frame, freed of overlaps, drawn. The memory is that of the published sizes, 100
queries of 256 channels; a clip reads all of it and adds to it.

    python benchmarks/extremes.py --ids 100 --height 2160 --width 3840
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from genvis.inference.mask_geometry import MaskCrop, mask_geometry
from genvis.inference.mask_store import positive_boxes
from genvis.model.tracker.memory_bank import PrototypeMemory
from genvis.model.tracker.memory_reader import PrototypeMemoryReader
from genvis.results.overlaps import resolve_overlaps
from genvis.results.types import FrameResult, FrameStamp, Instance
from genvis.video.drawing.instances import draw_instances


def processor_ms(work: Callable[[], Any], *, repeats: int) -> float:
    """Median of the processor time of a call, in milliseconds."""
    taken = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken[1:])


def disc_logits(count: int, height: int, width: int) -> torch.Tensor:
    """(N, h, w): positive inside discs that overlap a little."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    radius = 0.75 * (height * width / max(count, 4)) ** 0.5
    centres = random.uniform((0, 0), (height, width), (count, 2))
    distance = np.hypot(rows - centres[:, 0, None, None], columns - centres[:, 1, None, None])
    return torch.from_numpy((radius - distance).astype(np.float32))


def frame_of_many(ids: int, height: int, width: int, *, repeats: int) -> dict[str, float]:
    """Milliseconds of a frame's masks, by what is done with them."""
    resized = (360, round(360 * width / height))
    padded = tuple(-(-side // 32) * 32 for side in resized)
    small = padded[0] // 4, padded[1] // 4
    geometry = mask_geometry((height, width), resized, padded, small)
    logits = disc_logits(ids, *small)
    boxes, values = positive_boxes(logits).tolist(), logits.numpy()

    def cut() -> list[np.ndarray]:
        return [
            geometry.mask(MaskCrop(top, left, value[top:bottom, left:right]), order="C").view(np.bool_)
            for (top, left, bottom, right), value in zip(boxes, values, strict=True)
        ]

    instances = tuple(
        Instance(id=number, label="fish", label_id=0, score=1 - number / (2 * ids), mask=mask)
        for number, mask in enumerate(cut(), start=1)
    )
    stamp = FrameStamp(index=0, time=0.0, name="0")
    frame = FrameResult(stamp=stamp, height=height, width=width, instances=instances)
    resolved = resolve_overlaps(frame)
    image = np.zeros((height, width, 3), np.uint8)
    kept = list(resolved)
    masks, numbers = [one.mask for one in kept], [one.id for one in kept]
    return {
        "boxes": processor_ms(lambda: positive_boxes(logits), repeats=repeats),
        "masks at the size of the frame": processor_ms(cut, repeats=repeats),
        "overlaps": processor_ms(lambda: resolve_overlaps(frame), repeats=repeats),
        "drawing": processor_ms(lambda: draw_instances(image, masks=masks, ids=numbers), repeats=repeats),
    }


@torch.inference_mode()
def long_memory(clips: int, *, limit: int | None) -> dict[str, float]:
    """Milliseconds of a clip's memory at the beginning, in the middle and at the end, and its megabytes at the end."""
    torch.manual_seed(0)
    reader = PrototypeMemoryReader(hidden_dim=256, is_global=False).eval()
    queries = torch.randn(1, 100, 256)
    memory = PrototypeMemory.empty(batch=1, num_queries=100, hidden_dim=256, like=queries)
    taken = []
    for _ in range(clips):
        start = time.process_time()
        reader(queries, memory.keys, memory.values)
        memory = memory.append(*reader.store(queries), limit=limit)
        taken.append(1000 * (time.process_time() - start))
    window = min(100, clips)
    middle = clips // 2
    return {
        "first clips, ms": statistics.median(taken[:window]),
        "middle, ms": statistics.median(taken[middle : middle + window]),
        "last clips, ms": statistics.median(taken[-window:]),
        "mean of all, ms": statistics.mean(taken),
        "megabytes": 2 * memory.keys.untyped_storage().nbytes() / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, default=100)
    parser.add_argument("--height", type=int, default=2160)
    parser.add_argument("--width", type=int, default=3840)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument(
        "--limit", type=int, default=500, help="clips that the memory keeps: 500 is a session's default"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.ids} ids at {options.width}x{options.height}, {torch.get_num_threads()} threads")
    for name, milliseconds in frame_of_many(
        options.ids, options.height, options.width, repeats=options.repeats
    ).items():
        print(f"  {name}: {milliseconds:.0f} ms of processor time", flush=True)
    print(f"memory over {options.clips:,} clips, of which {options.limit:,} are kept")
    for name, value in long_memory(options.clips, limit=options.limit).items():
        print(f"  {name}: {value:.2f}")


if __name__ == "__main__":
    main()
