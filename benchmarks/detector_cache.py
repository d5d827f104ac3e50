"""How much faster a training step is from the frozen detector's cache: `python benchmarks/detector_cache.py`.

A ResNet-50 GenVIS (5 clips) with random weights on generated videos, one video a step, forward and backward. The
detector runs in every step, by transformers' own modules (``reference``) or by the implementation that training takes
(``optimized``), or its outputs come from the cache (``float32``, ``float16``). All take turns; processor time of one
thread is counted.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from genvis.model.detector.mask2former import as_mask2former
from genvis.training.recipe.data_options import CacheOptions, DataOptions, SourceOptions
from genvis.training.recipe.recipe import ModelOptions, Recipe, RunOptions
from genvis.training.run.data_module import TrainingData
from genvis.training.run.run import build_data, build_module
from genvis.training.stages.stage import StageModule

KINDS = ("reference", "optimized", "float32", "float16")
CACHED = ("float32", "float16")


def training_of(kind: str, options: argparse.Namespace, folder: Path) -> tuple[StageModule, TrainingData]:
    """Return network and data; what is cached is computed here."""
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
    if kind in CACHED:
        cached = CacheOptions(folder=str(folder / kind), views=1)
        cached.stored_as = "float16" if kind == "float16" else "float32"
        recipe.cache = cached
    module = build_module(recipe)
    as_mask2former(module.model.detector).implementation = "reference" if kind == "reference" else "optimized"
    return module, build_data(recipe, module)


def step(module: StageModule, data: TrainingData, *, is_cached: bool) -> tuple[float, float]:
    """Return the processor seconds and the loss of a step; reading the cache counts, generating a video does not."""
    module.zero_grad()
    torch.manual_seed(0)
    start = time.process_time()
    batch = data.collate_items([data.stream[0]])
    start = start if is_cached else time.process_time()
    loss = torch.stack(list(module.losses(batch).values())).sum()
    loss.backward()
    return time.process_time() - start, float(loss.detach())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3, help="of two steps of every kind, of which the second counts")
    parser.add_argument("--frames", type=int, default=1, help="of a clip: 1 online, 3 semi-online")
    parser.add_argument("--points", type=int, default=12544)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    torch.set_num_threads(1)  # Processor time of one thread can be compared on a busy machine.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainings = {kind: training_of(kind, options, folder) for kind in options.kinds}
        seconds: dict[str, list[float]] = {kind: [] for kind in trainings}
        for turn in range(1, options.rounds + 1):
            for kind, training in trainings.items():
                # A run takes one step after the other: the first of a turn finds the memory of another kind.
                step(*training, is_cached=kind in CACHED)
                took, loss = step(*training, is_cached=kind in CACHED)
                print(f"round {turn}: {kind:8} {took:7.2f} s, loss {loss:.5f}", flush=True)
                seconds[kind].append(took)
        slowest = median(seconds[options.kinds[0]])
        for kind, times in seconds.items():
            size = f", {(folder / kind / 'views.bin').stat().st_size / 2**20:.0f} MB a view" if kind in CACHED else ""
            print(f"{kind:8} median {median(times):7.2f} s a step, {slowest / median(times):5.1f} times{size}")


if __name__ == "__main__":
    main()
