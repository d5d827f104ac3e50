import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.mask2former.modeling_mask2former import multi_scale_deformable_attention

from genvis.model.detector.optimized import deformable_attention as module
from genvis.model.detector.optimized.deformable_attention import weighted_row_sum
from genvis.model.detector.optimized.geometry import map_geometry

HEADS, CHANNELS, POINTS = 2, 4, 3
Sizes = list[tuple[int, int]]


def case(sizes: Sizes, *, batch: int, queries: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values, positions from inside the maps to far outside, and weights."""
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor(sizes).flip(1).T.view(2, 1, -1, 1)
    length = sum(height * width for height, width in sizes)
    values = torch.randn(batch, length, HEADS, CHANNELS, generator=generator)
    uniform = torch.rand(batch, queries, 2, HEADS, len(sizes), POINTS, generator=generator)
    positions = uniform * (extent + 4) - 2.5
    weights = torch.randn(batch, queries, HEADS, len(sizes) * POINTS, generator=generator).softmax(-1)
    return values, positions, weights.unflatten(-1, (len(sizes), POINTS))


def reference(values: Tensor, positions: Tensor, weights: Tensor, sizes: Sizes) -> Tensor:
    size = torch.tensor(sizes).flip(1).view(-1, 1, 2)
    locations = (positions.permute(0, 1, 3, 4, 5, 2) + 0.5) / size
    return multi_scale_deformable_attention(values, sizes, locations, weights)


def deformable_attention(values: Tensor, positions: Tensor, weights: Tensor, sizes: Sizes) -> Tensor:
    geometry = map_geometry(tuple(sizes), channels=4, heads=HEADS, points=POINTS, like=values)
    return module.deformable_attention(values, positions, weights, geometry)


map_sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3)


@settings(max_examples=25, deadline=None)
@given(sizes=map_sizes, batch=st.integers(1, 3), queries=st.integers(1, 20), seed=st.integers(0, 2**16))
def test_values_and_gradients_are_those_of_transformers(sizes: Sizes, batch: int, queries: int, seed: int) -> None:
    results = []
    for function in (reference, deformable_attention):
        tensors = [x.requires_grad_() for x in case(sizes, batch=batch, queries=queries, seed=seed)]
        output = function(*tensors, sizes)
        output.square().sum().backward()
        results.append([output.detach(), *(x.grad for x in tensors)])
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-4)


def test_without_gradient_it_is_the_same() -> None:
    sizes = [(2, 3), (4, 6), (8, 12)]
    tensors = case(sizes, batch=2, queries=30, seed=0)
    expected = reference(*tensors, sizes)
    with torch.no_grad():
        torch.testing.assert_close(deformable_attention(*tensors, sizes), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("position", [-1.0, 0.0, 3.0, 4.0, 1e30, -1e30])
def test_positions_on_pixels_and_borders(position: float) -> None:
    sizes = [(4, 4)]
    values, positions, weights = case(sizes, batch=1, queries=5, seed=1)
    positions = torch.full_like(positions, position)
    expected = values[0, 0 if position == 0 else 15] if position in (0.0, 3.0) else torch.zeros(HEADS, CHANNELS)
    output = deformable_attention(values, positions, weights, sizes)
    torch.testing.assert_close(output, expected.flatten().expand(1, 5, -1), atol=1e-6, rtol=0)


def test_a_position_that_is_not_a_number_spoils_its_query_alone() -> None:
    values, positions, weights = case([(4, 4)], batch=1, queries=2, seed=2)
    expected = deformable_attention(values, positions, weights, [(4, 4)])
    positions[0, 1] = torch.nan
    output = deformable_attention(values, positions, weights, [(4, 4)])
    assert torch.equal(output[0, 0], expected[0, 0])
    assert output[0, 1].isnan().all()


def test_reduced_precision_is_close() -> None:
    sizes = [(4, 5), (8, 9)]
    values, positions, weights = case(sizes, batch=1, queries=10, seed=3)
    reduced = deformable_attention(values.bfloat16(), positions, weights.bfloat16(), sizes)
    assert reduced.dtype == torch.bfloat16
    torch.testing.assert_close(reduced.float(), reference(values, positions, weights, sizes), atol=0.05, rtol=0.05)


def test_weighted_row_sum_against_the_definition() -> None:
    table = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    rows = torch.randint(0, 6, (5, 4))  # Row 6 is never read.
    expected = (weights[..., None] * table[rows]).sum(1)
    torch.testing.assert_close(weighted_row_sum(table, rows, weights), expected)
    assert torch.autograd.gradcheck(lambda t, w: weighted_row_sum(t, rows, w), (table, weights))
