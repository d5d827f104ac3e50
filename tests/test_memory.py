"""The memory reader: right numbers here, and nothing on import that other systems lack."""

import ast
import subprocess
import sys
from pathlib import Path

import genvis


def test_a_large_array_is_seen():
    """In a process of its own: one that has run for long has free memory, in which the array finds room."""
    code = (
        "import numpy as np\n"
        "from genvis.memory import peak_memory, used_memory\n"
        "before = used_memory()\n"
        "array = np.ones(25_000_000)\n"
        "print(used_memory() - before, peak_memory() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    used, peak = map(int, done.stdout.split())
    assert 190e6 < used < 260e6
    assert peak >= 190e6


def test_nothing_is_imported_that_other_systems_lack():
    """Windows has no `resource`: a file that imports it at its head cannot be imported there."""
    missing = {"resource", "fcntl", "pwd", "grp", "termios", "pty"}
    for path in Path(genvis.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not missing & set(names), path
