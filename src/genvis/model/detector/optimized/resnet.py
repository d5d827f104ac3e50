"""ResNet for inference: batch norm folded into the convolutions, channels last, in place."""

from collections.abc import Iterator
from typing import NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ResNetBackbone
from transformers.models.resnet.modeling_resnet import (
    ResNetBasicLayer,
    ResNetBottleNeckLayer,
    ResNetConvLayer,
    ResNetShortCut,
    ResNetStage,
)

Unit = ResNetConvLayer | ResNetShortCut


class FoldedConvolution(NamedTuple):
    """A convolution and the batch norm after it as one convolution.

    Attributes:
        weight: (C_out, C_in, k, k), channels last.
        bias: (C_out,).
        sources: Identifies the state of the tensors it was made from.
    """

    weight: Tensor
    bias: Tensor
    sources: tuple[tuple[int, int], ...]


# A folded copy lives as long as the convolution that it was made from.
_folded: "WeakKeyDictionary[nn.Module, FoldedConvolution]" = WeakKeyDictionary()


def resnet_features(backbone: ResNetBackbone, pixel_values: Tensor) -> tuple[Tensor, ...]:
    """Compute what ``backbone`` does, fast if its batch norm is frozen and no gradient is asked for.

    Args:
        backbone: The module whose parameters are used.
        pixel_values: (F, 3, H, W).

    Returns:
        The feature maps that ``backbone`` is configured to return.
    """
    if torch.is_grad_enabled() or not all(_can_fold(unit) for unit in _units(backbone)):
        maps: tuple[Tensor, ...] = backbone(pixel_values).feature_maps
        return maps
    x = pixel_values.contiguous(memory_format=torch.channels_last)
    x = backbone.embedder.pooler(_convolve(backbone.embedder.embedder, x))
    named = {"stem": x}
    for name, stage in zip(backbone.stage_names[1:], backbone.encoder.stages, strict=True):
        for block in cast(ResNetStage, stage).layers:
            x = _block(cast(ResNetBottleNeckLayer, block), x)
        named[name] = x
    return tuple(named[name] for name in backbone.stage_names if name in backbone.out_features)


def forget_folded(backbone: nn.Module) -> None:
    """Drop the folded copies of a network, whose weights are about to change or have changed."""
    for unit in _units(backbone):
        _folded.pop(unit.convolution, None)


def _units(backbone: nn.Module) -> Iterator[Unit]:
    return (module for module in backbone.modules() if isinstance(module, Unit))


def _can_fold(unit: Unit) -> bool:
    norm = unit.normalization
    return (
        type(unit.convolution) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and not norm.training
        and norm.track_running_stats
    )


def _block(block: ResNetBasicLayer | ResNetBottleNeckLayer, x: Tensor) -> Tensor:
    y = x
    for unit in block.layer:
        y = _convolve(cast(Unit, unit), y)
    y += _convolve(block.shortcut, x) if isinstance(block.shortcut, ResNetShortCut) else x
    return _activate(block.activation, y)


def _convolve(unit: Unit, x: Tensor) -> Tensor:
    convolution = unit.convolution
    weight, bias, _ = folded(convolution, unit.normalization)
    y = F.conv2d(x, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    return _activate(unit.activation, y) if isinstance(unit, ResNetConvLayer) else y


def _activate(activation: nn.Module, x: Tensor) -> Tensor:
    if type(activation) is nn.ReLU:
        return x.relu_()
    activated: Tensor = activation(x)
    return activated


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> FoldedConvolution:
    """Return a convolution and the frozen batch norm after it as one; made again whenever a tensor has changed."""
    tensors = (convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    if torch.compiler.is_compiling() or any(tensor.is_inference() for tensor in tensors if tensor is not None):
        return _fold(convolution, norm, sources=())
    # Writing to a tensor raises its version; moving it changes its address.
    sources = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors if tensor is not None)
    known = _folded.get(convolution)
    if known is None or known.sources != sources:
        known = _folded[convolution] = _fold(convolution, norm, sources=sources)
    return known


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d, *, sources: tuple[tuple[int, int], ...]) -> FoldedConvolution:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("Batch norm without running statistics cannot be folded.")
    scale = (variance + norm.eps).rsqrt()
    shift = -mean * scale
    if norm.affine:
        scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    weight = convolution.weight * scale[:, None, None, None]
    return FoldedConvolution(weight.contiguous(memory_format=torch.channels_last), shift, sources)
