"""ResNet for inference: batch norm, additions and ReLU folded into the convolutions, channels last.

Reference: transformers' `ResNetBackbone`, whose parameters are used.

The weights are folded in every call, which takes about a hundredth of the time of the convolutions. Only the memory is
kept: the values cannot be stale, however the weights are written, and no call waits for fresh pages.
"""

from typing import NamedTuple, cast

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

from genvis.model.detector.optimized.linear import uses_onednn

Unit = ResNetConvLayer | ResNetShortCut

# Of smaller maps (96x160 pixels, 48 to 256 channels), convolutions with what follows in one take 1.6 times as long as
# one after the other.
_FEWEST_NUMBERS = 100_000


class FoldedConvolution(NamedTuple):
    """A convolution and the frozen batch norm after it as one convolution.

    Attributes:
        weight: (C_out, C_in, k, k).
        bias: (C_out,).
    """

    weight: Tensor
    bias: Tensor


Folded = dict[nn.Module, FoldedConvolution]


class FoldingBuffers:
    """Memory for the folded weights of one backbone, written anew in every call; a copy of it begins empty."""

    def __init__(self) -> None:
        self._tensors: dict[int, Tensor] = {}

    def __reduce__(self) -> tuple[type["FoldingBuffers"], tuple[()]]:
        return type(self), ()

    def scaled(self, index: int, weight: Tensor, scale: Tensor) -> Tensor:
        """Return the weight (C_out, C_in, k, k) of the unit of this index, times ``scale`` (C_out,)."""
        buffer = self._tensors.get(index)
        if buffer is None or (buffer.shape, buffer.dtype, buffer.device) != (weight.shape, weight.dtype, weight.device):
            with torch.inference_mode(False):  # Else it could not be written outside of inference mode.
                buffer = self._tensors[index] = torch.empty_like(weight, requires_grad=False)
        return torch.mul(weight, scale[:, None, None, None], out=buffer)


def resnet_features(backbone: ResNetBackbone, pixel_values: Tensor) -> tuple[Tensor, ...]:
    """Compute what ``backbone`` does, optimized if its batch norm is frozen and no gradient is asked for.

    Args:
        backbone: The module whose parameters are used.
        pixel_values: (F, 3, H, W).

    Returns:
        The feature maps that ``backbone`` is configured to return.
    """
    units = [module for module in backbone.modules() if isinstance(module, Unit)]
    # Exported graphs keep the batch norm, which every runtime folds itself.
    if torch.is_grad_enabled() or torch.compiler.is_exporting() or not can_fold(units):
        maps: tuple[Tensor, ...] = backbone(pixel_values).feature_maps
        return maps
    buffers = backbone.__dict__.setdefault("_folding_buffers", FoldingBuffers())
    folded = fold(units, buffers)
    x = pixel_values.contiguous(memory_format=torch.channels_last)
    x = backbone.embedder.pooler(_convolve(backbone.embedder.embedder, x, folded))
    named = {"stem": x}
    for name, stage in zip(backbone.stage_names[1:], backbone.encoder.stages, strict=True):
        for block in cast(ResNetStage, stage).layers:
            x = _block(cast(ResNetBottleNeckLayer, block), x, folded)
        named[name] = x
    return tuple(named[name] for name in backbone.stage_names if name in backbone.out_features)


def fold(units: list[Unit], buffers: FoldingBuffers) -> Folded:
    """Return for each unit its convolution and batch norm as one convolution.

    A batch norm (x - μ) / √(σ² + ε) · γ + β scales and shifts channels, as a convolution's weight and bias do. The
    channels of all units are computed together: on a GPU, starting 50 times as many kernels would take longer.

    Args:
        units: For which `can_fold` holds.
        buffers: Hold the weights until the next call.
    """
    norms = [unit.normalization for unit in units]
    channels = [norm.num_features for norm in norms]
    mean, variance, weight, bias = (
        torch.cat([cast(Tensor, getattr(norm, name)) for norm in norms])  # (all channels,)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    (epsilon,) = {norm.eps for norm in norms}
    scale = weight * (variance + epsilon).rsqrt()
    shift = bias - mean * scale
    return {
        unit: FoldedConvolution(buffers.scaled(index, unit.convolution.weight, of_weight), of_bias)
        for index, (unit, of_weight, of_bias) in enumerate(
            zip(units, scale.split(channels), shift.split(channels), strict=True)
        )
    }


def can_fold(units: list[Unit]) -> bool:
    """Whether these are convolutions without bias, each before a frozen batch norm."""
    norms = [unit.normalization for unit in units]
    return (
        all(type(unit.convolution) is nn.Conv2d and unit.convolution.bias is None for unit in units)
        and all(type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats for norm in norms)
        and not any(norm.training for norm in norms)
        and len({norm.eps for norm in norms}) == 1
    )


def _block(block: ResNetBasicLayer | ResNetBottleNeckLayer, x: Tensor, folded: Folded) -> Tensor:
    *inner, last = (cast(Unit, unit) for unit in block.layer)
    y = x
    for unit in inner:
        y = _convolve(unit, y, folded)
    shortcut = _convolve(block.shortcut, x, folded) if isinstance(block.shortcut, ResNetShortCut) else x
    if type(block.activation) is nn.ReLU and type(_activation(last)) is nn.Identity and _is_fused(y):
        weight, bias = folded[last]
        # Added and clipped while the result of the convolution is in the cache.
        summed = torch.ops.mkldnn._convolution_pointwise.binary(
            y, shortcut, weight, bias, *_shape(last.convolution), "add", 1.0, "relu", [], None
        )
        return cast(Tensor, summed)
    y = _convolve(last, y, folded)
    y += shortcut
    return _activate(block.activation, y)


def _convolve(unit: Unit, x: Tensor, folded: Folded) -> Tensor:
    weight, bias = folded[unit]
    activation = _activation(unit)
    if type(activation) is nn.ReLU and _is_fused(x):
        fused = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *_shape(unit.convolution), "relu", [], None)
        return cast(Tensor, fused)
    convolution = unit.convolution
    y = F.conv2d(x, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    return _activate(activation, y)


def _is_fused(x: Tensor) -> bool:
    """Whether convolutions of a map (F, C, H, W) are computed together with what follows them."""
    return uses_onednn(x) and x.numel() >= _FEWEST_NUMBERS


def _activation(unit: Unit) -> nn.Module:
    return unit.activation if isinstance(unit, ResNetConvLayer) else nn.Identity()


def _shape(convolution: nn.Conv2d) -> tuple[object, ...]:
    """Return padding, stride, dilation and groups, in oneDNN's order."""
    return convolution.padding, convolution.stride, convolution.dilation, convolution.groups


def _activate(activation: nn.Module, x: Tensor) -> Tensor:
    if type(activation) is nn.ReLU:
        return x.relu_()
    activated: Tensor = activation(x)
    return activated
