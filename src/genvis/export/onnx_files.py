"""ONNX files of traced networks, and OpenVINO's files of them."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from genvis.errors import InputError, MissingExtraError
from genvis.export.traced_networks import Length, TracedNetwork
from genvis.files import printable
from genvis.runtimes.description import GraphFile
from genvis.runtimes.runtime_names import GraphFormat

if TYPE_CHECKING:
    import onnx_ir

WeightType = Literal["float32", "float16", "bfloat16"]
"""How weights are stored; the arithmetic is in float32."""

OPSET = 18
# Smaller tensors are left as they are: they hold constants of the arithmetic, and take no space.
_LEAST_WEIGHTS = 1024


def require_exporter(graph_format: GraphFormat) -> None:
    """Make sure that what writes a format is installed.

    Raises:
        MissingExtraError: If it is not.
    """
    from importlib.util import find_spec

    for library in ("onnx", "onnxscript", *(["openvino"] if graph_format == "openvino" else ["onnxruntime"])):
        if find_spec(library) is None:
            raise MissingExtraError(library, graph_format)


def write_graph(
    network: TracedNetwork, folder: Path, name: str, *, graph_format: GraphFormat, weights: WeightType
) -> GraphFile:
    """Trace a network and write its graph.

    Args:
        network: In evaluation mode; for weights in a lower precision, with weights that this holds exactly.
        folder: Where its files go.
        name: Of the graph, and of its files before the dot.
        graph_format: How it is stored.
        weights: How its weights are stored.

    Returns:
        The names of the files, and the shapes of inputs and outputs.

    Raises:
        InputError: If the network cannot be traced.
    """
    program = _traced(network, name)
    _tidy(program.model, network)
    if weights != "float32":
        _store_lower(program.model, weights)
    shapes = {output.name: [_length(side) for side in output.shape] for output in program.model.graph.outputs}
    inputs = {key: value.shape for key, value in network.inputs.items()}
    if graph_format == "onnx":
        file = f"{name}.onnx"
        program.save(folder / file, external_data=True)
    else:
        file = f"{name}.xml"
        _write_openvino(program, folder / file)
    data = sorted(path.name for path in folder.glob(f"{name}.*") if path.name != file)
    return GraphFile(file, inputs, shapes, data)


@torch.no_grad()
def _traced(network: TracedNetwork, name: str) -> Any:
    """Return the ONNX program of a network."""
    axes: dict[str, Any] = {}
    shapes = {
        key: {
            axis: axes.setdefault(length, torch.export.Dim(length, min=1))
            for axis, length in enumerate(one.shape)
            if isinstance(length, str)
        }
        for key, one in network.inputs.items()
    }
    examples: dict[str, Tensor] = {key: one.example for key, one in network.inputs.items()}
    with _quiet(), _without_fused_layers():
        # What depends on sizes alone is computed here, and remembered: in the graph it becomes constants.
        network(**examples)
        try:
            program = torch.export.export(network, (), kwargs=examples, dynamic_shapes=shapes, strict=False)
            return torch.onnx.export(
                program, opset_version=OPSET, output_names=network.output_names, verbose=False, optimize=True
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            reason = printable(str(error).strip().splitlines()[0])[:200]
            raise InputError(f"The {name} cannot be exported ({reason}): run the model with PyTorch.") from error


def _tidy(model: "onnx_ir.Model", network: TracedNetwork) -> None:
    """Remove what the exporter notes of the source code, and call the free length of outputs what it is."""
    import onnx_ir

    for node in model.graph.all_nodes():
        node.metadata_props.clear()
    model.metadata_props.clear()
    free = next(iter(network.inputs.values())).shape[0]
    for output in model.graph.outputs:
        assert output.shape is not None
        output.shape = onnx_ir.Shape([free, *list(output.shape)[1:]])


def _store_lower(model: "onnx_ir.Model", weights: WeightType) -> None:
    """Store in a lower precision what it holds exactly, which the weights are rounded to before.

    Each is converted to float32 where it is read, which runtimes do once.
    """
    import onnx_ir

    kind = {"float16": onnx_ir.DataType.FLOAT16, "bfloat16": onnx_ir.DataType.BFLOAT16}[weights]
    graph = model.graph
    for key, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != onnx_ir.DataType.FLOAT or tensor.size < _LEAST_WEIGHTS:
            continue
        exact = torch.from_numpy(tensor.numpy().copy())
        lower = exact.to(getattr(torch, weights))
        if not torch.equal(lower.float(), exact):
            continue  # No weight as it was given, but computed from some, or a constant of the geometry.
        raw = lower.contiguous().view(torch.int16).numpy()
        stored = onnx_ir.Value(name=f"{key}.{weights}", shape=value.shape, type=onnx_ir.TensorType(kind))
        stored.const_value = onnx_ir.Tensor(raw.view(kind.numpy()), dtype=kind, name=stored.name)
        cast = onnx_ir.Node("", "Cast", [stored], [onnx_ir.AttrInt64("to", onnx_ir.DataType.FLOAT)])
        restored = cast.outputs[0]
        restored.name, restored.shape, restored.type = f"{key}.float32", value.shape, value.type
        value.replace_all_uses_with(restored)
        del graph.initializers[key]
        graph.register_initializer(stored)
        graph.insert_before(graph[0], cast)


def _write_openvino(program: Any, path: Path) -> None:
    import tempfile

    import openvino

    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        file = Path(temporary) / "graph.onnx"
        program.save(file, external_data=True)
        model = openvino.Core().read_model(file)
        openvino.save_model(model, path, compress_to_fp16=False)
        del model


def _length(side: Any) -> Length:
    return side if isinstance(side, int) else str(side)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from printing what it does; what goes wrong is raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _without_fused_layers() -> Iterator[None]:
    """Let PyTorch's transformer layers run step by step: their fused form has no counterpart in ONNX."""
    was_on = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_on)
