import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from genvis.data.sprites import DIFFICULTIES, Difficulty, SpriteImages, SpriteVideos, render, render_frame
from genvis.data.sprites.backgrounds import PAINTERS, draw_background
from genvis.data.sprites.compositing import OPAQUE, place
from genvis.data.sprites.palettes import PALETTES
from genvis.errors import InputError


def same(a, b):
    return torch.equal(a.frames, b.frames) and torch.equal(a.masks, b.masks) and torch.equal(a.labels, b.labels)


def patch_of(scene, frame, sprite):
    motion = scene.motion
    return place(
        scene.looks[sprite],
        x=float(motion.centres[frame, sprite, 0]),
        y=float(motion.centres[frame, sprite, 1]),
        size=float(motion.sizes[frame, sprite]),
        bounds=(scene.height, scene.width),
        angle=float(motion.angles[frame, sprite]),
        heading=float(motion.headings[frame, sprite]),
        light=float(motion.light[frame, sprite]),
    )


difficulties = st.builds(
    Difficulty,
    objects=st.tuples(st.integers(1, 4), st.integers(4, 8)),
    size=st.tuples(st.floats(0.1, 0.3), st.floats(0.3, 0.9)),
    occlusion=st.floats(0, 1),
    look_alikes=st.floats(0, 1),
    leaving=st.floats(0, 0.5),
    late=st.floats(0, 1),
    out_of_sight=st.tuples(st.integers(1, 5), st.integers(5, 30)),
    pace=st.integers(2, 30),
    foreground=st.tuples(st.integers(0, 1), st.integers(1, 3)),
    lighting=st.floats(0, 1),
)


@settings(max_examples=40, deadline=None)
@given(
    difficulties,
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.sampled_from([(33, 47), (48, 80), (80, 48)]),
    st.sampled_from(["train", "validation"]),
)
def test_samples_keep_their_promises(difficulty, seed, length, shape, split):
    height, width = shape
    dataset = SpriteVideos(
        5, height=height, width=width, length=length, difficulty=difficulty, seed=seed, split=split, span=length + 3
    )
    sample = dataset[seed % 5]
    assert sample.frames.shape == (length, 3, height, width)
    assert sample.frames.is_contiguous()
    assert 1 <= len(sample.labels) <= difficulty.objects[1]
    assert sample.masks.shape == (len(sample.labels), length, height, width)
    assert sample.masks.sum(dim=0).max() <= 1
    assert sample.visible.any(dim=1).all()
    assert sample.labels.min() >= 0
    assert sample.labels.max() < len(dataset.categories)
    assert same(sample, dataset[seed % 5])


def test_masks_are_exactly_what_the_front_most_sprites_show():
    overlaps = 0
    for index in range(8):
        scene = SpriteVideos(8, difficulty=Difficulty(objects=(4, 8), foreground=(0, 0)), length=20).scene(index)
        for frame in range(0, 20, 5):
            rendered = render_frame(scene, frame)
            expected = np.zeros((96, 160), dtype=np.uint8)
            for sprite in scene.motion.order[frame]:
                patch = patch_of(scene, frame, sprite)
                whole = np.zeros((96, 160), dtype=bool)
                if patch is not None:
                    whole[patch.area] = patch.alpha >= OPAQUE
                assert rendered.whole_areas[sprite] == whole.sum()
                overlaps += np.count_nonzero(expected[whole])
                expected[whole] = sprite + 1
            np.testing.assert_array_equal(rendered.owners, expected)
    assert overlaps > 1000


def test_the_front_most_sprite_shows_its_own_colours():
    scene = SpriteVideos(1, difficulty=Difficulty(objects=(6, 6), foreground=(0, 0), lighting=0.0)).scene(0)
    rendered = render_frame(scene, 3)
    front = scene.motion.order[3, -1]
    patch = patch_of(scene, 3, front)
    solid = patch.alpha == 255
    assert solid.sum() > 20
    np.testing.assert_array_equal(rendered.image[patch.area][solid], patch.colours[solid])


def test_scenery_in_front_hides_and_is_not_annotated():
    hidden = 0
    for index in range(10):
        dataset = SpriteVideos(10, difficulty=Difficulty(objects=(8, 8), foreground=(3, 3), leaving=0, late=0))
        rendered = render_frame(dataset.scene(index), 0)
        assert rendered.owners.max() <= 8
        seen = np.bincount(rendered.owners.ravel(), minlength=9)[1:]
        assert (seen <= rendered.whole_areas).all()
        hidden += (rendered.whole_areas - seen).sum()
    assert hidden > 0


