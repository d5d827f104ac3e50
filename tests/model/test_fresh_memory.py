"""Temporaries of the size of feature maps do not have the system clear new pages again and again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from genvis.model.fresh_memory import keep_freed_memory
keep_freed_memory()
def work():
    maps = [torch.ones(4_000_000) for _ in range(2)]  # 16 MB each
for _ in range(8):  # Until the heap has its size.
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these thresholds")
def test_freed_memory_is_used_again() -> None:
    # Where a process has its heap is up to chance: without the function, five rounds clear between 0 and 38,900 pages.
    for _ in range(3):
        process = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
        assert int(process.stdout) < 10_000
