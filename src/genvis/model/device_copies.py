"""Copies between the CPU and a device: by page-locked memory, and without waiting where nobody needs to wait.

A plain ``tensor.to("cuda")`` of ordinary memory waits until the device has done all that it was given before.
"""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device; the CPU goes on while it is copied."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()  # PyTorch keeps the memory until the copy is done.
    return tensor.to(device, non_blocking=True)


def selected(tensor: Tensor, rows: Tensor, *, dim: int) -> Tensor:
    """Return the entries of a tensor, on whatever device, along a dimension.

    Args:
        tensor: (..., N, ...).
        rows: (R,) int64 on the CPU.
        dim: Which dimension.
    """
    return tensor.index_select(dim, to_device(rows, tensor.device))


def on_cpu(*tensors: Tensor) -> list[Tensor]:
    """Return tensors of one device as float32 on the CPU, moved together: the device is waited for once."""
    if tensors[0].device.type != "cuda":
        return [tensor.float().cpu() for tensor in tensors]
    joined = torch.cat([tensor.flatten().float() for tensor in tensors])
    landed = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
    landed.copy_(joined, non_blocking=True)
    torch.cuda.current_stream(joined.device).synchronize()
    parts = landed.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
