"""Stage genvis on a frozen detector of any family, from a folder as the Hub has it: it learns, resumes and predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.training.cache.cached_stream import CachedViews
from genvis.training.recipe.data_options import CacheOptions
from genvis.training.recipe.recipe import ModelOptions, Recipe
from genvis.training.run.run import build_data, build_module, train
from genvis.training.run.trainer import build_trainer
from tests.tiny_families import save_tiny_family
from tests.tiny_network import CONFIG
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")
FAMILIES = ["mask2former", "eomt", "rf_detr"]
TRACKER = {name: value for name, value in CONFIG.items() if name != "detector" and not name.endswith("_test")}
WIDTH = {"mask2former": 32, "eomt": 48, "rf_detr": 32}


@pytest.fixture(scope="module", params=FAMILIES)
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_family(tmp_path_factory.mktemp("hub") / request.param, request.param)


def recipe_of(output: Path, weights: Path, **run: Any) -> Recipe:
    recipe = tiny_recipe(output / "run", "genvis", **run)
    # A tracker of another width than any of the detectors, and other categories than theirs.
    config = TRACKER | {"hidden_dim": 40, "mask_feature_size": 24}
    recipe.model = ModelOptions(init=str(weights), categories="ovis", config=config)
    recipe.cache = CacheOptions(folder=str(output / "cache"), views=4, stored_as="float32")
    return recipe


def test_the_loss_falls(tmp_path: Path, weights: Path) -> None:
    recipe = recipe_of(tmp_path, weights, max_steps=24)
    recipe.optimizer.learning_rate = 3e-3
    module = build_module(recipe)
    before = {name: value.clone() for name, value in module.model.detector.state_dict().items()}
    losses: list[float] = []

    class Recorder(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
            losses.append(float(outputs["loss"]))

    trainer = build_trainer(recipe)
    trainer.callbacks.append(Recorder())
    trainer.fit(module, build_data(recipe, module))
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    assert all(torch.equal(value, before[name]) for name, value in module.model.detector.state_dict().items())


def test_the_frozen_detector_keeps_its_own_categories(
    tmp_path: Path, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = build_module(recipe_of(tmp_path, weights))
    model, given = module.model, load_genvis(weights)
    assert (len(model.config.categories), model.detector.sizes.classes) == (25, 3)
    assert model.detector.sizes.query_dim == WIDTH[weights.name]
    assert model.tracker is not None
    assert model.tracker.input_projection.in_features == WIDTH[weights.name]
    for name, value in given.detector.state_dict().items():
        assert torch.equal(model.detector.state_dict()[name], value), name
    assert not module.matches_classes
    assert "the tracker" in caplog.text
    assert "class heads" not in caplog.text


def test_the_cache_gives_the_losses_of_the_detector_itself(tmp_path: Path, weights: Path) -> None:
    recipe = recipe_of(tmp_path, weights)
    module = build_module(recipe)
    cached = build_data(recipe, module)
    assert isinstance(cached.stream, CachedViews)
    place = [next(i for i in range(8) if _is_view(cached.stream, i, view)) for view in range(2)]
    recipe.cache.folder = ""
    direct = build_data(recipe, module)
    losses = []
    for data, positions in ((cached, place), (direct, [0, 1])):
        found = module.losses(data.collate_items([data.stream[index] for index in positions]))
        losses.append({name: float(value.detach()) for name, value in found.items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def _is_view(stream: CachedViews, index: int, view: int) -> bool:
    return torch.equal(stream[index].frame_queries, stream._cache[view].frame_queries)


def test_a_run_resumes_exactly_and_its_model_segments_videos(tmp_path: Path, weights: Path) -> None:
    whole = load_genvis(train(recipe_of(tmp_path / "whole", weights, max_steps=3))).state_dict()
    for steps in (1, 3):
        folder = train(recipe_of(tmp_path / "parts", weights, max_steps=steps))
    model = load_genvis(folder)
    assert all(torch.equal(value, whole[name]) for name, value in model.state_dict().items())
    frames = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    result = VideoSegmenter(model).segment(frames, detections=5, score_threshold=0.0)
    assert {track.label for track in result.tracks} <= set(model.config.categories.names)
    with pytest.raises(InputError, match="its detector knows others: choose 'propagation'"):
        VideoSegmenter(model, tracker="queries")


def test_layers_that_a_detector_does_not_have_are_refused(tmp_path: Path, weights: Path) -> None:
    recipe = recipe_of(tmp_path, weights)
    recipe.loss.detector_layers = 9
    with pytest.raises(InputError, match=r"loss\.detector_layers is 9, but the detector has \d"):
        build_module(recipe)


def test_only_a_mask2former_can_be_trained_as_a_detector(tmp_path: Path) -> None:
    weights = save_tiny_family(tmp_path / "eomt", "eomt")
    recipe = tiny_recipe(tmp_path / "run", "detector")
    recipe.model = ModelOptions(init=str(weights), categories="ovis", config=TRACKER)
    with pytest.raises(InputError, match="Only a Mask2Former detector can be trained"):
        train(recipe)
