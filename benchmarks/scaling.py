"""Throughput and cost of many videos, simulated from the part times that `genvis bench --out FIGURES.json` measured.

    genvis bench ovis-r50-online --height 360 --width 640 --out figures.json
    python benchmarks/scaling.py figures.json --network-speedups 1 10 30 100 --price 2.5

A process works as `genvis predict` does: frames are decoded in a thread beside the network; when the video is over, the
masks of its objects are cut; for pictures the video is decoded once more while another thread draws and encodes.
Several processes on one GPU fill each other's gaps. What is measured are the part times; a network that is some times
as fast, as on a GPU, is an assumption: that GPU's own `genvis bench --device cuda` replaces it.
"""

import argparse
import heapq
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

NETWORK = ("backbone", "pixel decoder", "frame decoder", "tracker")
FRAME_RATE = 25.0


@dataclass(frozen=True)
class Parts:
    """Seconds of one frame.

    Attributes:
        decode: Decoding, by one thread.
        prepare: Resizing and normalising.
        network: Detector and tracker.
        masks: Cutting the masks of the selected objects.
        draw: Drawing the objects.
        write: Encoding the annotated video.
        threads: With which the network was measured.
    """

    decode: float
    prepare: float
    network: float
    masks: float
    draw: float
    write: float
    threads: int = 1

    @classmethod
    def of_figures(cls, figures: dict) -> "Parts":
        seconds = {part["name"]: part["milliseconds"] / 1000 for part in figures["parts"]}
        network = sum(seconds.pop(name) for name in NETWORK)
        names = ("decode", "prepare", "masks", "draw", "write")
        threads = int(figures.get("machine", {}).get("threads", 1))
        return cls(network=network, threads=threads, **{name: seconds[name] for name in names})

    def faster(self, speedup: float) -> "Parts":
        """Return the parts with a network that is so many times as fast."""
        return replace(self, network=self.network / speedup)

    def alone(self, *, pictures: bool) -> float:
        """Return the seconds of a frame where one process has the machine for itself."""
        first = max(self.decode, self.prepare + self.network)
        second = max(self.decode, self.draw + self.write) if pictures else 0.0
        return first + self.masks + second

    def processor(self, *, pictures: bool, on_gpu: bool) -> float:
        """Return the seconds of a frame that one core is busy."""
        again = self.decode + self.draw + self.write if pictures else 0.0
        return self.decode + self.prepare + self.masks + again + (0.0 if on_gpu else self.threads * self.network)


@dataclass(frozen=True)
class Limit:
    """Frames per second of one GPU with its cores, and what limits them."""

    rate: float
    by: str


def limit(parts: Parts, *, processes: int, cores: float, pictures: bool, on_gpu: bool) -> Limit:
    """Return how many frames a second some processes do together on one GPU (or without one) and some cores."""
    limits = {
        "one part waiting for another": processes / parts.alone(pictures=pictures),
        "cores": cores / parts.processor(pictures=pictures, on_gpu=on_gpu),
    }
    if on_gpu:
        limits["network"] = 1 / parts.network
    by = min(limits, key=limits.__getitem__)
    return Limit(limits[by], by)


def lengths(videos: int, *, median: float, spread: float, seed: int) -> np.ndarray:
    """Return frames of videos, lognormal: most are short, some are very long."""
    random = np.random.default_rng(seed)
    return np.maximum(1, np.round(median * np.exp(spread * random.standard_normal(videos)))).astype(np.int64)


def sharded(seconds: np.ndarray, workers: int, *, seed: int) -> float:
    """Return when the last share is done, where a hash deals the videos out."""
    random = np.random.default_rng(seed + 1)
    return float(np.bincount(random.integers(workers, size=len(seconds)), seconds, minlength=workers).max())


def taken_in_turn(seconds: np.ndarray, workers: int) -> float:
    """Return when the last video is done, where whoever is free takes the next one, as on Ray."""
    free = [0.0] * min(workers, len(seconds))
    for duration in seconds.tolist():
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def print_limits(parts: Parts, options: argparse.Namespace) -> None:
    print(f"\nOne GPU with {options.cores:g} cores, {'with' if options.pictures else 'without'} pictures:")
    print(
        "| network | 1 process, frames/s | limited by | processes that pay | frames/s | limited by | cost of an hour |"
    )
    print("|---|---|---|---|---|---|---|")
    for speedup in options.network_speedups:
        fast, on_gpu = parts.faster(speedup), speedup > 1
        common = {"cores": options.cores, "pictures": options.pictures, "on_gpu": on_gpu}
        found = {count: limit(fast, processes=count, **common) for count in range(1, options.most_processes + 1)}
        best = max(found.values(), key=lambda one: one.rate).rate
        count = next(count for count, one in found.items() if one.rate > 0.95 * best)
        hours = 3600 * FRAME_RATE / found[count].rate / 3600
        name = "on these cores" if speedup == 1 else f"{speedup:g} times as fast"
        print(
            f"| {name}, {1000 * fast.network:.1f} ms | {found[1].rate:.1f} | {found[1].by} | {count} | "
            f"{found[count].rate:.1f} | {found[count].by} | {hours * options.price:.3f} |"
        )


def print_jobs(parts: Parts, options: argparse.Namespace) -> None:
    speedup = max(options.network_speedups)
    fast = parts.faster(speedup)
    frame = fast.alone(pictures=options.pictures)
    print(
        f"\nJobs on {options.workers} processes, network {speedup:g} times as fast, {options.overhead:g} s a video to "
        f"open, claim and record it, median {options.median_frames:g} frames:"
    )
    print("| videos | hours of video | even, hours | by shards | by turns (Ray) | longest video |")
    print("|---|---|---|---|---|---|")
    count = 100
    while count <= options.videos:
        frames = lengths(count, median=options.median_frames, spread=options.spread, seed=options.seed)
        seconds = frames * frame + options.overhead
        even = seconds.sum() / options.workers
        results = (even, sharded(seconds, options.workers, seed=options.seed), taken_in_turn(seconds, options.workers))
        shown = " | ".join(f"{value / 3600:,.2f}" for value in (*results, seconds.max()))
        print(f"| {count:,} | {frames.sum() / FRAME_RATE / 3600:,.0f} | {shown} |")
        count *= 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="JSON of `genvis bench --out`")
    parser.add_argument("--network-speedups", type=float, nargs="+", default=[1, 10, 30, 100, 300])
    parser.add_argument("--cores", type=float, default=8, help="of each GPU")
    parser.add_argument("--most-processes", type=int, default=16, help="on each GPU")
    parser.add_argument("--price", type=float, default=2.5, help="of an hour of one GPU with its cores")
    parser.add_argument("--no-pictures", dest="pictures", action="store_false", help="without the annotated video")
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=64, help="processes of the job")
    parser.add_argument("--median-frames", type=float, default=500)
    parser.add_argument("--spread", type=float, default=1.0, help="of the logarithm of the lengths")
    parser.add_argument("--overhead", type=float, default=0.5, help="seconds a video")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text("utf-8"))
    parts = Parts.of_figures(figures)
    print(f"{figures['model']} at {figures['network_size'][0]}x{figures['network_size'][1]}, measured, ms a frame:")
    print(", ".join(f"{name} {1000 * value:.1f}" for name, value in vars(parts).items() if name != "threads"))
    print_limits(parts, options)
    print_jobs(parts, options)


if __name__ == "__main__":
    main()
