import torch
import torch.nn.functional as F
from torch import nn
from transformers import ResNetBackbone, ResNetConfig

from genvis.benchmarking.operations import operation_counter
from genvis.model.detector.optimized.linear import linear
from genvis.model.detector.optimized.resnet import resnet_features


@torch.no_grad()
def test_products_count_by_whatever_library() -> None:
    for rows in (3, 5000):
        with operation_counter() as counter:
            linear(torch.randn(1, rows, 8), torch.randn(6, 8), torch.randn(6), F.relu)
        assert counter.get_total_flops() == 2 * rows * 8 * 6


@torch.no_grad()
def test_fused_convolutions_count_as_plain_ones() -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 1], out_features=["stage2"])
    backbone = ResNetBackbone(config).eval()
    pixels = torch.randn(2, 3, 32, 48)
    with operation_counter() as plain:
        nn.Module.__call__(backbone, pixels)
    with operation_counter() as fused:
        resnet_features(backbone, pixels)
    assert fused.get_total_flops() == plain.get_total_flops() > 0
