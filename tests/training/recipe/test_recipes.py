"""Recipes: all published ones parse to the published numbers, bases merge, mistakes are named."""

import json
from pathlib import Path
from typing import Any

import pytest

from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.published_models import recipe_names
from genvis.training.recipe.loading import bundled_recipes, load_recipe, read_recipe, recipe_file, save_recipe
from genvis.training.stages.model_building import _configuration

PUBLISHED = json.loads((Path(__file__).parents[2] / "golden" / "training" / "published_recipes.json").read_text())
DATA = {"ovis": "ovis", "youtubevis_2019": "ytvis19", "youtubevis_2021": "ytvis21", "coco": "coco"}


def our_name(published: str) -> str:
    family, data, name = published.split("/")
    backbone = "r50" if "R50" in name else "swinl"
    if family == "vita":
        return f"vita-{DATA[data]}-{backbone}"
    return f"{DATA[data]}-{backbone}-{'semi-online' if 'semi_online' in name else 'online'}"


def test_there_is_a_recipe_for_every_published_model() -> None:
    assert {our_name(name) for name in PUBLISHED["recipes"]} == set(recipe_names())
    assert set(recipe_names()) | {"sprites-detector", "sprites-genvis"} <= set(bundled_recipes())


@pytest.mark.parametrize("published", PUBLISHED["recipes"])
def test_a_recipe_has_the_published_numbers(published: str) -> None:
    numbers: dict[str, Any] = PUBLISHED["common"] | PUBLISHED["recipes"][published]
    name = our_name(published)
    recipe = load_recipe(name)
    is_genvis, is_coco = published.startswith("genvis"), "/coco/" in published
    assert recipe.stage == ("genvis" if is_genvis else "vita")
    assert (recipe.model.name, recipe.model.freeze_batch_norm) == (name, True)

    optimizer = recipe.optimizer
    assert optimizer.learning_rate == numbers["solver.base_lr"]
    assert optimizer.milestones == numbers["solver.steps"]
    assert optimizer.gamma == numbers["solver.gamma"]
    assert optimizer.weight_decay == numbers["solver.weight_decay"]
    assert optimizer.backbone_multiplier == numbers["solver.backbone_multiplier"]
    assert optimizer.warmup_steps == numbers["solver.warmup_iters"]
    assert optimizer.warmup_factor == numbers["solver.warmup_factor"]
    assert optimizer.clip_norm == numbers["solver.clip_gradients.clip_value"]
    assert recipe.run.max_steps == numbers["solver.max_iter"]
    assert recipe.run.precision == "16-mixed"

    data = recipe.data
    assert data.batch_size == numbers["solver.ims_per_batch"]
    assert data.clips * data.frames_per_clip == numbers["input.sampling_frame_num"]
    if is_genvis:
        assert (data.clips, data.frames_per_clip) == (5, numbers["model.genvis.len_clip_window"])
    if not is_coco:
        assert data.frame_range == numbers["input.sampling_frame_range"]
        assert [source.weight for source in data.sources] == numbers["datasets.dataset_ratio"]
        assert [source.kind for source in data.sources] == ["coco_pseudo", "youtube_vis"]
        assert data.augmentation.short_sides == numbers["input.min_size_train"]
        assert data.augmentation.max_size == numbers["input.max_size_train"] == numbers["input.pseudo.max_size_train"]
        assert list(data.augmentation.crop_size) == numbers["input.crop.size"] == numbers["input.pseudo.crop.size"]
        assert data.augmentation.crop == numbers["input.crop.enabled"]
    else:
        assert [source.kind for source in data.sources] == ["coco"]
        assert data.augmentation.kind == "image"
        assert data.augmentation.image_size == numbers["input.lsj_aug.image_size"]
        scale = (numbers["input.lsj_aug.min_scale"], numbers["input.lsj_aug.max_scale"])
        assert tuple(data.augmentation.scale) == scale

    loss = recipe.loss
    assert loss.detector_layers == numbers["model.vita.last_layer_num"]
    assert loss.weights.classification == numbers["model.mask_former.class_weight"]
    assert loss.weights.mask == numbers["model.mask_former.mask_weight"]
    assert loss.weights.dice == numbers["model.mask_former.dice_weight"]
    assert loss.weights.similarity == numbers["model.vita.sim_weight"]
    assert loss.weights.no_object == numbers["model.vita.no_object_weight"]
    assert loss.points.count == numbers["model.mask_former.train_num_points"]
    assert loss.points.oversample_ratio == numbers["model.mask_former.oversample_ratio"]
    assert loss.points.importance_ratio == numbers["model.mask_former.importance_sample_ratio"]
    assert loss.assignment == "uvla"

    config: GenVISConfig = _configuration(recipe.model, None)
    assert config.num_classes == numbers["model.sem_seg_head.num_classes"]
    assert config.num_instance_queries == numbers["model.vita.num_object_queries"]
    assert config.clip_length == (numbers["model.genvis.len_clip_window"] if is_genvis else 1)


