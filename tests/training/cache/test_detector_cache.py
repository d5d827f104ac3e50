"""The frozen detector's cache: the same losses as with the detector, safe against interruptions and mix-ups."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genvis.categories import known_categories
from genvis.data.sprites import SpriteVideos
from genvis.data.sprites.sprite_export import export_sprites
from genvis.errors import InputError
from genvis.fingerprint import LOCK_FILE, Fingerprint
from genvis.training.cache.cached_stream import CachedViews, collate_views
from genvis.training.cache.detector_cache import CachedView, DetectorCache
from genvis.training.recipe.data_options import CacheOptions, DataOptions, SourceOptions
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.run import build_data, build_module, train
from genvis.training.run.sample_stream import training_stream
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


def view(seed: int, *, objects: int = 2, height: int = 32, width: int = 40) -> CachedView:
    random = torch.Generator().manual_seed(seed)
    return CachedView(
        frame_queries=torch.randn(2, 3, 4, 8, generator=random),
        features=torch.randn(3, 8, height // 4, width // 4, generator=random),
        frame_assignment=np.broadcast_to(np.arange(3), (2, objects, 3)).astype(np.int64),
        labels=torch.arange(objects),
        masks=torch.rand(objects, 3, height, width, generator=random) > 0.5,
    )


def assert_same(ours: CachedView, theirs: CachedView) -> None:
    assert torch.equal(ours.frame_queries, theirs.frame_queries)
    assert torch.equal(ours.features, theirs.features)
    assert torch.equal(ours.masks, theirs.masks)
    assert torch.equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.frame_assignment, theirs.frame_assignment)


def test_views_of_any_size_come_back_exactly(tmp_path: Path) -> None:
    cache = DetectorCache(tmp_path, fingerprint=Fingerprint("cache", detector="a"), stored_as="float32")
    views = [view(0), view(1, objects=5, height=64, width=33 * 4), view(2, objects=0)]
    for one in views:
        cache.append(one)
    for reader in (cache, DetectorCache(tmp_path, fingerprint=Fingerprint("cache", detector="a"), stored_as="float32")):
        assert len(reader) == 3
        for position in (2, 0, 1):
            assert_same(reader[position], views[position])
    with pytest.raises(IndexError):
        cache[3]


def test_half_precision_needs_half_the_space(tmp_path: Path) -> None:
    sizes = []
    for kind in ("float16", "float32"):
        cache = DetectorCache(tmp_path / kind, fingerprint=Fingerprint("cache", detector="a"), stored_as=kind)  # type: ignore[arg-type]
        cache.append(view(0, objects=0))
        sizes.append(cache.nbytes)
        torch.testing.assert_close(cache[0].frame_queries, view(0).frame_queries, rtol=1e-3, atol=1e-3)
    assert sizes[1] == 2 * sizes[0]


def test_an_interrupted_view_is_written_again(tmp_path: Path) -> None:
    cache = DetectorCache(tmp_path, fingerprint=Fingerprint("cache", detector="a"), stored_as="float32")
    cache.append(view(0))
    with (tmp_path / "views.bin").open("ab") as file:
        file.write(b"half a view")
    with (tmp_path / "index.bin").open("ab") as file:
        file.write(b"half")
    again = DetectorCache(tmp_path, fingerprint=Fingerprint("cache", detector="a"), stored_as="float32")
    assert len(again) == 1
    again.append(view(1))
    assert_same(again[0], view(0))
    assert_same(
        DetectorCache(tmp_path, fingerprint=Fingerprint("cache", detector="a"), stored_as="float32")[1], view(1)
    )


def test_a_cache_of_something_else_is_refused(tmp_path: Path) -> None:
    DetectorCache(tmp_path / "a", fingerprint=Fingerprint("cache", detector="a"))
    with pytest.raises(InputError, match="belongs to another cache"):
        DetectorCache(tmp_path / "a", fingerprint=Fingerprint("cache", detector="b"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "photo.jpg").touch()
    with pytest.raises(InputError, match="no cache"):
        DetectorCache(tmp_path / "b", fingerprint=Fingerprint("cache", detector="b"))
    cache = DetectorCache(tmp_path / "c", fingerprint=Fingerprint("cache", detector="c"))
    cache.append(view(0))
    (tmp_path / "c" / "views.bin").write_bytes(b"")
    with pytest.raises(InputError, match="shorter"):
        DetectorCache(tmp_path / "c", fingerprint=Fingerprint("cache", detector="c"))


def test_views_of_different_sizes_are_padded(tmp_path: Path) -> None:
    batch = collate_views([view(0), view(1, height=64, width=32)])
    assert batch.features.shape == (2, 3, 8, 16, 10)
    assert batch.targets.masks.shape == (4, 3, 64, 40)
    assert batch.targets.videos.tolist() == [0, 0, 1, 1]
    assert batch.frame_assignment.shape == (2, 4, 3)
    assert batch.frame_queries.shape == (2, 2, 3, 4, 8)
    assert len(batch) == 2


def test_every_epoch_shows_every_view_once(tmp_path: Path) -> None:
    cache = DetectorCache(tmp_path, fingerprint=Fingerprint("cache", detector="a"), stored_as="float32")
    for seed in range(4):
        cache.append(view(seed))
    stream = CachedViews(cache, seed=3)
    firsts = [float(stream[index].frame_queries[0, 0, 0, 0]) for index in range(8)]
    assert len(set(firsts[:4])) == 4
    assert sorted(firsts[:4]) == sorted(firsts[4:])
    # A run with fewer views than a shared cache holds sees the views that it would have cached itself.
    few = CachedViews(cache, seed=3, views=2)
    expected = {float(view(seed).frame_queries[0, 0, 0, 0]) for seed in range(2)}
    assert {float(few[index].frame_queries[0, 0, 0, 0]) for index in range(8)} == expected


def cached_recipe(folder: Path) -> Recipe:
    recipe = tiny_recipe(folder / "run", "genvis", max_steps=2)
    recipe.cache = CacheOptions(folder=str(folder / "cache"), views=4, stored_as="float32")
    return recipe


def test_losses_are_those_of_the_detector_itself(tmp_path: Path) -> None:
    recipe = cached_recipe(tmp_path)
    module = build_module(recipe)
    cached = build_data(recipe, module)
    assert isinstance(cached.stream, CachedViews)
    recipe.cache.folder = ""
    direct = build_data(recipe, module)
    batches: list[dict[str, Any]] = []
    for data in (cached, direct):
        positions = range(2) if data is cached else [_position(cached.stream, index) for index in range(2)]
        losses = module.losses(data.collate_items([data.stream[index] for index in positions]))
        batches.append({name: float(value.detach()) for name, value in losses.items()})
    assert batches[0] == pytest.approx(batches[1], rel=1e-5)


def _position(stream: CachedViews, index: int) -> int:
    wanted = stream[index].frame_queries
    return next(place for place in range(4) if torch.equal(stream._cache[place].frame_queries, wanted))


def test_a_run_fills_the_cache_once_and_never_calls_the_detector_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = cached_recipe(tmp_path)
    module = build_module(recipe)
    build_data(recipe, module)
    size = (tmp_path / "cache" / "views.bin").stat().st_size

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("The detector ran.")

    monkeypatch.setattr(type(module.model.detector), "forward", refuse)
    train(recipe)
    assert (tmp_path / "cache" / "views.bin").stat().st_size == size


def test_the_claim_of_a_process_that_was_killed_at_the_end_of_filling_is_removed(tmp_path: Path) -> None:
    recipe = cached_recipe(tmp_path)
    build_data(recipe, build_module(recipe))
    lock = tmp_path / "cache" / LOCK_FILE
    lock.touch()
    build_data(recipe, build_module(recipe))
    assert not lock.exists()


def test_the_cache_needs_a_frozen_detector_and_the_same_data(tmp_path: Path) -> None:
    recipe = cached_recipe(tmp_path)
    module = build_module(recipe)
    build_data(recipe, module)
    recipe.data.sources = [SourceOptions(height=64, width=64, difficulty="hard")]
    with pytest.raises(InputError, match=r"data\.sources\.0"):
        build_data(recipe, module)
    recipe.stage = "vita"
    with pytest.raises(InputError, match="frozen detector"):
        build_data(recipe, module)


def test_frames_are_drawn_anew_from_longer_cached_samples(tmp_path: Path) -> None:
    recipe = cached_recipe(tmp_path)
    recipe.cache.frames, recipe.cache.views = 9, 2
    stream = build_data(recipe, build_module(recipe)).stream
    assert isinstance(stream, CachedViews)
    cache = stream._cache
    assert [cache.length(position) for position in range(2)] == [9, 9]
    drawn = [stream[index] for index in range(8)]
    assert {view.frame_assignment.shape[2] for view in drawn} == {2}
    assert len({float(view.frame_queries.sum()) for view in drawn}) > 2
    for index, view in enumerate(drawn):
        assert_same(view, stream[index])
        assert bool(view.masks.flatten(1).any(dim=1).all())
        places = [_frame_of(view, frame, cache) for frame in range(2)]
        assert places == sorted(places)
        assert places[0] // 9 == places[1] // 9


def _frame_of(view: CachedView, frame: int, cache: DetectorCache) -> int:
    wanted = view.features[frame]
    return next(
        9 * position + place
        for position in range(2)
        for place in range(9)
        if torch.equal(cache[position].features[place], wanted)
    )


def test_runs_with_other_clips_and_seeds_share_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = cached_recipe(tmp_path)
    recipe.cache.frames, recipe.cache.seed = 6, 7
    module = build_module(recipe)
    build_data(recipe, module)
    monkeypatch.setattr("genvis.training.run.run.fill_cache", lambda *_, **__: pytest.fail("the cache was made again"))
    recipe.loss.weights = replace(recipe.loss.weights, no_object=1.0, similarity=0.0)  # Matching reads neither.
    module = build_module(recipe)
    recipe.data.clips, recipe.data.frames_per_clip, recipe.run.seed = 2, 3, 1
    stream = build_data(recipe, module).stream
    assert isinstance(stream[0], CachedView)
    assert stream[0].frame_assignment.shape[2] == 6
    recipe.data.clips = 3
    with pytest.raises(InputError, match=r"cache\.frames is 6, but a step takes 9"):
        build_data(recipe, module)
    recipe.data.clips, recipe.run.seed = 2, 0
    recipe.loss.weights = replace(recipe.loss.weights, dice=1.0)
    with pytest.raises(InputError, match=r"loss\.weights\.dice was 5\.0, now 1\.0"):
        build_data(recipe, build_module(recipe))


def test_evenly_spaced_frames_are_drawn_from_the_same_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = cached_recipe(tmp_path)
    recipe.cache.frames, recipe.cache.seed, recipe.cache.views = 9, 7, 2
    module = build_module(recipe)
    build_data(recipe, module)
    monkeypatch.setattr("genvis.training.run.run.fill_cache", lambda *_, **__: pytest.fail("the cache was made again"))
    recipe.data = replace(recipe.data, clips=3, frames_per_clip=1, frame_range=4, frame_spacing="even")
    stream = build_data(recipe, module).stream
    assert isinstance(stream, CachedViews)
    for index in range(12):
        places = [_frame_of(stream[index], frame, stream._cache) for frame in range(3)]
        assert len({later - earlier for earlier, later in pairwise(places)}) == 1


def test_evenly_spaced_frames_of_streams_and_of_caches_of_single_samples(tmp_path: Path) -> None:
    options = DataOptions(sources=[SourceOptions(height=64, width=64)], clips=3, frame_range=5, frame_spacing="even")
    drawn = [training_stream(options, labels=known_categories("ovis"), seed=0)[index].frames for index in range(3)]
    options.frame_spacing = "random"
    others = [training_stream(options, labels=known_categories("ovis"), seed=0)[index].frames for index in range(3)]
    assert not all(torch.equal(one, other) for one, other in zip(drawn, others, strict=True))
    recipe = cached_recipe(tmp_path)
    build_data(recipe, build_module(recipe))
    recipe.data.frame_spacing = "even"
    with pytest.raises(InputError, match=r"data\.frame_spacing"):
        build_data(recipe, build_module(recipe))


def test_single_values_of_a_difficulty_can_be_replaced() -> None:
    options = DataOptions(
        sources=[SourceOptions(height=64, width=64, difficulty_changes={"objects": [3, 3], "late": 0.0})]
    )
    sample = training_stream(options, labels=known_categories("ovis"), seed=0)[0]
    assert len(sample.labels) <= 3
    for changes, words in (({"objcts": 3}, "no 'objcts'"), ({"objects": 3}, "impossible"), ({"late": 3.0}, "late")):
        options.sources[0].difficulty_changes = changes
        with pytest.raises(InputError, match=words):
            training_stream(options, labels=known_categories("ovis"), seed=0)


def test_a_cache_belongs_to_the_content_of_its_data(tmp_path: Path) -> None:
    export_sprites(SpriteVideos(2, height=64, width=64, length=3), tmp_path / "set")
    recipe = cached_recipe(tmp_path)
    recipe.data.augmentation.kind = "none"

    def views(place: str) -> CachedViews:
        folder = tmp_path / place
        recipe.data.sources = [
            SourceOptions(
                kind="youtube_vis", annotations=str(folder / "annotations.json"), images=str(folder / "frames")
            )
        ]
        stream = build_data(recipe, build_module(recipe)).stream
        assert isinstance(stream, CachedViews)
        return stream

    first = views("set")[0]
    (tmp_path / "set").rename(tmp_path / "moved")
    assert_same(views("moved")[0], first)
    # A copy with an object less, under the same name.
    shutil.copytree(tmp_path / "moved", tmp_path / "set")
    document = json.loads((tmp_path / "set" / "annotations.json").read_text())
    document["annotations"] = document["annotations"][1:]
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"data\.sources\.0\.annotations .*cache\.folder"):
        views("set")


def test_the_preprocessing_is_part_of_a_cache(tmp_path: Path) -> None:
    recipe = cached_recipe(tmp_path)
    build_data(recipe, build_module(recipe))
    recipe.model.config = recipe.model.config | {"pixel_mean": [100.0, 100.0, 100.0]}
    with pytest.raises(InputError, match=r"preprocessing\.mean"):
        build_data(recipe, build_module(recipe))
