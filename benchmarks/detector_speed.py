"""Frame to output masks against the forward pass of transformers' own Mask2Former on the same padded frame.

Both run in one process, in turns; the medians are compared, by the clock and by the processor time of all threads,
which busy neighbours disturb less. With --differences it also prints the greatest difference between the detector's
optimized and reference implementation.

    python benchmarks/detector_speed.py ovis-r50-online --height 360 --width 640
    python benchmarks/detector_speed.py ovis-swinl-online --height 448 --width 800
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Mask2FormerForUniversalSegmentation

from genvis.benchmarking.clip_parts import ClipBenchmark, Stopwatch
from genvis.inference.run_setup import RunSetup
from genvis.model.config import GenVISConfig
from genvis.model.detector.base import Implementation
from genvis.model.detector.mask2former import as_mask2former
from genvis.model.genvis import GenVIS
from genvis.video import Frame, open_source


def trained_like(model: GenVIS) -> None:
    """Let the sampling offsets depend on the pixels, as after training; fresh ones are constant, which caches like."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("sampling_offsets.weight"):
            nn.init.normal_(parameter, std=0.1)


def read_frames(source: Path | None, *, height: int, width: int, count: int) -> list[Frame]:
    """Every 20th frame of a video, resized; noise without one."""
    if source is None:
        random = np.random.default_rng(0)
        images = [random.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(count)]
    else:
        from torch.nn import functional

        with open_source(source) as video:
            read = [frame.image for index, frame in enumerate(video) if index % 20 == 0][:count]
        stacked = torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).float()
        resized = functional.interpolate(stacked, size=(height, width), mode="bilinear", antialias=True)
        images = list(resized.round().byte().permute(0, 2, 3, 1).contiguous().numpy())
    return [Frame(index=index, time=index / 25, name=f"{index}", image=image) for index, image in enumerate(images)]


def alternate(runs: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Call each function in turn; return seconds by the clock and of the processor."""
    times: dict[str, dict[str, list[float]]] = {name: {"clock": [], "processor": []} for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            start, start_processor = time.perf_counter(), time.process_time()
            run()
            times[name]["clock"].append(time.perf_counter() - start)
            times[name]["processor"].append(time.process_time() - start_processor)
    return times


@torch.inference_mode()
def run(model: GenVIS, pixel_values: Tensor, *, implementation: Implementation) -> dict[str, Tensor]:
    """The outputs of the detector: the last layer's queries are all that inference reads of them."""
    as_mask2former(model.detector).implementation = implementation
    output = model.detector(pixel_values, layers=model.config.detector_config.decoder_layers)
    return {
        "queries of the last layer": output.frame_queries[-1],
        "queries of all layers": output.frame_queries,
        "stride-4 map": output.features,
    }


def print_differences(model: GenVIS, pixel_values: Tensor) -> None:
    """Print how much optimized and reference differ; and, as a yardstick, the reference with one thread."""
    reference, optimized = (run(model, pixel_values, implementation=name) for name in ("reference", "optimized"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    single = run(model, pixel_values, implementation="reference")
    torch.set_num_threads(threads)
    as_mask2former(model.detector).implementation = "optimized"
    for name, expected in reference.items():
        ours, rounding = (float((expected - other[name]).abs().max()) for other in (optimized, single))
        print(f"  {name}: optimized differs by {ours:.1e}, reference with 1 of {threads} threads by {rounding:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="ovis-r50-online")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--objects", type=int, default=10, help="output masks at the size of the frame")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--differences", action="store_true", help="compare the numbers of both paths, too")
    parser.add_argument("--source", type=Path, default=None, help="a video to run on; default: noise")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = GenVIS(GenVISConfig.from_recipe(options.recipe)).eval()
    trained_like(model)
    height, width = options.height, options.width
    frames = read_frames(options.source, height=height, width=width, count=2)
    setup = RunSetup(
        model,
        clip_length=1,
        resolution=min(height, width),
        max_size=max(height, width),
    )
    pixel_values = setup.prepare(frames[:1]).pixel_values
    padded = tuple(pixel_values.shape[-2:])
    print(f"{options.recipe}, {height}x{width}, padded {padded}, {torch.get_num_threads()} threads", flush=True)
    if options.differences:
        print_differences(model, setup.prepare(frames).pixel_values)
    reference = Mask2FormerForUniversalSegmentation(model.config.detector_config).eval()
    benchmark = ClipBenchmark(setup, objects=options.objects, stopwatch=Stopwatch(model.device))

    @torch.inference_mode()
    def theirs() -> object:
        return reference(pixel_values)

    times = alternate({"genvis": lambda: benchmark.step(frames[:1]), "transformers": theirs}, repeats=options.repeats)
    for clock in ("clock", "processor"):
        ours, other = (statistics.median(times[name][clock]) for name in ("genvis", "transformers"))
        best = min(times["genvis"][clock]) / min(times["transformers"][clock])
        print(f"  {clock}: {ours:.3f} s against {other:.3f} s, ratio {ours / other:.3f} (of the best: {best:.3f})")
    seconds = {name: ", ".join(f"{value:.2f}" for value in clocks["clock"]) for name, clocks in times.items()}
    print("  by the clock: " + "; ".join(f"{name} {values}" for name, values in seconds.items()))


if __name__ == "__main__":
    main()
