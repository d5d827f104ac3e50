"""The instance prototype memory: what it reads, and that extending it never changes what is there."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genvis.model.tracker.memory_bank import PrototypeMemory
from genvis.model.tracker.memory_reader import PrototypeMemoryReader

few = settings(max_examples=25, deadline=None)
Q, C = 4, 6


def entry(seed: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    key, value = torch.randn(2, batch, Q, C, dtype=torch.float64, generator=generator)
    return key, value


def empty(batch: int = 2) -> PrototypeMemory:
    return PrototypeMemory.empty(batch=batch, num_queries=Q, hidden_dim=C, like=torch.zeros(0, dtype=torch.float64))


def reader(*, is_global: bool) -> PrototypeMemoryReader:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PrototypeMemoryReader(hidden_dim=C, is_global=is_global).double()


def assert_holds(memory: PrototypeMemory, seeds: list[int]) -> None:
    assert len(memory) == len(seeds)
    assert memory.keys.shape == memory.values.shape == (2, len(seeds), Q, C)
    for position, seed in enumerate(seeds):
        key, value = entry(seed)
        assert torch.equal(memory.keys[:, position], key)
        assert torch.equal(memory.values[:, position], value)


@few
@given(batch=st.integers(1, 3), clips=st.integers(1, 7), seed=st.integers(0, 999))
def test_the_index_wise_read_is_the_diagonal_of_the_full_product(batch, clips, seed):
    read = reader(is_global=False)
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(batch, Q, C, dtype=torch.float64, generator=generator)
    keys, values = torch.randn(2, batch, clips, Q, C, dtype=torch.float64, generator=generator)
    products = torch.einsum("bqc,bmnc->bqnm", read.query_key(prototypes), keys)  # all Q x Q pairs of each clip
    weights = products.diagonal(dim1=1, dim2=2).mT.softmax(dim=-1)  # (B, Q, M)
    expected = torch.stack([weights[:, j, :, None].mul(values[:, :, j]).sum(dim=1) for j in range(Q)], dim=1)
    expected = expected + prototypes + read.query_value(prototypes)
    torch.testing.assert_close(read(prototypes, keys, values), expected)


@few
@given(clips=st.integers(1, 5), seed=st.integers(0, 999))
def test_the_global_read_attends_to_every_identity_of_every_clip(clips, seed):
    read = reader(is_global=True)
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(1, Q, C, dtype=torch.float64, generator=generator)
    keys, values = torch.randn(2, 1, clips, Q, C, dtype=torch.float64, generator=generator)
    expected = prototypes + read.query_value(prototypes)
    for j in range(Q):
        query = read.query_key(prototypes)[0, j]
        weights = torch.stack([query @ keys[0, k, i] for k in range(clips) for i in range(Q)]).softmax(dim=0)
        everything = [values[0, k, i] for k in range(clips) for i in range(Q)]
        expected[0, j] += sum(weight * value for weight, value in zip(weights, everything, strict=True))
    torch.testing.assert_close(read(prototypes, keys, values), expected)


@pytest.mark.parametrize("is_global", [False, True])
def test_an_empty_memory_adds_only_the_projected_query(is_global):
    read, (prototypes, _) = reader(is_global=is_global), entry(0)
    nothing = empty()
    expected = prototypes + read.query_value(prototypes)
    assert torch.equal(read(prototypes, nothing.keys, nothing.values), expected)


def test_an_index_wise_read_never_sees_another_identity_and_a_global_one_does():
    prototypes, _ = entry(0)
    keys, values = entry(1)[0][:, None], entry(2)[0][:, None]
    other = values.clone()
    other[:, :, 1] += 1.0
    for is_global in (False, True):
        read = reader(is_global=is_global)
        changed = (read(prototypes, keys, values) != read(prototypes, keys, other)).any(dim=-1)
        assert changed.all(dim=0).tolist() == [is_global, True, is_global, is_global]


@few
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 9), st.booleans(), st.sampled_from([None, None, 1, 3])),
        min_size=1,
        max_size=40,
    ),
)
def test_extending_any_memory_in_any_order_never_changes_another(steps):
    memories: list[tuple[PrototypeMemory, list[int]]] = [(empty(), [])]
    for choice, seed, with_gradient, limit in steps:
        memory, seeds = memories[choice % len(memories)]
        with torch.set_grad_enabled(with_gradient):
            longer = memory.append(*entry(seed), limit=limit)
        memories.append((longer, [*seeds, seed][-(limit or 99) :]))
    for memory, seeds in memories:
        assert_holds(memory, seeds)


@few
@given(clips=st.integers(0, 60), with_gradient=st.booleans())
def test_growing_in_place_equals_concatenation(clips, with_gradient):
    memory = empty()
    with torch.set_grad_enabled(with_gradient):
        for seed in range(clips):
            memory = memory.append(*entry(seed))
    assert_holds(memory, list(range(clips)))


@few
@given(limit=st.integers(1, 6), clips=st.integers(1, 25), with_gradient=st.booleans())
def test_a_limit_keeps_the_latest_clips(limit, clips, with_gradient):
    memory = empty()
    with torch.set_grad_enabled(with_gradient):
        for seed in range(clips):
            memory = memory.append(*entry(seed), limit=limit)
    assert_holds(memory, list(range(clips))[-limit:])


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_below_what_is_held_forgets_the_oldest(limit):
    memory = empty()
    with torch.no_grad():
        for seed in range(6):
            memory = memory.append(*entry(seed))
        shorter = memory.append(*entry(6), limit=limit)
    assert_holds(shorter, list(range(7))[-limit:])
    assert_holds(memory, list(range(6)))


@pytest.mark.parametrize("limit", [None, 40])
def test_a_long_video_costs_amortised_constant_time_a_clip(limit):
    memory, copied, clips = empty(), 0, 500
    with torch.no_grad():
        for seed in range(clips):
            longer = memory.append(*entry(seed % 7), limit=limit)
            if longer.keys.untyped_storage().data_ptr() != memory.keys.untyped_storage().data_ptr():
                copied += len(memory)
            memory = longer
    assert copied <= 6 * clips
    assert memory.keys.untyped_storage().nbytes() <= 1.5 * memory.keys.nbytes


def test_gradients_reach_every_clip_in_the_memory():
    memory, entries = empty(), [tuple(tensor.requires_grad_() for tensor in entry(seed)) for seed in range(4)]
    for key, value in entries:
        memory = memory.append(key, value)
    read = reader(is_global=False)
    read(entry(9)[0], memory.keys, memory.values).square().sum().backward()
    assert all(tensor.grad is not None and bool(tensor.grad.any()) for pair in entries for tensor in pair)


def test_a_memory_made_in_inference_mode_can_be_extended_outside_of_it():
    memory = empty()
    with torch.inference_mode():
        for seed in range(3):
            memory = memory.append(*entry(seed))
    with torch.no_grad():
        outside = memory.append(*entry(3))
    with torch.inference_mode():
        inside = outside.append(*entry(4))
    assert_holds(memory, [0, 1, 2])
    assert_holds(outside, [0, 1, 2, 3])
    assert_holds(inside, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda memory: pickle.loads(pickle.dumps(memory))])
def test_a_copy_is_a_memory_of_its_own(duplicate):
    memory = empty()
    with torch.no_grad():
        for seed in range(3):
            memory = memory.append(*entry(seed))
        twin = duplicate(memory)
        longer, other = memory.append(*entry(7)), twin.append(*entry(8))
    assert_holds(twin, [0, 1, 2])
    assert_holds(longer, [0, 1, 2, 7])
    assert_holds(other, [0, 1, 2, 8])


@few
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 9), st.lists(st.integers(0, Q - 1), max_size=2), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    limit=st.sampled_from([None, 1, 3]),
    is_global=st.booleans(),
)
def test_a_released_query_reads_as_if_the_memory_began_with_what_came_after(steps, limit, is_global):
    """Against the definition: each query has a list of its own clips, and a release empties it."""
    memory, own = empty(), [[] for _ in range(Q)]
    read, (prototypes, _) = reader(is_global=is_global), entry(50)
    for seed, released, with_gradient in steps:
        with torch.set_grad_enabled(with_gradient):
            memory = memory.append(*entry(seed), limit=limit)
        own = [[*seeds, seed][-(limit or 99) :] for seeds in own]
        if released:
            mask = torch.zeros(Q, dtype=torch.bool)
            mask[released] = True
            memory = memory.released(mask)
            own = [[] if query in released else seeds for query, seeds in enumerate(own)]
    expected = prototypes + read.query_value(prototypes)
    for video in range(2):
        for query in range(Q):
            sources = [(seed, one) for one in (range(Q) if is_global else [query]) for seed in own[one]]
            if sources:
                keys = torch.stack([entry(seed)[0][video, one] for seed, one in sources])
                values = torch.stack([entry(seed)[1][video, one] for seed, one in sources])
                weights = (keys @ read.query_key(prototypes)[video, query]).softmax(dim=0)
                expected[video, query] += weights @ values
    found = read(prototypes, memory.keys, memory.values, is_filled=memory.is_filled)
    torch.testing.assert_close(found, expected)
