"""Noised queries: only queries of objects change, towards others of their video, in training, the same in every run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.model.outputs import TrackerState
from genvis.model.tracker.memory_bank import PrototypeMemory
from genvis.training.recipe.checks import check_recipe
from genvis.training.run.run import build_data, build_module, train
from genvis.training.stages.query_noise import QueryNoise
from tests.training.tiny import tiny_recipe


def _state(*, rows: int, queries: int) -> TrackerState:
    vectors = torch.randn(rows, queries, 4, generator=torch.Generator().manual_seed(0))
    nothing = vectors.new_empty(rows, 0, queries, 4)
    return TrackerState(vectors, PrototypeMemory(nothing, nothing))


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    layers=st.integers(1, 2),
    objects=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    queries=st.integers(1, 6),
    probability=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_queries_of_objects_move_less_than_half_way_to_others_of_their_video(
    seed: int, layers: int, objects: list[int], queries: int, probability: float
) -> None:
    random = np.random.default_rng(seed)
    videos = np.repeat(np.arange(len(objects)), objects)
    held = np.full((layers, len(videos)), -1)
    for layer in range(layers):
        for video, count in enumerate(objects):
            places = np.concatenate([random.permutation(queries), np.full(4, -1)])[:count]
            held[layer, videos == video] = np.where(random.random(count) < 0.8, places, -1)
    state = _state(rows=layers * len(objects), queries=queries)
    before = state.instance_queries.clone()
    noised = QueryNoise(probability, np.random.default_rng(seed)).disturb(state, held, videos)
    again = QueryNoise(probability, np.random.default_rng(seed)).disturb(state, held, videos)
    assert torch.equal(state.instance_queries, before)
    assert torch.equal(noised.instance_queries, again.instance_queries)
    assert noised.memory is state.memory
    for layer in range(layers):
        for video in range(len(objects)):
            row = layer * len(objects) + video
            taken = set(held[layer, videos == video]) - {-1}
            for slot in range(queries):
                old, new = before[row, slot], noised.instance_queries[row, slot]
                others = list(taken - {slot}) or [one for one in range(queries) if one != slot]
                if slot not in taken or not probability or not others:
                    assert torch.equal(old, new)
                    continue
                if probability == 1:
                    assert not torch.equal(old, new)
                # On the way to one of them, which no random vector of four channels is by chance.
                ways = [
                    (new - old) @ (before[row, one] - old) / (before[row, one] - old).square().sum() for one in others
                ]
                ends = [
                    torch.dist(new, torch.lerp(old, before[row, one], way))
                    for one, way in zip(others, ways, strict=True)
                ]
                nearest = int(torch.stack(ends).argmin())
                assert ends[nearest] < 1e-5
                assert 0 <= ways[nearest] < 0.5


def test_gradients_flow_through_noised_queries() -> None:
    state = _state(rows=1, queries=3)
    queries = state.instance_queries.requires_grad_()
    noised = QueryNoise(1.0, np.random.default_rng(0)).disturb(state, np.array([[0, 2]]), np.array([0, 0]))
    noised.instance_queries[0, 0].sum().backward()
    assert queries.grad is not None
    assert (queries.grad[0, 0] > 0.5).all()
    assert (queries.grad[0, 2] > 0).all()
    assert not queries.grad[0, 1].any()


@pytest.mark.filterwarnings("ignore")
def test_a_step_draws_its_own_noise_and_only_if_asked(tmp_path: Path) -> None:
    def losses(noise: float, step: int) -> dict[str, torch.Tensor]:
        recipe = tiny_recipe(tmp_path, "genvis")
        recipe.loss.query_noise = noise
        module = build_module(recipe)
        data = build_data(recipe, module)
        torch.manual_seed(step)
        return module.losses(data.collate_items([data.stream[0]]))

    plain, first, same, other = losses(0, 1), losses(1, 1), losses(1, 1), losses(1, 2)
    assert plain.keys() == first.keys()
    for name, value in first.items():
        assert torch.equal(value, same[name])
        if name.endswith("clip0"):  # Nothing was propagated into the first clip.
            assert torch.equal(value, plain[name])
    changed = [name for name, value in first.items() if not torch.equal(value, plain[name])]
    assert changed
    assert all(name.endswith("clip1") for name in changed)
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_run_goes_on_exactly_with_all_options(tmp_path: Path) -> None:
    def weights(folder: str, steps: int) -> dict[str, torch.Tensor]:
        recipe = tiny_recipe(tmp_path / folder, "genvis", max_steps=steps)
        recipe.model.config = recipe.model.config | {"propagation": "gated", "memory_read": "none"}
        recipe.loss.query_noise, recipe.loss.identity, recipe.loss.disappearance = 0.5, 0.5, 0.3
        model = load_genvis(train(recipe))
        assert model.config.propagation == "gated"
        return dict(model.state_dict())

    whole = weights("whole", 3)
    weights("parts", 1)
    parts = weights("parts", 3)
    assert whole["tracker.gate.weight"].any()
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_noise_is_for_propagated_queries(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "detector")
    recipe.loss.query_noise = 0.2
    with pytest.raises(InputError, match=r"query_noise is 0\.2, but is for stage 'genvis' only"):
        check_recipe(recipe)