def test_scenery_in_front_is_painted():
    scene = SpriteVideos(1, difficulty=Difficulty(foreground=(1, 1), lighting=0.0)).scene(0)
    (prop,) = scene.foreground
    x, y = scene.background.corners[0]
    heading = 1.0 if prop.flipped else -1.0
    patch = place(prop.look, x=prop.x - x, y=prop.y - y, size=prop.size, heading=heading, bounds=(96, 160))
    rendered = render_frame(scene, 0)
    solid = patch.alpha == 255
    assert solid.sum() > 20
    np.testing.assert_array_equal(rendered.image[patch.area][solid], patch.colours[solid])
    assert (rendered.owners[patch.area][solid] == 0).all()


def test_the_order_and_the_process_do_not_matter():
    dataset = SpriteVideos(6, length=3, height=48, width=64, difficulty="hard")
    expected = [dataset[index] for index in range(6)]
    assert all(same(pickle.loads(pickle.dumps(dataset))[index], expected[index]) for index in (5, 0, 3))
    loader = DataLoader(dataset, batch_size=1, num_workers=2, collate_fn=lambda samples: samples[0])
    for got, wanted in zip(loader, expected, strict=True):
        assert same(got, wanted)


def test_any_frame_can_be_drawn_alone():
    scene = SpriteVideos(1, length=30).scene(0)
    frames = list(render(scene))
    for index in (29, 4, 17):
        np.testing.assert_array_equal(render_frame(scene, index).image, frames[index].image)
        np.testing.assert_array_equal(render_frame(scene, index).owners, frames[index].owners)


def test_seed_split_and_index_make_different_videos():
    samples = [
        SpriteVideos(2, length=1)[0],
        SpriteVideos(2, length=1)[1],
        SpriteVideos(2, length=1, seed=1)[0],
        SpriteVideos(2, length=1, split="validation")[0],
    ]
    assert len({sample.frames.numpy().tobytes() for sample in samples}) == 4


def test_even_frames_of_a_span_are_equally_far_apart():
    for seed in range(3):
        part = SpriteVideos(1, length=4, span=13, seed=seed, is_even=True)[0].frames
        whole = SpriteVideos(1, length=13, seed=seed)[0].frames
        places = [next(place for place, frame in enumerate(whole) if torch.equal(frame, one)) for one in part]
        assert len(set(np.diff(places).tolist())) == 1


def test_a_span_takes_frames_of_the_same_video_in_order():
    whole = SpriteVideos(3, length=12)[1]
    part = SpriteVideos(3, length=4, span=12)[1]
    found = [next(index for index in range(12) if torch.equal(whole.frames[index], frame)) for frame in part.frames]
    assert found == sorted(set(found))


def test_videos_get_the_length_of_their_difficulty():
    assert SpriteVideos(1, difficulty="easy").length == DIFFICULTIES["easy"].length
    assert len(list(render(SpriteVideos(1, length=7).scene(0)))) == 7


def test_a_long_video_is_drawn_frame_by_frame():
    scene = SpriteVideos(1, length=5000).scene(0)
    frames = render(scene)
    assert next(frames).image.shape == (96, 160, 3)
    assert render_frame(scene, 4999).owners.shape == (96, 160)


def test_images_hold_one_to_six_sprites_of_22_to_52_pixels():
    dataset = SpriteImages(60)
    counts = set()
    for index in range(60):
        scene = dataset.scene(index)
        counts.add(len(scene.looks))
        # Thin glyphs are drawn up to half longer; a size may swing by a seventh, and half of that again.
        assert scene.motion.sizes.min() > 0.8 * 22
        assert scene.motion.sizes.max() < 1.3 * 1.5 * 52
    assert counts == {1, 2, 3, 4, 5, 6}
    assert dataset[0].frames.shape == (1, 3, 96, 160)


def test_harder_means_more_objects_more_hidden_and_more_look_alikes():
    def measure(name):
        objects, hidden, alike = 0, [], 0
        for index in range(25):
            dataset = SpriteVideos(25, difficulty=name, length=6)
            scene = dataset.scene(index)
            objects += len(scene.looks)
            alike += len(scene.looks) - len({(look.glyph, look.style_name) for look in scene.looks})
            frame = render_frame(scene, 3)
            seen = np.bincount(frame.owners.ravel(), minlength=len(scene.looks) + 1)[1:]
            hidden += [1 - part / whole for part, whole in zip(seen, frame.whole_areas, strict=True) if whole]
        return objects, float(np.mean(hidden)), alike

    easy, normal, hard = (measure(name) for name in ("easy", "normal", "hard"))
    assert all(a < b < c for a, b, c in zip(easy, normal, hard, strict=True))


def test_objects_leave_the_picture_and_return_in_videos():
    returns, hidden_returns = 0, 0
    for index in range(6):
        scene = SpriteVideos(6, difficulty="hard", length=100, height=48, width=80).scene(index)
        frames = list(render(scene))
        for sprite in range(len(scene.looks)):
            seen = np.array([(frame.owners == sprite + 1).any() for frame in frames])
            whole = np.array([frame.whole_areas[sprite] > 0 for frame in frames])
            first, last = np.argmax(seen), len(seen) - np.argmax(seen[::-1]) - 1
            returns += (~whole[first:last]).sum() >= 5
            hidden_returns += (~seen & whole)[first:last].any()
    assert returns >= 3
    assert hidden_returns >= 3


