"""Average precision lost and time saved by smaller dtypes, on a CPU.

Video AP of a sprite model on generated validation videos (the same ones for every dtype), and seconds from frame to
masks of a published model's sizes. The formats take turns there, and processor time of all threads is counted.

    python benchmarks/precision.py sprites-tiny --videos 50 --recipe ovis-r50-online --height 360 --width 640
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from detector_speed import alternate, read_frames, trained_like
from torch import nn
from torch.ao.quantization import quantize_dynamic

from genvis.benchmarking.clip_parts import ClipBenchmark, Stopwatch
from genvis.checkpoints.load import load_genvis
from genvis.data.sprites import SpriteVideos
from genvis.evaluation.evaluated_videos import evaluate_videos
from genvis.inference.run_setup import RunSetup
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.training.validation.validation_scores import evaluated_video

DTYPES = ("float32", "bfloat16", "int8")


def converted(model: GenVIS, dtype: str) -> GenVIS:
    """Bring a fresh model to a dtype.

    ``int8`` is PyTorch's dynamic quantisation of the detector's feed-forward layers, two fifths of the products outside
    of a ResNet-50: weights are rounded once, activations as they come. All else stays float32.
    """
    if dtype != "int8":
        nn.Module.to(model, dtype=getattr(torch, dtype))
        return model.eval()
    model.eval()
    layers = {name for name, module in model.named_modules() if name.endswith((".fc1", ".fc2"))}
    quantize_dynamic(model.detector, {name.removeprefix("detector.") for name in layers}, inplace=True)
    return model


def print_average_precision(options: argparse.Namespace) -> None:
    videos = SpriteVideos(options.videos, difficulty=options.difficulty, split="validation", seed=1)
    samples = [videos[index] for index in range(len(videos))]
    frames = sum(len(sample.frames) for sample in samples)
    print(f"{options.model}: video AP on {len(samples)} {options.difficulty} videos, {frames} frames", flush=True)
    for dtype in options.dtypes:
        segmenter = VideoSegmenter(converted(load_genvis(options.model), dtype))
        start = time.process_time()
        records = [evaluated_video(sample, segmenter) for sample in samples]
        seconds = time.process_time() - start
        scores = evaluate_videos(records, categories=segmenter.categories).scores
        ap, ap50 = (100 * (score or 0.0) for score in (scores.ap, scores.ap50))
        milliseconds = 1000 * seconds / frames
        print(f"  {dtype:9} AP {ap:6.2f}  AP50 {ap50:6.2f}  {milliseconds:6.1f} ms/frame", flush=True)


def print_time(options: argparse.Namespace) -> None:
    height, width = options.height, options.width
    frames = read_frames(None, height=height, width=width, count=1)
    runs: dict[str, Callable[[], object]] = {}
    for dtype in options.dtypes:
        torch.manual_seed(0)
        model = GenVIS(GenVISConfig.from_recipe(options.recipe))
        trained_like(model)
        setup = RunSetup(
            converted(model, dtype),
            clip_length=1,
            resolution=min(height, width),
            max_size=max(height, width),
        )
        benchmark = ClipBenchmark(setup, objects=10, stopwatch=Stopwatch(model.device))
        runs[dtype] = partial(benchmark.step, frames)
    print(f"{options.recipe}, {height}x{width}, frame to masks, {torch.get_num_threads()} threads", flush=True)
    for dtype, clocks in alternate(runs, repeats=options.repeats).items():
        clock, processor = (statistics.median(clocks[name]) for name in ("clock", "processor"))
        print(f"  {dtype:9} {clock:.3f} s by the clock, {processor:.3f} s of the processor", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="sprites-tiny")
    parser.add_argument("--videos", type=int, default=50, help="0: only the time of --recipe")
    parser.add_argument("--difficulty", default="normal")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--recipe", default=None, help="a published model whose time is measured, with random weights")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.videos:
        print_average_precision(options)
    if options.recipe is not None:
        print_time(options)


if __name__ == "__main__":
    main()
