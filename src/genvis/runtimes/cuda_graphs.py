"""CUDA graphs: the kernels of a network are recorded once for inputs of a shape, and then launched by one call.

Launched one by one from Python, the some thousand kernels of a frame take several times as long as they run.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_log = logging.getLogger(__name__)

Outputs = tuple[Tensor, ...]
# How many shapes are counted that have no graph yet.
_COUNTED_SHAPES = 64


class Recorder(Protocol):
    """Recorder of kernels, which launches them again.

    Attributes:
        device_type: Of the devices on which it can.
    """

    device_type: str

    def settings(self) -> Hashable:
        """Return what else, besides the inputs, decides which kernels run."""

    def put_in_order(self, device: torch.device) -> None:
        """Let what is launched from now on come after all that was launched for a recording so far."""

    def record(self, work: Callable[[], Outputs], device: torch.device) -> tuple[Callable[[], object], Outputs]:
        """Record what ``work`` launches.

        Returns:
            What launches it again, and the outputs, which are written anew each time, and by other recordings, too.
        """

    def forget(self) -> None:
        """Let go of what recordings share: none is launched any more."""


class CudaRecorder(Recorder):
    """Recorder of CUDA graphs. All share one pool of memory for what lies between inputs and outputs."""

    device_type = "cuda"
    _one_at_a_time = threading.Lock()

    def __init__(self) -> None:
        self._pools: dict[torch.device, Any] = {}
        self._sides: dict[torch.device, torch.cuda.Stream] = {}
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def settings(self) -> Hashable:
        """Return how exactly products and convolutions are computed: see `Recorder.settings`."""
        cudnn: Any = torch.backends.cudnn
        return (
            torch.backends.cuda.matmul.fp32_precision,
            cudnn.conv.fp32_precision,
            torch.are_deterministic_algorithms_enabled(),
        )

    def put_in_order(self, device: torch.device) -> None:
        """Wait, on the device, for the stream of the call before: see `Recorder.put_in_order`."""
        stream = torch.cuda.current_stream(device)
        before = self._streams.get(device)
        if before is not None and before != stream:
            stream.wait_stream(before)
        self._streams[device] = stream

    def record(self, work: Callable[[], Outputs], device: torch.device) -> tuple[Callable[[], object], Outputs]:
        """Capture a graph: see `Recorder.record`."""
        with self._one_at_a_time, torch.cuda.device(device):
            here = torch.cuda.current_stream()
            # PyTorch wants one stream for all graphs of a pool.
            side = self._sides.setdefault(device, torch.cuda.Stream())
            side.wait_stream(here)
            try:
                with torch.cuda.stream(side):
                    work()  # What is made once, for this stream or these sizes, is made now.
                    with TensorsRead() as read:
                        work()
                here.wait_stream(side)
                graph = torch.cuda.CUDAGraph()
                # Threads that decode or copy meanwhile do what must not be in a graph, but they are not in it.
                with torch.cuda.graph(
                    graph, pool=self._pools.get(device), stream=side, capture_error_mode="thread_local"
                ):
                    outputs = work()
            finally:
                torch.cuda.set_stream(here)  # A capture that fails leaves its own.
            self._pools[device] = graph.pool()

        def replay(_held: list[Tensor] = read.tensors) -> None:
            graph.replay()

        return replay, outputs

    def forget(self) -> None:
        """Let go of the pools: see `Recorder.forget`."""
        self._pools.clear()


class TensorsRead(TorchDispatchMode):
    """Holds the tensors that a computation reads and has not made itself: weights, and what is remembered of sizes.

    A graph knows them by their addresses alone. Caches of geometry are bounded: without this, they could free what a
    graph reads.

    Attributes:
        tensors: One for each piece of memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []
        self._made: dict[int, StorageWeakRef] = {}  # Keeps the numbers from being used again, not the memory.
        self._read: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note what it reads and makes."""
        for tensor in tree_leaves((args, kwargs or {})):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()._cdata
                if storage not in self._made and storage not in self._read:
                    self._read.add(storage)
                    self.tensors.append(tensor)
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()._cdata
                if storage not in self._read and storage not in self._made:
                    self._made[storage] = StorageWeakRef(tensor.untyped_storage())
        return result


class _Recording(NamedTuple):
    """A function for inputs of one shape.

    Attributes:
        inputs: Read by the kernels.
        replay: Launches them.
        outputs: Written by them.
    """

    inputs: Outputs
    replay: Callable[[], object]
    outputs: Outputs

    def run(self, inputs: Outputs) -> Outputs:
        """Return outputs of their own for these inputs."""
        for place, tensor in zip(self.inputs, inputs, strict=True):
            place.copy_(tensor)
        self.replay()
        return tuple(output.clone() for output in self.outputs)


class CudaGraphs:
    """Functions of tensors, run from CUDA graphs wherever that is possible and worthwhile, and else as they are.

    A graph is recorded when inputs of the same shapes come for the third time. Outputs belong to the caller: no later
    call writes to them. Graphs do without gradient; they are of the weights' memory, so that weights written in place
    count, and others let the graphs go. Calls of several threads and streams follow one another.

    Memory: the temporaries of the largest function once, and inputs and outputs of each of at most ``most`` graphs.

    Args:
        most: How many graphs are kept; of more shapes, the one not used for longest is dropped. Each time, shapes must
            come twice as often as before until they get a graph, as to record takes as long as some calls.
        calls_before: Calls of a shape that run without a graph.
        recorder: None takes CUDA's.
    """

    def __init__(self, *, most: int = 8, calls_before: int = 2, recorder: Recorder | None = None) -> None:
        self._most = most
        self._calls_before = calls_before
        self._recorder: Recorder = recorder or CudaRecorder()
        self._lock = threading.Lock()
        self._recordings: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._calls: OrderedDict[Hashable, int] = OrderedDict()
        self._networks: dict[str, _WeightsInPlace] = {}
        self._has_failed = False

    def __len__(self) -> int:
        """How many graphs are held."""
        return len(self._recordings)

    def run(
        self,
        name: str,
        function: Callable[..., Outputs],
        *inputs: Tensor,
        network: nn.Module,
        variant: Hashable = None,
    ) -> Outputs:
        """Return ``function(*inputs)``.

        Args:
            name: Of the function, among all that these graphs are of.
            function: Of tensors on one device; never looks at a value, and always does the same for the same shapes.
            inputs: On one device.
            network: Whose weights it reads.
            variant: What the function does differently from call to call.
        """
        if not self._can_replay(inputs, network):
            return function(*inputs)
        with self._lock:
            recording = self._recording(name, function, inputs, network, variant)
            if recording is not None:
                return recording.run(inputs)
        return function(*inputs)

    def _can_replay(self, inputs: Outputs, network: nn.Module) -> bool:
        device = inputs[0].device
        return (
            device.type == self._recorder.device_type
            and not self._has_failed
            and not network.training
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled(device.type)
            and not torch.compiler.is_compiling()
            and all(tensor.device == device for tensor in inputs)
            and not (device.type == "cuda" and torch.cuda.is_current_stream_capturing())
        )

    def _recording(
        self, name: str, function: Callable[..., Outputs], inputs: Outputs, network: nn.Module, variant: Hashable
    ) -> _Recording | None:
        """Return the recording for inputs, made if it is time to; None if there is none."""
        device = inputs[0].device
        try:
            if not self._knows(name, network):
                self._drop_all()
            key = (name, variant, tuple(map(_layout, inputs)), device, self._recorder.settings())
            if key in self._recordings:
                self._recordings.move_to_end(key)
            elif self._is_due(key):
                recording = self._made(function, inputs)
                self._recordings[key] = recording
                if len(self._recordings) > self._most:
                    self._recordings.popitem(last=False)
                    self._calls_before *= 2
            else:
                return None
            self._recorder.put_in_order(device)
            return self._recordings[key]
        except Exception as error:  # Whatever a driver or a library says: without graphs it goes on.
            self._has_failed = True
            self._drop_all()
            cause = error.__context__ or error  # That a capture cannot be ended follows from what broke it.
            said = str(cause).strip().partition("\n")[0]
            _log.warning("CUDA graphs are off, frames take longer: %s: %s", type(cause).__name__, said)
            return None

    def _is_due(self, key: Hashable) -> bool:
        """Count a call without a graph; return whether the shape has come often enough."""
        calls = self._calls.pop(key, 0)
        if calls >= self._calls_before:
            return True
        self._calls[key] = calls + 1
        if len(self._calls) > _COUNTED_SHAPES:
            self._calls.popitem(last=False)
        return False

    def _made(self, function: Callable[..., Outputs], inputs: Outputs) -> _Recording:
        with torch.inference_mode(mode=False):  # They are written outside of inference mode, too.
            places = tuple(torch.empty_like(tensor, requires_grad=False) for tensor in inputs)
        self._recorder.put_in_order(inputs[0].device)
        for place, tensor in zip(places, inputs, strict=True):
            place.copy_(tensor)
        replay, outputs = self._recorder.record(lambda: function(*places), inputs[0].device)
        return _Recording(places, replay, outputs)

    def _knows(self, name: str, network: nn.Module) -> bool:
        """Return whether a function still reads the weights that it read before."""
        known = self._networks.get(name)
        if known is None or known.network is not network:
            self._networks[name] = _WeightsInPlace(network)
            return known is None
        return known.are_the_same()

    def _drop_all(self) -> None:
        self._recordings.clear()
        self._calls.clear()
        self._recorder.forget()


class _WeightsInPlace:
    """Where the weights of a network lie, to see whether they were replaced: by another dtype, device or state.

    Args:
        network: Its parts stay; their parameters and buffers may be replaced.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        modules = list(network.modules())
        self._parameters = [(module._parameters, name) for module in modules for name in module._parameters]
        self._buffers = [(module._buffers, name) for module in modules for name in module._buffers]
        self._seen = self._stamp()

    def are_the_same(self) -> bool:
        """Return whether nothing was replaced since the last call; buffers count as replaced if they were written."""
        before, self._seen = self._seen, self._stamp()
        return before == self._seen

    def _stamp(self) -> list[object]:
        parameters = (held.get(name) for held, name in self._parameters)
        buffers = (held.get(name) for held, name in self._buffers)
        return [
            *(None if tensor is None else tensor.data_ptr() for tensor in parameters),
            # Values of buffers decide what some networks do.
            *(None if tensor is None else (tensor.data_ptr(), _version(tensor)) for tensor in buffers),
        ]


def _layout(tensor: Tensor) -> Hashable:
    """Return what kernels see of a tensor besides its numbers."""
    strides = tuple(stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)
    return tensor.shape, strides, tensor.dtype


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