@pytest.mark.parametrize("painter", PAINTERS)
@pytest.mark.parametrize("palette", PALETTES[:3], ids=lambda palette: palette.name)
def test_painters_fill_the_picture(painter, palette):
    for seed in range(6):
        picture = painter(np.random.default_rng(seed), palette, 50, 90)
        assert picture.shape == (50, 90, 3)
        assert picture.dtype == np.uint8
        # Light enough for black outlines.
        assert picture.mean() > 90


def test_the_camera_stays_on_the_picture():
    for seed in range(10):
        background = draw_background(np.random.default_rng(seed), height=48, width=80, length=300)
        assert (background.corners >= 0).all()
        assert (background.corners + np.array([80, 48]) <= background.picture.shape[1::-1]).all()
        assert np.abs(np.diff(background.corners, axis=0)).max() < 1.5
        assert background.frame(299, height=48, width=80).shape == (48, 80, 3)


def test_own_pictures_as_backgrounds(tmp_path):
    (tmp_path / "below").mkdir()
    Image.new("RGB", (300, 90), (10, 200, 30)).save(tmp_path / "below" / "green.png")
    difficulty = Difficulty(objects=(1, 1), foreground=(0, 0), lighting=0.0)
    sample = SpriteVideos(1, length=2, difficulty=difficulty, backgrounds=tmp_path)[0]
    assert sample.frames[0, :, 0, 0].tolist() == [10, 200, 30] or sample.frames[0, :, -1, -1].tolist() == [10, 200, 30]


def test_bad_pictures_are_named(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        SpriteVideos(1, backgrounds=tmp_path / "none")
    with pytest.raises(InputError, match="no background picture"):
        SpriteVideos(1, backgrounds=tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        SpriteVideos(1, backgrounds=tmp_path)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count=0"),
        ({"length": 0}, "length=0"),
        ({"seed": -1}, "seed=-1"),
        ({"split": "test"}, "no split 'test'"),
        ({"difficulty": "mad"}, "no difficulty 'mad'"),
        ({"height": 8}, "8x160"),
        ({"length": 5, "span": 4}, "span=4"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        SpriteVideos(**{"count": 1, **arguments})


@pytest.mark.parametrize(
    "values",
    [
        {"objects": (3, 2)},
        {"objects": (0, 2)},
        {"objects": (1, 300)},
        {"size": (0.01, 0.5)},
        {"size": (0.5, 3.0)},
        {"occlusion": 1.5},
        {"look_alikes": -0.1},
        {"pace": 0},
        {"out_of_sight": (0, 3)},
    ],
)
def test_wrong_difficulties_are_named(values):
    with pytest.raises(InputError, match=next(iter(values))):
        Difficulty(**values)


def test_changed_difficulties():
    normal = DIFFICULTIES["normal"]
    assert normal.changed() == normal
    assert normal.changed(min_objects=9).objects == (9, 9)
    assert normal.changed(max_objects=1).objects == (1, 1)
    assert normal.changed(min_objects=3, max_objects=4).objects == (3, 4)
    with pytest.raises(InputError, match="objects"):
        normal.changed(min_objects=5, max_objects=4)
    changed = DIFFICULTIES["easy"].changed(occlusion=0.0, look_alikes=1.0, max_absence=3)
    assert (changed.occlusion, changed.look_alikes, changed.out_of_sight) == (0.0, 1.0, (3, 3))
    assert changed.leaving > 0


def test_a_video_that_does_not_exist_ends_the_iteration():
    dataset = SpriteVideos(2, length=1, height=32, width=32)
    with pytest.raises(IndexError, match="no video 2"):
        dataset[2]
    assert len(list(dataset)) == len(dataset) == 2


def test_only_the_wanted_categories_are_drawn_and_labels_stay_those_of_ovis():
    wanted = SpriteVideos(30, length=2, height=48, width=80, category_names=["fish", "Giant_panda"])
    names = {wanted.categories.names[label] for sample in wanted for label in sample.labels.tolist()}
    assert names == {"Fish", "Giant_panda"}
    assert {one.label for one in SpriteImages(5, category_names=("Zebra",)).scene(0).looks} == {9}


def test_all_categories_are_the_same_as_none_named():
    every = SpriteVideos(2, length=2, height=48, width=80)
    named = SpriteVideos(2, length=2, height=48, width=80, category_names=every.categories.names)
    assert all(same(every[index], named[index]) for index in range(2))


def test_an_unknown_category_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no category 'Unicorn'; choose from Person, Bird"):
        SpriteVideos(1, category_names=["Cat", "Unicorn"])
