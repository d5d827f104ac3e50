"""How much faster a training step is from the frozen detector's cache: `python benchmarks/detector_cache.py`.

A ResNet-50 GenVIS (online, 5 clips of one frame) with random weights on generated videos, one video per step. Two rows
run the detector in every step: by transformers' own modules, and by the fast path that training takes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from genvis.model.detector import Arithmetic
from genvis.training.data_options import CacheOptions, DataOptions, SourceOptions
from genvis.training.recipe import ModelOptions, Recipe, RunOptions
from genvis.training.run import build_data, build_module


def seconds_per_step(recipe: Recipe, *, steps: int, arithmetic: Arithmetic) -> tuple[float, float]:
    """Return the median CPU seconds of a step after the first, and the loss of the first."""
    module = build_module(recipe)
    module.model.detector.arithmetic = arithmetic
    data = build_data(recipe, module)
    times, first = [], 0.0
    for step in range(steps + 1):
        start = time.process_time()
        torch.manual_seed(step)
        batch = data.collate_items([data.stream[0]])
        loss = torch.stack(list(module.losses(batch).values())).sum()
        loss.backward()
        times.append(time.process_time() - start)
        first = first or float(loss.detach())
    return sorted(times[1:])[steps // 2], first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--frames", type=int, default=1, help="of a clip: 1 online, 3 semi-online")
    parser.add_argument("--points", type=int, default=12544)
    options = parser.parse_args()
    torch.set_num_threads(1)  # CPU seconds of one thread are comparable on a busy machine.
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("none, plain", "none", "float32", "float16"):
            recipe = Recipe(
                model=ModelOptions(name="ovis-r50-online", config={"clip_length": options.frames}),
                data=DataOptions(
                    sources=[SourceOptions(height=options.height, width=options.width)],
                    frames_per_clip=options.frames,
                    batch_size=1,
                ),
                run=RunOptions(accelerator="cpu", devices=1),
            )
            recipe.loss.fixed_grid = round(options.points**0.5)
            is_cached = not kind.startswith("none")
            if is_cached:
                cached = CacheOptions(folder=str(Path(folder) / kind), views=1)
                recipe.cache = cached
                cached.stored_as = "float16" if kind == "float16" else "float32"
            arithmetic: Arithmetic = "plain" if kind == "none, plain" else "fast"
            seconds, loss = seconds_per_step(recipe, steps=options.steps, arithmetic=arithmetic)
            results[kind] = seconds
            size = Path(folder, kind, "views.bin").stat().st_size / 2**20 if is_cached else 0.0
            print(
                f"cache {kind:11}  {seconds:7.2f} CPU s a step   {results['none, plain'] / seconds:5.1f} times faster"
                f"   loss {loss:.5f}   {size:.0f} MB a view",
                flush=True,
            )


if __name__ == "__main__":
    main()
