"""Graphs: files of networks, run by a runtime, with tensors in and tensors out."""

from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from genvis.errors import InputError, MissingExtraError
from genvis.files import printable, require_file
from genvis.runtimes.runtime_names import RUNTIME_NAMES, RuntimeName

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}


class Graph(Protocol):
    """A network as a function of named tensors, all on the CPU."""

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name; they belong to the caller."""


def require_runtime(name: RuntimeName) -> None:
    """Make sure that a runtime is installed.

    Raises:
        InputError: If there is no such runtime.
        MissingExtraError: If it is not installed.
    """
    if name not in RUNTIME_NAMES:
        raise InputError(f"There is no runtime '{name}'; choose from torch, {', '.join(RUNTIME_NAMES)}.")
    if find_spec(name) is None:
        raise MissingExtraError(name, _EXTRAS[name])


def open_graph(path: Path, runtime: RuntimeName, *, fixed_shapes: bool = False) -> Graph:
    """Open the file of a graph.

    Args:
        path: An ONNX file, or the ``.xml`` of an OpenVINO model beside its ``.bin``.
        runtime: What runs it.
        fixed_shapes: Whether few different shapes will come, for which a runtime may prepare itself one by one.

    Raises:
        InputError: If there is no such file, or it is damaged.
        MissingExtraError: If the runtime is not installed.
    """
    require_runtime(runtime)
    require_file(path)
    with _explained(path):
        if runtime == "onnxruntime":
            return OnnxGraph(path)
        return OpenVINOGraph(path, fixed_shapes=fixed_shapes)


class OnnxGraph(Graph):
    """Graph in ONNX Runtime, on the CPU, with as many threads as PyTorch uses.

    Args:
        path: The ONNX file; its weights may lie beside it.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # Errors; they become exceptions.
        # Its threads would otherwise keep the cores busy while others decode, draw and write.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run the graph: see `Graph`."""
        arrays = {name: tensor.detach().contiguous().numpy() for name, tensor in inputs.items()}
        outputs = self._session.run(self._names, arrays)
        return {name: torch.from_numpy(output) for name, output in zip(self._names, outputs, strict=True)}


class OpenVINOGraph(Graph):
    """Graph in OpenVINO, on the CPU, in float32, with as many threads as PyTorch uses.

    Args:
        path: An ONNX file, or an ``.xml`` file beside its ``.bin``.
        fixed_shapes: Whether to compile the graph anew for every combination of input shapes, which is faster to run.
    """

    _MOST_SHAPES = 4

    def __init__(self, path: Path, *, fixed_shapes: bool = False) -> None:
        import openvino

        self._core = openvino.Core()
        self._model = self._core.read_model(path)
        self._fixed_shapes = fixed_shapes
        self._requests: dict[tuple[torch.Size, ...], Callable[..., Any]] = {}
        if not fixed_shapes:
            self._requests[()] = self._compiled(self._model)

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run the graph: see `Graph`."""
        arrays = {name: tensor.detach().contiguous().numpy() for name, tensor in inputs.items()}
        outputs = self._request(inputs)(arrays, share_inputs=True, share_outputs=False)
        return {output.get_any_name(): torch.from_numpy(values) for output, values in outputs.items()}

    def _request(self, inputs: dict[str, Tensor]) -> Callable[..., Any]:
        key = tuple(tensor.shape for tensor in inputs.values()) if self._fixed_shapes else ()
        if key not in self._requests:
            if len(self._requests) == self._MOST_SHAPES:
                self._requests.pop(next(iter(self._requests)))
            model = self._model.clone()
            model.reshape({name: list(tensor.shape) for name, tensor in inputs.items()})
            self._requests[key] = self._compiled(model)
        return self._requests[key]

    def _compiled(self, model: Any) -> Callable[..., Any]:
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # It takes bfloat16 by itself where the processor has it.
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        infer: Callable[..., Any] = self._core.compile_model(model, "CPU", settings).create_infer_request().infer
        return infer


@contextmanager
def _explained(path: Path) -> "Iterator[None]":
    """Turn whatever a runtime raises for a file that it cannot read into one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"'{path}' cannot be run ({printable(error)[:200]}): export the model again.") from error
