"""Recipes that are not what they seem: impossible numbers, settings that contradict, YAML that explodes."""

from pathlib import Path

import pytest

from genvis.errors import InputError
from genvis.training.recipe.checks import check_recipe
from genvis.training.recipe.loading import bundled_recipes, load_recipe
from tests.training.tiny import tiny_recipe


@pytest.mark.parametrize(
    "option",
    [
        "optimizer.learning_rate=.nan",
        "optimizer.learning_rate=.inf",
        "optimizer.learning_rate=-1e-4",
        "optimizer.learning_rate=0",
        "optimizer.weight_decay=.nan",
        "optimizer.clip_norm=-1",
        "optimizer.milestones=[10, -3]",
        "optimizer.rising_share=1.5",
        "optimizer.warmup_steps=-1",
        "loss.weights.mask=.nan",
        "loss.weights.dice=-2.0",
        "loss.points.count=0",
        "loss.points.importance_ratio=1.1",
        "loss.points.oversample_ratio=0.5",
        "loss.detector_layers=0",
        "data.clips=0",
        "data.frames_per_clip=-1",
        "data.batch_size=0",
        "data.workers=-1",
        "data.augmentation.short_sides=[0]",
        "data.augmentation.short_sides=[]",
        "data.augmentation.max_size=1000000000",
        "data.augmentation.crop_size=[600, 384]",
        "data.augmentation.rotation=.inf",
        "cache.views=0",
        "run.max_steps=0",
        "run.max_steps=-5",
        "run.accumulate=0",
        "run.devices=0",
        "run.ema_decay=1.0",
        "run.ema_decay=.nan",
        "run.seed=-1",
        "run.log_steps=0",
        "run.checkpoint_minutes=.nan",
        "run.checkpoint_steps=-1",
    ],
)
def test_a_number_out_of_its_range_is_named(option: str) -> None:
    name = option.split("=", maxsplit=1)[0]
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as raised:
        load_recipe("ovis-r50-online", [f"--{option}"])
    assert "\n" not in str(raised.value)


def test_numbers_of_data_sources_are_checked(tmp_path: Path) -> None:
    (tmp_path / "me.yaml").write_text("data: {sources: [{kind: sprites, weight: .nan}]}")
    with pytest.raises(InputError, match=r"data\.sources\.weight is nan"):
        load_recipe(tmp_path / "me.yaml")
    (tmp_path / "me.yaml").write_text("data: {sources: []}")
    with pytest.raises(InputError, match=r"data\.sources is empty"):
        load_recipe(tmp_path / "me.yaml")


def test_an_option_left_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "me.yaml").write_text("data: {clips: }")
    with pytest.raises(InputError, match=r"data\.clips is empty: give a value"):
        load_recipe(tmp_path / "me.yaml")
    (tmp_path / "me.yaml").write_text("cache: {seed: }")  # The default.
    load_recipe(tmp_path / "me.yaml")


def test_the_bundled_recipes_are_possible() -> None:
    for name in bundled_recipes():
        check_recipe(load_recipe(name))


def test_one_setting_says_how_long_a_clip_is(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "genvis")
    recipe.data.frames_per_clip = 3
    check_recipe(recipe)
    recipe.model.config = recipe.model.config | {"clip_length": 5}
    with pytest.raises(InputError, match=r"clip_length is 5 but data\.frames_per_clip is 3"):
        check_recipe(recipe)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB, "more than 20,000 values"),
        (MERGES, "more than 20,000 values"),
        ("a: " + "[" * 500 + "]" * 500, "nested deeper"),
        ("a: " + "[" * 50_000, "nested deeper"),
        ("a: &a [*a]", "nested deeper"),
        ("# " + "x" * (1 << 20), "larger than 1 MB"),
        ("stage: !!python/object/apply:os.system [exit]", "cannot be read"),
        ("run: {max_steps: " + "9" * 5000 + "}", "cannot be read"),
        ("", "must be a mapping"),
    ],
    ids=["aliases", "merges", "nested", "deep", "endless", "large", "code", "digits", "empty"],
)
def test_a_hostile_file_is_refused_in_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "me.yaml").write_text(content)
    with pytest.raises(InputError, match=words) as raised:
        load_recipe(tmp_path / "me.yaml")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_aliases_as_people_use_them_stay(tmp_path: Path) -> None:
    (tmp_path / "me.yaml").write_text(
        "data:\n  sources: [&a {kind: sprites, weight: 2.0}, {<<: *a, difficulty: easy}]\n"
    )
    assert [source.weight for source in load_recipe(tmp_path / "me.yaml").data.sources] == [2.0, 2.0]
