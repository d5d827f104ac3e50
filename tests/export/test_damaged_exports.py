"""Folders of exports that are damaged or hostile: one sentence, and no file outside of the folder is opened."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import genvis
from genvis.errors import InputError
from genvis.runtimes.graphs import require_runtime
from tests.export.conftest import Exported

Change = Callable[[dict[str, Any]], object]

DAMAGES: dict[str, Change] = {
    "another format": lambda document: document.update(format="something"),
    "another version": lambda document: document.update(version=99),
    "no graphs": lambda document: document.update(graphs={}),
    "a graph of another family": lambda document: document.update(family="videomt"),
    "an unknown family": lambda document: document.update(family=["genvis"]),
    "a file elsewhere": lambda document: document["graphs"]["detector"].update(file="../../etc/passwd"),
    "data elsewhere": lambda document: document["graphs"]["detector"].update(data=["/etc/passwd"]),
    "a file that is missing": lambda document: document["graphs"]["detector"].update(file="other.onnx"),
    "a side below zero": lambda document: document.update(input_size=[-64, 96]),
    "a text for a size": lambda document: document["sizes"].update(queries="many"),
    "no queries": lambda document: document.update(first_queries=None),
    "queries of another shape": lambda document: document["config"].update(num_instance_queries=9),
    "a configuration out of bounds": lambda document: document["config"].update(hidden_dim=10**9),
    "a configuration that is none": lambda document: document.update(config=[1]),
}


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.folder, tmp_path / "copy"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_description(damage: str, folder: Path) -> None:
    path = folder / "model.json"
    document = json.loads(path.read_text())
    DAMAGES[damage](document)
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        genvis.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["model.json", "detector.onnx", "detector.onnx.data", "first_queries.npy"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 100])
def test_damaged_files(file: str, content: bytes, folder: Path) -> None:
    (folder / file).write_bytes(content)
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(InputError) as caught:
            genvis.load(folder, runtime=runtime)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_an_export_of_openvino_is_not_for_onnxruntime(folder: Path) -> None:
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"graph_format": "onnx"', '"graph_format": "openvino"'))
    with pytest.raises(InputError, match="--format onnx"):
        genvis.load(folder, runtime="onnxruntime")


def test_unknown_runtimes() -> None:
    with pytest.raises(InputError, match="onnxruntime, openvino"):
        require_runtime("tensorrt")  # type: ignore[arg-type]