@pytest.mark.parametrize("name", recipe_names())
def test_a_published_recipe_is_short(name: str) -> None:
    assert len(recipe_file(name).read_text().splitlines()) <= 22


def test_bases_merge_level_by_level(tmp_path: Path) -> None:
    (tmp_path / "below.yaml").write_text("optimizer: {learning_rate: 1.0, gamma: 0.5}\nrun: {max_steps: 3}\n")
    (tmp_path / "above.yaml").write_text("base: below.yaml\noptimizer: {learning_rate: 2.0}\n")
    assert read_recipe(tmp_path / "above.yaml") == {
        "optimizer": {"learning_rate": 2.0, "gamma": 0.5},
        "run": {"max_steps": 3},
    }


def test_the_command_line_has_the_last_word() -> None:
    recipe = load_recipe("ovis-r50-online", ["--optimizer.learning_rate", "1e-3", "--loss.assignment=correspondence"])
    assert (recipe.optimizer.learning_rate, recipe.loss.assignment) == (1e-3, "correspondence")
    assert recipe.optimizer.milestones == [100000]


def test_a_saved_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("vita-ovis-r50", ["--loss.fixed_grid", "14"])
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("optimizer: {lr: 1}", [], "lr"),
        ("optimizer: {learning_rate: fast}", [], "learning_rate"),
        ("- 1", [], "must be a mapping"),
        ("base: me.yaml", [], "its own base"),
        ("base: nowhere.yaml", [], "no recipe 'nowhere.yaml'"),
        ("a: [", [], "cannot be read"),
        ("stage: genvis", ["--stage", "none"], "stage"),
        ("stage: genvis", ["--nothing", "1"], "nothing"),
    ],
)
def test_mistakes_are_named_in_one_sentence(tmp_path: Path, content: str, words: list[str], message: str) -> None:
    (tmp_path / "me.yaml").write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        load_recipe(tmp_path / "me.yaml", words)
    assert "\n" not in str(raised.value)


def test_an_unknown_recipe_lists_the_bundled_ones() -> None:
    with pytest.raises(InputError, match="ovis-r50-online"):
        load_recipe("ovis-r51")


RECIPE = """
model: {init: %s, categories: train.json}
data:
  sources: [{kind: youtube_vis, annotations: train.json, images: ../images}]
  validation: {kind: youtube_vis, annotations: val.json, images: ../images}
run: {output: runs/x}
cache: {folder: runs/cache}
"""


def test_paths_start_from_the_folder_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reef").mkdir()
    (tmp_path / "reef" / "mine.yaml").write_text(RECIPE % "runs/before/model")
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("reef/mine.yaml")
    assert recipe.data.sources[0].annotations == str(Path("reef/train.json"))
    assert recipe.data.sources[0].images == "images"
    assert recipe.data.validation is not None
    assert recipe.data.validation.annotations == str(Path("reef/val.json"))
    assert (recipe.run.output, recipe.cache.folder) == (str(Path("reef/runs/x")), str(Path("reef/runs/cache")))
    assert (recipe.model.init, recipe.model.categories) == (
        str(Path("reef/runs/before/model")),
        str(Path("reef/train.json")),
    )
    assert load_recipe("reef/mine.yaml", ["--run.output", "here"]).run.output == "here"
    monkeypatch.chdir(tmp_path / "reef")
    assert load_recipe("mine.yaml").run.output == str(Path("runs/x"))


@pytest.mark.parametrize("name", ["sprites-tiny", "facebook/mask2former-swin-tiny-coco-instance"])
def test_names_of_models_are_no_paths(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE % name)
    assert load_recipe(tmp_path / "mine.yaml").model.init == name


def test_paths_of_a_base_start_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("below").mkdir()
    Path("below/base.yaml").write_text("run: {output: runs/below}\ncache: {folder: cache}\n")
    Path("above.yaml").write_text("base: below/base.yaml\nrun: {output: runs/above}\n")
    recipe = load_recipe("above.yaml")
    assert recipe.run.output == str(Path("runs/above"))
    assert recipe.cache.folder == str(Path("below/cache"))


def test_a_bundled_recipe_names_places_in_the_current_folder() -> None:
    assert load_recipe("ovis-r50-online").data.sources[1].annotations == "datasets/ovis/annotations_train.json"


def test_a_recipe_saved_elsewhere_still_finds_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(RECIPE % "weights.pth")
    recipe = load_recipe("mine.yaml")
    save_recipe(recipe, Path("runs/x/recipe.yaml"))
    assert load_recipe("runs/x/recipe.yaml") == recipe
