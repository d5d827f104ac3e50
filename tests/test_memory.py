"""The memory reader: right numbers here, and nothing on import that other systems lack."""

import ast
from pathlib import Path

import numpy as np

import genvis
from genvis.memory import peak_memory, used_memory


def test_a_large_array_is_seen():
    before = used_memory()
    array = np.ones(25_000_000)
    assert 190e6 < used_memory() - before < 260e6
    del array
    assert used_memory() - before < 100e6
    assert peak_memory() >= before + 190e6


def test_nothing_is_imported_that_other_systems_lack():
    """Windows has no `resource`: a file that imports it at its head cannot be imported there."""
    missing = {"resource", "fcntl", "pwd", "grp", "termios", "pty"}
    for path in Path(genvis.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not missing & set(names), path
