"""Machine of a benchmark: its parts, and how fast it multiplies matrices."""

import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

from genvis.memory import peak_memory
from genvis.model.detector.optimized.linear import linear

_MATRIX_SIZE = 1024


class Machine(NamedTuple):
    """Machine of a benchmark.

    Attributes:
        processor: Name of the CPU or GPU.
        cores: CPU cores that this process may use.
        threads: CPU threads that PyTorch uses.
        system: Operating system, Python and PyTorch.
        matrix_product: Measured speed of a product of large matrices, in GFLOP/s, a bound for all parts.
        load: Processes that wanted to run, over the last minute, before the benchmark; None where the system does not
            tell. Above the number of cores minus ``threads``, figures are too bad.
    """

    processor: str
    cores: int
    threads: int
    system: str
    matrix_product: float
    load: float | None


def measure_machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """Describe a device and measure its matrix product in a dtype."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return Machine(
        processor=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        cores=cores,
        threads=torch.get_num_threads(),
        system=f"{platform.platform(terse=True)}, Python {platform.python_version()}, torch {torch.__version__}",
        matrix_product=matrix_product(device, dtype).by_clock,
        load=load,
    )


class ProductSpeed(NamedTuple):
    """Speed of a product of large matrices, in GFLOP/s: by the clock, and by the processor time of all threads."""

    by_clock: float
    by_processor: float


@torch.inference_mode()
def matrix_product(device: torch.device, dtype: torch.dtype, *, repeats: int = 7) -> ProductSpeed:
    """Measure the better library at the median of some products."""
    left = torch.randn(1, _MATRIX_SIZE, _MATRIX_SIZE, device=device, dtype=dtype)
    right = torch.randn(_MATRIX_SIZE, _MATRIX_SIZE, device=device, dtype=dtype)
    speeds = []
    for product in (lambda: left @ right, lambda: linear(left, right, None)):
        clock, processor = [], []
        for _ in range(repeats + 1):
            start, start_processor = time.perf_counter(), time.process_time()
            product()
            synchronize(device)
            clock.append(time.perf_counter() - start)
            processor.append(time.process_time() - start_processor)
        taken = (max(statistics.median(seconds[1:]), 1e-9) for seconds in (clock, processor))
        speeds.append(ProductSpeed(*(2e-9 * _MATRIX_SIZE**3 / seconds for seconds in taken)))
    return max(speeds)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def peak_memories(device: torch.device) -> dict[str, float]:
    """Return the greatest memory so far, in megabytes: of the process, and of a CUDA device."""
    peaks = {"process": peak_memory() / 1e6}
    if device.type == "cuda":
        peaks["device"] = torch.cuda.max_memory_allocated(device) / 1e6
    return peaks


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
