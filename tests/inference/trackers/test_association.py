import torch
from hypothesis import given
from hypothesis import strategies as st

from genvis.inference.trackers.query_matching import match_queries


@given(seed=st.integers(0, 2**16), count=st.integers(1, 12), scale=st.floats(0.1, 10))
def test_a_permutation_is_undone_whatever_the_lengths(seed, count, scale):
    generator = torch.Generator().manual_seed(seed)
    previous = torch.randn(count, 16, generator=generator)
    permutation = torch.randperm(count, generator=generator)
    order = match_queries(previous, previous[permutation] * scale)
    assert torch.equal(permutation[order], torch.arange(count))


def test_a_query_that_is_no_number_does_not_disturb_the_others():
    previous = torch.eye(4, 16)
    for bad in (float("nan"), float("inf")):
        current = previous[[2, 0, 3, 1]].clone()
        current[2] = bad  # It was track 3, the only one that is left for it.
        assert match_queries(previous, current).tolist() == [1, 3, 0, 2]
        assert sorted(match_queries(current, torch.full_like(current, bad)).tolist()) == [0, 1, 2, 3]


def test_the_total_similarity_counts_not_the_greedy_choice():
    previous = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    current = torch.tensor([[0.8, 0.6], [-1.0, 0.2]])
    # Greedy would give previous 1 its equal and leave previous 0 with its opposite.
    assert match_queries(previous, current).tolist() == [0, 1]
