"""Benchmark of a GPU: parity, speed, memory and what to fix, in at most 8 minutes.

It needs `genvis.model` and what that needs (torch from 2.11, torchvision, transformers from 5.17, safetensors), nothing
installed of this package, and no network. Parts of the package that need more are measured where they can be imported.

    PYTHONPATH=src python benchmarks/gpu.py --out gpu.json                   # writes gpu.json and gpu.txt
    PYTHONPATH=src python benchmarks/gpu.py --small --minutes 1 --out cpu    # runs through on a CPU, at small sizes

Sections run in the order of their worth, each within a limit of its own; what was measured is on disk after each, and
an error of one is noted and does not end the others. Weights are random, of the published sizes.
"""

import argparse
import gc
import json
import logging
import platform
import signal
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from genvis.benchmarking.operations import operation_counter
from genvis.model.config import GenVISConfig
from genvis.model.detector.optimized import deformable_attention as sampling
from genvis.model.detector.optimized.geometry import map_geometry
from genvis.model.genvis import GenVIS
from genvis.model.mask_product import embeddings_before_projection, projected_mask_logits
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "inference"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
IS_CUDA = DEVICE.type == "cuda"
# Operations after which the processor waits for a device, or copies to it from memory that is not pinned.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal", "lift_fresh")
MEMORY_CLIPS = 16
CLASSES = {index: f"class {index}" for index in range(40)}
SMALL_DETECTOR: dict[str, Any] = {
    "hidden_dim": 32,
    "feature_size": 32,
    "mask_feature_size": 32,
    "num_queries": 8,
    "num_attention_heads": 2,
    "encoder_layers": 1,
    "encoder_feedforward_dim": 32,
    "decoder_layers": 3,
    "dim_feedforward": 32,
    "backbone_config": {
        "model_type": "resnet",
        "layer_type": "basic",
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
}
SMALL: dict[str, Any] = {
    "hidden_dim": 32,
    "mask_feature_size": 32,
    "num_attention_heads": 2,
    "dim_feedforward": 32,
    "encoder_layers": 1,
    "object_decoder_layers": 2,
    "num_instance_queries": 8,
    "detector": SMALL_DETECTOR,
}


Found = TypeVar("Found", dict[str, Any], list[Any])


class OutOfTime(BaseException):
    """A section took longer than it may; no ``except Exception`` of a compiler on the way takes it for its own."""


# Seconds after which a block that was interrupted within code that swallows errors is interrupted again.
ASK_AGAIN = 2.0


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt a block that takes longer; Python that runs, compilers at work included, is interrupted at once."""

    def interrupt(*_: object) -> None:
        raise OutOfTime(f"interrupted after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1), ASK_AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def synchronize() -> None:
    if IS_CUDA:
        torch.cuda.synchronize()


def measure(work: Callable[[], object], *, seconds: float = 1.0, most: int = 50) -> dict[str, float]:
    """Return milliseconds of a call, those until it returns while the device still works, and peak memory.

    ``milliseconds`` is of many calls one after the other without waiting: what a stream of frames takes.
    ``alone`` is the median of single calls, each waited for: the latency of a frame.
    """
    seconds = seconds if IS_CUDA else 0.05
    if IS_CUDA:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        work()
    synchronize()
    alone: list[float] = []
    began = time.perf_counter()
    while len(alone) < 3 or (time.perf_counter() - began < seconds / 3 and len(alone) < most):
        start = time.perf_counter()
        work()
        synchronize()
        alone.append(time.perf_counter() - start)
    count = max(2, min(most, int(seconds / 2 / statistics.median(alone))))
    start = time.perf_counter()
    for _ in range(count):
        work()
    enqueued = time.perf_counter() - start
    synchronize()
    total = time.perf_counter() - start
    result = {
        "milliseconds": 1000 * total / count,
        "alone": 1000 * statistics.median(alone),
        "until_it_returns": 1000 * enqueued / count,
        "calls": count,
    }
    if IS_CUDA:
        result["peak_megabytes"] = torch.cuda.max_memory_allocated() / 1e6
    return {name: round(value, 4) for name, value in result.items()}


class Waits(TorchDispatchMode):
    """Counts the operations after which the processor waits for the device; of copies, those to the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        if name in WAITING:
            self.found[name] += 1
        result = func(*args, **(kwargs or {}))
        if name in ("_to_copy", "copy_") and isinstance(result, Tensor) and IS_CUDA:
            source = args[1] if name == "copy_" else args[0]
            if result.device.type == "cpu" and source.device.type != "cpu":
                self.found["copy to the CPU"] += 1
        return result


def waits_of(work: Callable[[], object]) -> dict[str, int]:
    with Waits() as waits:
        work()
    return dict(waits.found)


def cuda_warnings_of(work: Callable[[], object]) -> dict[str, int]:
    """Return what CUDA itself says of synchronisations, by message."""
    if not IS_CUDA:
        return {}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return dict(Counter(f"{Path(one.filename).name}:{one.lineno}" for one in caught))


def trained_like(model: nn.Module) -> nn.Module:
    """Let sampling offsets depend on the pixels, as after training; fresh ones are constant, which caches like."""
    for name, parameter in model.named_parameters():
        if name.endswith("sampling_offsets.weight"):
            nn.init.normal_(parameter, std=0.1)
    return model.requires_grad_(False).eval()


class Models:
    """The networks that are measured, built when they are asked for; one is held at a time.

    Attributes:
        is_small: Tiny networks and frames, to see that everything runs.
        kept: What the section under way has measured so far: it counts if a later part of the section fails.
    """

    def __init__(self, *, is_small: bool) -> None:
        self.is_small = is_small
        self.kept: dict[str, Any] | list[Any] | None = None
        self._held: tuple[str, nn.Module] | None = None

    def keep(self, found: Found) -> Found:
        """Return what a section fills while it measures."""
        self.kept = found
        return found

    def size(self, name: str) -> tuple[int, int]:
        """Return height and width of the network's input, padded."""
        if self.is_small:
            return 64, 96
        return (384, 640) if name == "GenVIS-R50" else (448, 800)

    @torch.inference_mode(mode=False)  # Tensors made in inference mode could not be trained or converted later.
    def get(self, name: str, dtype: torch.dtype) -> Any:
        if self._held is None or self._held[0] != name:
            self._held = None
            if IS_CUDA:
                torch.cuda.empty_cache()
            torch.manual_seed(0)
            self._held = name, trained_like(self._build(name))
        # Weights that were rounded once stay rounded: for times that does not matter.
        return nn.Module.to(self._held[1], device=DEVICE, dtype=dtype)

    def _build(self, name: str) -> nn.Module:
        with torch.device(DEVICE) if IS_CUDA and name.startswith("VidEoMT") else nullcontext():
            if name.startswith("VidEoMT"):
                width, layers, heads, blocks = {"S": (384, 12, 6, 3), "L": (1024, 24, 16, 4)}[name[-1]]
                sizes: dict[str, Any] = {
                    "hidden_size": width,
                    "num_hidden_layers": layers,
                    "num_attention_heads": heads,
                    "num_blocks": blocks,
                    "image_size": 640,
                }
                if self.is_small:
                    sizes |= {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "num_blocks": 2}
                    sizes |= {"image_size": 96, "num_queries": 7}
                return VidEoMT(VidEoMTConfig(**sizes, id2label=CLASSES))
            if self.is_small:
                return GenVIS(GenVISConfig(**SMALL))
            recipe = {"GenVIS-R50": "ovis-r50-online", "GenVIS-SwinL": "ovis-swinl-online"}[name]
            return GenVIS(GenVISConfig.from_recipe(recipe))


@torch.inference_mode()
def genvis_step(model: GenVIS, pixels: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
    """Segment a frame of each of B videos: class logits (B, Q, K + 1), mask logits (B, Q, h, w), state."""
    detected = model.detector(pixels)
    output, state = model.tracker(detected.frame_queries[-1][:, None], state, memory_clips=MEMORY_CLIPS)
    embeddings, bias = embeddings_before_projection(output.mask_embeddings[-1], model.tracker.mask_features)
    masks = torch.einsum("bqc,bchw->bqhw", embeddings.to(detected.features.dtype), detected.features)
    return output.class_logits[-1], masks + bias.to(masks.dtype)[..., None, None], state


@torch.inference_mode()
def videomt_step(model: VidEoMT, pixels: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
    """Segment a frame of each of B videos."""
    if state is None:
        state = pixels.new_zeros(len(pixels), *model.query.weight.shape)
    heads, state = model.frame_step(pixels, state, pixels.new_ones(len(pixels)))
    return heads.class_logits, torch.einsum("bqc,bchw->bqhw", heads.mask_embeddings, heads.mask_features), state


def stream(model: Any, pixels: Tensor) -> Callable[[], Any]:
    """Return what takes the next frame of B videos, whose memories are full already."""
    step = videomt_step if isinstance(model, VidEoMT) else genvis_step
    held: list[Any] = [None]

    def advance() -> Any:
        classes, masks, held[0] = step(model, pixels, held[0])
        return classes, masks

    if not isinstance(model, VidEoMT):
        _, _, state = step(model, pixels, None)
        for _ in range(MEMORY_CLIPS):
            _, state = _tracker_only(model, state)
        held[0] = state
    return advance


@torch.inference_mode()
def _tracker_only(model: GenVIS, state: Any) -> tuple[Any, Any]:
    queries = model.detector.sizes
    batch = state.instance_queries.shape[0]
    frame_queries = state.instance_queries.new_zeros(batch, 1, queries.queries, queries.query_dim)
    return model.tracker(frame_queries, state, memory_clips=MEMORY_CLIPS)


@contextmanager
def precision(name: str) -> Iterator[torch.dtype]:
    """Set how float32 products are computed; give the dtype of the network."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        yield {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(name, torch.float32)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


PRECISIONS = ("float32", "tf32", "bfloat16", "float16") if IS_CUDA else ("float32", "bfloat16")
FAST = "bfloat16" if IS_CUDA else "float32"


# Sections: each takes the models, keeps JSON values and returns them. ------------------------------------------------


def machine(models: Models) -> dict[str, Any]:
    """Card, versions, and the speed of a large product in each precision, in TFLOP/s."""
    size = 256 if models.is_small else 8192 if IS_CUDA else 1024
    products = {}
    for name in PRECISIONS:
        with precision(name) as dtype:
            left, right = (torch.randn(size, size, device=DEVICE, dtype=dtype) for _ in range(2))
            products[name] = 2e-9 * size**3 / measure(lambda: left @ right, seconds=0.5)["milliseconds"]  # noqa: B023
    properties = torch.cuda.get_device_properties(0) if IS_CUDA else None
    return {
        "device": torch.cuda.get_device_name() if IS_CUDA else platform.processor() or platform.machine(),
        "memory_gigabytes": round(properties.total_memory / 1e9, 1) if properties else None,
        "capability": list(torch.cuda.get_device_capability()) if IS_CUDA else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "matrix_product_tflops": {name: round(speed, 2) for name, speed in products.items()},
    }


def parity(models: Models) -> dict[str, Any]:
    """Greatest differences to the authors' outputs, and of class and mask probabilities to float32 on the CPU."""
    found: dict[str, Any] = models.keep({})
    frames = torch.from_numpy(np.load(GOLDEN / "video.npz")["frames"]).permute(0, 3, 1, 2)  # (8, 3, 96, 144) uint8
    try:
        from genvis.checkpoints.published_files import load_published
    except ImportError as error:
        found["note"] = f"the published files cannot be read here: {error}"
    else:
        for backbone in ("r50", "swin"):
            model = load_published(GOLDEN / f"genvis_{backbone}_tiny.pth")
            golden = np.load(GOLDEN / f"inference_{backbone}_clip1.npz")
            for name in PRECISIONS:
                with precision(name) as dtype, torch.inference_mode():
                    # A copy: weights that were rounded once would stay rounded in the next precision.
                    rounded = nn.Module.to(deepcopy(model), device=DEVICE, dtype=dtype)
                    state, logits = None, []
                    for frame in frames:
                        prediction, state = rounded(frame[None, None].to(DEVICE), state)
                        logits.append(prediction.class_logits.float().cpu())
                difference = (torch.cat(logits) - torch.from_numpy(golden["clip_logits"])).abs().max()
                found[f"GenVIS {backbone}, {name}, class logits to the authors'"] = float(difference)
    videomt = VidEoMT.from_pretrained(GOLDEN / "videomt_tiny").eval()
    bundled = GenVIS.from_pretrained(ROOT / "src" / "genvis" / "assets" / "models" / "sprites-tiny").eval()
    for model, step in ((bundled, genvis_step), (videomt, videomt_step)):
        model.requires_grad_(False)
        expected: list[Tensor] = []
        for name in ("reference", *PRECISIONS):
            device = torch.device("cpu") if name == "reference" else DEVICE
            with precision(name) as dtype:
                rounded = nn.Module.to(deepcopy(model), device=device, dtype=dtype)
                state, outputs = None, []
                for frame in frames:
                    preprocessing = model.config.preprocessing
                    pixels = preprocessing.normalize(preprocessing.resize(frame[None].to(device)), dtype=dtype)
                    classes, masks, state = step(rounded, pixels, state)
                    outputs.append((classes.float().softmax(-1).cpu(), masks.float().sigmoid().cpu()))
                both = [torch.cat(parts) for parts in zip(*outputs, strict=True)]
            if name == "reference":
                expected = both
                continue
            title = f"{type(model).__name__} on 8 frames, {name}"
            found[f"{title}, class probabilities to the CPU"] = float((both[0] - expected[0]).abs().max())
            found[f"{title}, mask cells that change sides"] = float(
                ((both[1] > 0.5) != (expected[1] > 0.5)).float().mean()
            )
    return found


def frames(models: Models, name: str) -> list[dict[str, Any]]:
    """Milliseconds and memory of a frame, network alone, ours and the reference, at several batches and precisions."""
    height, width = models.size(name)
    rows: list[Any] = models.keep([])
    batches = (1, 2) if models.is_small or not IS_CUDA else (1, 4, 16) if name == "GenVIS-R50" else (1, 4)
    for kind in PRECISIONS:
        with precision(kind) as dtype:
            model = models.get(name, dtype)
            for batch in batches:
                pixels = torch.randn(batch, 3, height, width, device=DEVICE, dtype=dtype)
                row = {"model": name, "input": [height, width], "precision": kind, "batch": batch, "way": "ours"}
                row |= measure(stream(model, pixels), seconds=0.7)
                rows.append(row | {"frames_per_second": round(1000 * batch / row["milliseconds"], 2)})
    return rows


def transformers_frames(models: Models, name: str) -> list[dict[str, Any]]:
    """The forward pass of transformers' own class, and of ours with its modules as they are; same inputs."""
    height, width = models.size(name)
    rows: list[Any] = models.keep([])
    for kind in ("tf32", FAST) if IS_CUDA else (FAST,):
        with precision(kind) as dtype, torch.inference_mode():
            model = models.get(name, dtype)
            pixels = torch.randn(1, 3, height, width, device=DEVICE, dtype=dtype)
            if isinstance(model, VidEoMT):
                side = model.config.image_size  # It takes squares of this size only.
                square = torch.randn(1, 1, 3, side, side, device=DEVICE, dtype=dtype)
                theirs = nn.Module.to(
                    transformers.VideomtForUniversalSegmentation(model.config).eval(), device=DEVICE, dtype=dtype
                )
                ways = {
                    f"transformers, {side}x{side}": lambda: theirs(pixel_values_videos=square),  # noqa: B023
                    f"ours, {side}x{side}": stream(model, square[0]),
                }
            else:
                theirs = nn.Module.to(
                    transformers.Mask2FormerForUniversalSegmentation(model.config.detector_config).eval(),
                    device=DEVICE,
                    dtype=dtype,
                )
                ways = {
                    "transformers (no tracker, no masks)": lambda: theirs(pixels),  # noqa: B023
                    "reference": _as_reference(model, stream(model, pixels)),
                    "ours": stream(model, pixels),
                }
            for way, work in ways.items():
                row = {"model": name, "precision": kind, "batch": 1, "way": way} | measure(work, seconds=0.7)
                rows.append(row | {"frames_per_second": round(1000 / row["milliseconds"], 2)})
    return rows


def _as_reference(model: GenVIS, work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        model.detector.implementation = "reference"
        try:
            return work()
        finally:
            model.detector.implementation = "optimized"

    return run


def parts(models: Models) -> dict[str, Any]:
    """Milliseconds, GFLOP and share of the matrix product of each part of GenVIS-R50, one frame."""
    name = "GenVIS-R50"
    height, width = models.size(name)
    found: dict[str, Any] = models.keep({})
    with precision(FAST) as dtype, torch.inference_mode():
        model = models.get(name, dtype)
        pixels = torch.randn(1, 3, height, width, device=DEVICE, dtype=dtype)
        detector, tracker = model.detector, model.tracker
        maps = detector.backbone_maps(pixels)
        decoded = detector.decode_pixels(maps)
        queries = detector.decode_queries(decoded)[-1][None]
        output, state = tracker(queries, None)
        works = {
            "backbone": lambda: detector.backbone_maps(pixels),
            "pixel decoder": lambda: detector.decode_pixels(maps),
            "frame decoder": lambda: detector.decode_queries(decoded),
            "tracker": lambda: tracker(queries, state, memory_clips=MEMORY_CLIPS),
            "masks": lambda: projected_mask_logits(
                output.mask_embeddings[-1, 0], tracker.mask_features, decoded.stride4
            ),
        }
        for part, work in works.items():
            found[part] = measure(work, seconds=0.6)
            found[part]["waits"] = waits_of(work)
    with torch.no_grad():  # The counter of operations does not work in inference mode.
        for part, work in works.items():
            with operation_counter() as counter:
                work()
            found[part]["gigaflop"] = round(counter.get_total_flops() / 1e9, 3)
    return found


def profile(models: Models) -> dict[str, Any]:
    """Kernels of a frame of GenVIS-R50 and of VidEoMT-S: how many, which take longest, and how idle the device is."""
    found: dict[str, Any] = models.keep({})
    for name in ("GenVIS-R50", "VidEoMT-S"):
        height, width = models.size(name)
        with precision(FAST) as dtype:
            model = models.get(name, dtype)
            work = stream(model, torch.randn(1, 3, height, width, device=DEVICE, dtype=dtype))
            for _ in range(3):
                work()
            synchronize()
            activities = [torch.profiler.ProfilerActivity.CPU]
            activities += [torch.profiler.ProfilerActivity.CUDA] if IS_CUDA else []
            count = 3
            with torch.profiler.profile(activities=activities) as profiler:
                start = time.perf_counter()
                for _ in range(count):
                    work()
                synchronize()
                wall = time.perf_counter() - start
            events = profiler.key_averages()
            key = (lambda one: one.self_device_time_total) if IS_CUDA else (lambda one: one.self_cpu_time_total)
            busy = sum(map(key, events)) / 1e6
            launches = sum(one.count for one in events if "LaunchKernel" in one.key)
            found[name] = {
                "kernel_launches_a_frame": launches / count,
                "operations_a_frame": sum(one.count for one in events if one.key.startswith("aten::")) / count,
                "busy_share_under_the_profiler": round(busy / wall, 3),
                "waits": waits_of(work),
                "synchronisations_by_cuda": cuda_warnings_of(work),
                "longest": [
                    {
                        "name": one.key[:110],
                        "milliseconds": round(key(one) / 1000 / count, 4),
                        "calls": one.count / count,
                    }
                    for one in sorted(events, key=key, reverse=True)[:25]
                ],
            }
    return found


def ways_to_sample(models: Models) -> dict[str, Any]:
    """Deformable attention of one layer at the sizes of GenVIS-R50: grids, or sums of rows as on CPUs."""
    height, width = models.size("GenVIS-R50")
    sizes = tuple((height // stride, width // stride) for stride in (32, 16, 8))
    heads, points, channels = (2, 4, 16) if models.is_small else (8, 4, 32)
    found: dict[str, Any] = models.keep({})
    for kind in ("float32", FAST):
        with precision(kind) as dtype, torch.inference_mode():
            geometry = map_geometry(
                sizes,
                channels=heads * channels,
                heads=heads,
                points=points,
                like=torch.empty(0, device=DEVICE, dtype=dtype),
            )
            pixels = sum(geometry.pixels)
            values = torch.randn(1, pixels, heads, channels, device=DEVICE, dtype=dtype)
            offsets = torch.randn(1, pixels, 2, heads, len(sizes), points, device=DEVICE)
            positions = geometry.reference.unflatten(-1, (2, heads, len(sizes), points))[None] + 2 * offsets
            weights = torch.rand(1, pixels, heads, len(sizes), points, device=DEVICE, dtype=dtype)
            arguments = (values, positions.to(dtype), weights, geometry)
            exact = (values, positions, weights, geometry)
            found[f"grids, {kind}"] = measure(lambda: sampling._sum_of_grids(*arguments), seconds=0.4)  # noqa: B023
            found[f"rows, {kind}"] = measure(lambda: sampling._sum_of_rows(*exact), seconds=0.4)  # noqa: B023
    return found


def graphs(models: Models) -> dict[str, Any]:
    """GenVIS-R50 and VidEoMT-S as CUDA graphs: what is left without the time to launch kernels."""
    if not IS_CUDA:
        return {"note": "CUDA graphs need CUDA"}
    found: dict[str, Any] = models.keep({})
    for name in ("GenVIS-R50", "VidEoMT-S"):
        height, width = models.size(name)
        with precision(FAST) as dtype, torch.inference_mode():
            model = models.get(name, dtype)
            pixels = torch.randn(1, 3, height, width, device=DEVICE, dtype=dtype)
            work = (lambda: model.detector(pixels)) if isinstance(model, GenVIS) else (lambda: model.step(pixels))  # noqa: B023
            try:
                found[name] = {
                    "eager": measure(work, seconds=0.7),
                    "graph": measure(_graph_of(work).replay, seconds=0.7),
                }
            except Exception as error:  # Whatever it is: the next run should know.
                found[name] = {"error": f"{type(error).__name__}: {str(error)[:400]}"}
    return found


def _graph_of(work: Callable[[], object]) -> Any:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def product_graphs(models: Models) -> dict[str, Any]:
    """Sessions of the product with CUDA graphs and without: whether they say the same, and milliseconds of a step."""
    found: dict[str, Any] = models.keep({})
    try:
        from genvis.inference.segmenter import VideoSegmenter
    except ImportError as error:
        return {"note": f"sessions cannot be imported here: {error}"}
    height, width = (60, 90) if models.is_small else (360, 640)
    images = _moving_rectangle(24, height, width)
    for name in ("VidEoMT-S", "GenVIS-R50"):
        for kind in (FAST, "tf32") if IS_CUDA else (FAST,):
            with precision(kind) as dtype, _said_by("genvis.runtimes.cuda_graphs") as said:
                model = models.get(name, dtype)
                side = height if name == "GenVIS-R50" or models.is_small else 448
                on, off = (VideoSegmenter(model, resolution=side, cuda_graphs=use) for use in ("auto", "off"))
                row = found[f"{name}, {kind}"] = {"warnings": said}
                if IS_CUDA:
                    torch.cuda.empty_cache()
                reserved = torch.cuda.memory_reserved() if IS_CUDA else 0
                row["step, graphs on"], row["step, graphs off"] = _alternating(on, off, images)
                row["graphs"] = len(on._graphs)
                if IS_CUDA:
                    torch.cuda.empty_cache()
                    row["megabytes_reserved_more"] = round((torch.cuda.memory_reserved() - reserved) / 1e6, 1)
                row |= _parts_of_a_step(on, images)
                row |= _differences(*(_all_objects(segmenter, images) for segmenter in (on, off)))
    return found


def _moving_rectangle(count: int, height: int, width: int) -> list[Any]:
    """Frames (H, W, 3) uint8 of a rectangle that moves over noise."""
    generator = np.random.default_rng(0)
    images = []
    for number in range(count):
        image = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
        left = number * (width - width // 4) // count
        image[height // 4 : height // 2, left : left + width // 4] = (200, 40, 40)
        images.append(image)
    return images


@contextmanager
def _said_by(logger: str) -> Iterator[list[str]]:
    """Give the list to which the sentences of a logger go."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger(logger).addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger(logger).removeHandler(handler)


def _alternating(on: Any, off: Any, images: list[Any]) -> list[dict[str, float]]:
    """Return for each segmenter the median milliseconds of a step, rounds in turns, and that of its slowest step."""
    times: tuple[list[float], list[float]] = ([], [])
    slowest = [0.0, 0.0]
    for turn in range(3):
        for place, segmenter in enumerate((on, off)):
            session = segmenter.open_session(score_threshold=0.5)
            for image in images:
                start = time.perf_counter()
                session.step(image)  # It waits for the device: the result is on the CPU.
                seconds = time.perf_counter() - start
                slowest[place] = max(slowest[place], 1000 * seconds)
                if turn:  # In the first turn, graphs are recorded and memories are made.
                    times[place].append(1000 * seconds)
    return [
        {"milliseconds": round(statistics.median(one), 3), "slowest": round(slow, 1)}
        for one, slow in zip(times, slowest, strict=True)
    ]


def _parts_of_a_step(segmenter: Any, images: list[Any]) -> dict[str, float]:
    """Return the median milliseconds of what a step begins with, each waited for."""
    prepare, track, state = [], [], None
    for image in images:
        start = time.perf_counter()
        clip = segmenter.prepare([image])
        synchronize()
        between = time.perf_counter()
        _, state = segmenter.tracker.track(clip.pixel_values, state)
        synchronize()
        prepare.append(1000 * (between - start))
        track.append(1000 * (time.perf_counter() - between))
    return {
        "prepare, graphs on": round(statistics.median(prepare), 3),
        "track, graphs on": round(statistics.median(track), 3),
    }


def _all_objects(segmenter: Any, images: list[Any]) -> list[dict[int, Any]]:
    """Return of each frame all objects that the network has, by track id."""
    session = segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep")
    return [{one.id: one for one in session.step(image)} for image in images]


def _differences(on: list[dict[int, Any]], off: list[dict[int, Any]]) -> dict[str, Any]:
    pairs = [(a[number], b[number]) for a, b in zip(on, off, strict=True) for number in a.keys() & b.keys()]
    return {
        "objects": sum(map(len, off)),
        "objects that one has alone": sum(len(a.keys() ^ b.keys()) for a, b in zip(on, off, strict=True)),
        "objects of another class": sum(a.label_id != b.label_id for a, b in pairs),
        "greatest difference of scores": max((abs(a.score - b.score) for a, b in pairs), default=0.0),
        "mask cells that differ": sum(int((a.mask != b.mask).sum()) for a, b in pairs),
        "mask cells": sum(a.mask.size for a, _ in pairs),
    }


def end_to_end(models: Models) -> dict[str, Any]:
    """Frames/s of GenVIS-R50 from uint8 frames on the CPU to ten masks at the frame's size on the CPU, no drawing."""
    name = "GenVIS-R50"
    height, width = (60, 90) if models.is_small else (360, 640)
    found: dict[str, Any] = models.keep({})
    with precision(FAST) as dtype, torch.inference_mode():
        model = models.get(name, dtype)
        preprocessing = model.config.preprocessing.with_resolution(height, width)
        video = torch.randint(0, 256, (8, 3, height, width), dtype=torch.uint8)
        video = video.pin_memory() if IS_CUDA else video
        state: Any = None

        def submit(index: int) -> tuple[Tensor, Any]:
            nonlocal state
            frame = video[index % len(video)][None].to(DEVICE, non_blocking=True)
            pixels = preprocessing.normalize(preprocessing.resize(frame), dtype=dtype)
            classes, masks, state = genvis_step(model, pixels, state)
            best = classes[0].float().softmax(-1)[:, :-1].amax(-1).topk(min(10, classes.shape[1])).indices
            padded = pixels.shape[-2:]
            chosen = F.interpolate(masks[0].index_select(0, best)[None].float(), padded, mode="bilinear")
            answer = chosen[0, :, :height, :width] > 0
            place = torch.empty(answer.shape, dtype=torch.bool, pin_memory=IS_CUDA)
            place.copy_(answer, non_blocking=True)
            event = torch.cuda.Event() if IS_CUDA else None
            if event is not None:
                event.record()
            return place, event

        found["waits"] = waits_of(lambda: submit(0))
        found["synchronisations_by_cuda"] = cuda_warnings_of(lambda: submit(0))
        for _ in range(3):
            submit(0)
        synchronize()
        for way, ahead in (("each frame waited for", 0), ("two frames under way", 2)):
            pending: list[Any] = []
            count, limit, start = 0, 3.0 if IS_CUDA else 0.5, time.perf_counter()
            while time.perf_counter() - start < limit and count < 500:
                pending.append(submit(count)[1])
                count += 1
                while len(pending) > ahead:
                    event = pending.pop(0)
                    if event is not None:
                        event.synchronize()
            synchronize()
            found[f"frames_per_second, {way}"] = round(count / (time.perf_counter() - start), 2)
        try:
            found["session"] = _session(model, height, width)
        except ImportError as error:
            found["session"] = {"note": f"sessions cannot be imported here: {error}"}
    return found


def _session(model: GenVIS, height: int, width: int) -> dict[str, Any]:
    """The session that `genvis predict --live` runs, without decoding and drawing."""
    from genvis.inference.segmenter import VideoSegmenter

    session = VideoSegmenter(model, resolution=height, max_size=width).open_session(score_threshold=0.5)
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    for _ in range(3):
        session.step(frame)
    return measure(lambda: session.step(frame), seconds=1.5) | {"waits": waits_of(lambda: session.step(frame))}


def training(models: Models) -> dict[str, Any]:
    """A training step of the published recipe from the detector's cache: 8 videos of 5 clips, 3 detector layers."""
    from genvis.training.criterion.set_criterion import SetCriterion
    from genvis.training.criterion.targets import ObjectTargets
    from genvis.training.criterion.tracker_criterion import TrackerCriterion
    from genvis.training.recipe.loss_options import LossOptions, PointOptions

    videos, clips, layers, objects = (2, 2, 2, 2) if models.is_small else (8, 5, 3, 4)
    name = "GenVIS-R50"
    height, width = models.size(name)
    generator = np.random.default_rng(0)
    with precision("tf32" if IS_CUDA else "float32"):
        model = models.get(name, torch.float32)
        sizes, tracker = model.detector.sizes, model.tracker
        tracker.requires_grad_(True).train()
        half: dict[str, Any] = {"device": DEVICE, "dtype": torch.bfloat16}
        queries = torch.randn(layers, videos, clips, sizes.queries, sizes.query_dim, **half)
        features = torch.randn(videos, clips, sizes.feature_dim, height // 4, width // 4, **half)
        masks = torch.zeros(count := videos * objects, clips, height, width, dtype=torch.bool, device=DEVICE)
        for row in range(count):
            top, left = generator.integers(0, height // 2), generator.integers(0, width // 2)
            masks[row, :, top : top + height // 3, left : left + width // 3] = True
        targets = ObjectTargets(
            torch.randint(0, model.config.num_classes, (count,), device=DEVICE),
            masks,
            np.repeat(np.arange(videos), objects),
            np.ones((count, clips), bool),
        )
        assignment = generator.integers(0, sizes.queries, (layers, count, clips))
        options = LossOptions(detector_layers=layers, points=PointOptions(count=64 if models.is_small else 12544))
        optimizer = torch.optim.AdamW(tracker.parameters(), lr=1e-4, fused=IS_CUDA)

        def losses() -> Tensor:
            criterion = TrackerCriterion(
                SetCriterion(options),
                videos=targets.videos,
                decoder_layers=model.config.object_decoder_layers,
                detector_layers=layers,
            )
            state, total = None, torch.zeros((), device=DEVICE)
            for clip in range(clips):
                output, state = tracker(queries[:, :, clip : clip + 1].flatten(0, 1), state)
                part = criterion(
                    output,
                    tracker.mask_features,
                    features[:, clip : clip + 1],
                    assignment[..., clip : clip + 1],
                    targets.frames(clip, clip + 1),
                )
                total = total + sum(value.sum() for value in part.values())
            return total

        def gradients() -> None:
            with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
                total = losses()
            total.backward()

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            gradients()
            torch.nn.utils.clip_grad_norm_(tracker.parameters(), 0.01)
            optimizer.step()

        found: dict[str, Any] = models.keep({})
        try:
            found["step"] = measure(step, seconds=6.0, most=12)
            with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
                found["forward and losses"] = measure(losses, seconds=2.0, most=6)
            found["waits"] = waits_of(gradients)
            with operation_counter() as counter:
                step()
            found["gigaflop"] = round(counter.get_total_flops() / 1e9, 2)
        finally:
            tracker.requires_grad_(False).eval()
    return found


def compiled(models: Models) -> dict[str, Any]:
    """`torch.compile` of the detector of GenVIS-R50 and of VidEoMT-S: seconds to compile, and the time of a frame."""
    if not IS_CUDA:
        return {"note": "compiling for a CPU takes minutes, and is not what this script is for"}
    found: dict[str, Any] = models.keep({})
    for name in ("VidEoMT-S", "GenVIS-R50"):
        height, width = models.size(name)
        with precision(FAST) as dtype, torch.inference_mode():
            model = models.get(name, dtype)
            pixels = torch.randn(1, 3, height, width, device=DEVICE, dtype=dtype)
            network = model.detector if isinstance(model, GenVIS) else model.step
            function = torch.compile(network, dynamic=False)
            start = time.perf_counter()
            function(pixels)
            synchronize()
            seconds = time.perf_counter() - start
            found[name] = {
                "seconds_to_compile": round(seconds, 1),
                "eager": measure(partial(network, pixels), seconds=0.5),
                "compiled": measure(partial(function, pixels), seconds=0.7),
            }
    return found


# In the order of their worth, with the seconds that each may take on a GPU.
SECTIONS: dict[str, tuple[float, Callable[[Models], Any]]] = {
    "machine": (20, machine),
    "parity": (50, parity),
    "end to end, GenVIS-R50": (40, end_to_end),
    "parts, GenVIS-R50": (30, parts),
    "frames, GenVIS-R50": (50, lambda models: frames(models, "GenVIS-R50")),
    "transformers, GenVIS-R50": (30, lambda models: transformers_frames(models, "GenVIS-R50")),
    "profile": (45, profile),
    "training": (60, training),
    "ways to sample": (20, ways_to_sample),
    "graphs": (30, graphs),
    "product graphs": (60, product_graphs),
    "frames, VidEoMT-S": (30, lambda models: frames(models, "VidEoMT-S")),
    "transformers, VidEoMT-S": (25, lambda models: transformers_frames(models, "VidEoMT-S")),
    "frames, GenVIS-SwinL": (50, lambda models: frames(models, "GenVIS-SwinL")),
    "transformers, GenVIS-SwinL": (35, lambda models: transformers_frames(models, "GenVIS-SwinL")),
    "frames, VidEoMT-L": (45, lambda models: frames(models, "VidEoMT-L")),
    "compiled": (150, compiled),
}


def rows_of(content: Any) -> list[dict[str, Any]]:
    """Return the rows of a section, or those that it had measured before it failed."""
    if isinstance(content, dict):
        content = content.get("rows")
    return content if isinstance(content, list) else []


def goals(found: dict[str, Any]) -> list[str]:
    """Return the goals and what was measured, one a line."""

    def get(*path: Any) -> Any:
        value: Any = found
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    lines = []
    online = get("end to end, GenVIS-R50", "frames_per_second, two frames under way")
    lines.append(f"GenVIS-R50 online at 360x640, end to end without drawing: {online} frames/s (goal: 100)")
    rows = [row for row in rows_of(get("transformers, GenVIS-R50")) if row["precision"] == FAST]
    times = {row["way"].split()[0]: row["milliseconds"] for row in rows}
    ratio = round(times["transformers"] / times["ours"], 2) if {"transformers", "ours"} <= set(times) else None
    lines.append(f"times transformers' eager detector, {FAST}: {ratio} (goal: 3)")
    product = get("machine", "matrix_product_tflops", FAST)
    step, work = get("training", "step", "milliseconds"), get("training", "gigaflop")
    floor = None if None in (product, step, work) else round(step / (work / product), 2)
    lines.append(f"a training step, times the time of its matrix products: {floor} (goal: 2.5)")
    return lines


def table(found: dict[str, Any]) -> str:
    """Return the table: a line for every figure worth reading first."""
    about = found.get("machine", {})
    lines = [f"{about.get('device')}, torch {about.get('torch')}, transformers {about.get('transformers')}"]
    lines += [f"product {name}: {speed} TFLOP/s" for name, speed in about.get("matrix_product_tflops", {}).items()]
    lines += [
        "",
        *goals(found),
        "",
        f"{'model':<14}{'way':<38}{'precision':<10}{'batch':>6}{'ms':>10}{'frames/s':>10}{'MB':>8}",
    ]
    for section, content in found.items():
        for row in rows_of(content):
            peak = f"{row['peak_megabytes']:.0f}" if "peak_megabytes" in row else ""
            lines.append(
                f"{row['model']:<14}{row['way']:<38}{row['precision']:<10}{row['batch']:>6}"
                f"{row['milliseconds']:>10.2f}{row['frames_per_second']:>10.1f}{peak:>8}"
            )
        if isinstance(content, dict) and "error" in content:
            lines.append(f"{section}: {content['error']}")
    lines += ["", "part of GenVIS-R50          ms   returns after      GFLOP   waits"]
    for part, row in found.get("parts, GenVIS-R50", {}).items():
        if isinstance(row, dict):
            work = row.get("gigaflop", float("nan"))
            figures = f"{row['milliseconds']:>8.2f}{row['until_it_returns']:>16.2f}{work:>11.1f}"
            lines.append(f"{part:<22}{figures}   {row.get('waits')}")
    for name in (
        "parity",
        "ways to sample",
        "graphs",
        "product graphs",
        "training",
        "end to end, GenVIS-R50",
        "compiled",
    ):
        lines += ["", name, *(f"  {key}: {value}" for key, value in found.get(name, {}).items())]
    for name, content in found.get("profile", {}).items():
        if isinstance(content, dict):
            lines += ["", f"{name}: { ({key: value for key, value in content.items() if key != 'longest'}) }"]
            lines += [
                f"  {one['milliseconds']:>9.4f} ms {one['calls']:>6.1f} x {one['name']}" for one in content["longest"]
            ]
    return "\n".join(lines) + "\n"


def described(error: BaseException) -> str:
    """Return an error in one line, with the place where it was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    line = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    said = (str(error).strip().splitlines() or [""])[0][:400]
    return f"{type(error).__name__} at {line}: {said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu.json"), help="JSON file; the table goes beside it, as .txt"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="the section under way then is interrupted")
    parser.add_argument("--small", action="store_true", help="tiny networks, to see that everything runs")
    parser.add_argument("--sections", nargs="*", choices=list(SECTIONS), help="only these")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    end = time.monotonic() + 60 * options.minutes
    if not (IS_CUDA or options.small):
        parser.error("there is no GPU here: --small runs through on the CPU, to see that everything works")
    models = Models(is_small=options.small)
    found: dict[str, Any] = models.keep({})
    for name in options.sections or SECTIONS:
        limit, section = SECTIONS[name]
        left = end - time.monotonic() - 3
        began = time.monotonic()
        if left < 5:
            found[name] = {"error": "no time was left"}
        else:
            models.kept = None
            try:
                with limited(min(limit if IS_CUDA else 300, left)):
                    found[name] = section(models)
            except (Exception, OutOfTime) as error:  # One section must not end the others: what went wrong is the news.
                kept = {"rows": models.kept} if isinstance(models.kept, list) else models.kept or {}
                found[name] = kept | {"error": described(error)}
            gc.collect()  # What an error held of a section, frames with tensors, is free for the next one.
            if IS_CUDA:
                torch.cuda.empty_cache()
        note = found[name].get("error", "") if isinstance(found[name], dict) else ""
        print(f"{name}: {time.monotonic() - began:.1f} s {note}", flush=True)
        options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
        options.out.with_suffix(".txt").write_text(table(found))
    print(table(found))
    sys.exit(1 if any(isinstance(one, dict) and "error" in one for one in found.values()) else 0)


if __name__ == "__main__":
    main()
