"""Names of runtimes and formats, and how a folder of an export is told; light to import."""

from pathlib import Path
from typing import Literal, get_args

RuntimeName = Literal["onnxruntime", "openvino"]
"""Which library runs an exported graph."""
RUNTIME_NAMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
GraphFormat = Literal["onnx", "openvino"]
"""How a graph is stored. OpenVINO reads both, ONNX Runtime reads ONNX only."""

DESCRIPTION_FILE = "model.json"


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (folder / DESCRIPTION_FILE).is_file()
