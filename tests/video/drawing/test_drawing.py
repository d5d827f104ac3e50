import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genvis.errors import InputError
from genvis.masks import RLEMask
from genvis.video.drawing.instances import DrawingStyle, draw_instances, scaled_mask
from genvis.video.drawing.labels import LARGEST_COVER, LabelWriter
from genvis.video.drawing.palette import palette, track_color


def ellipse(height: int, width: int, *, y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return ((rows / height - y) / radius) ** 2 + ((columns / width - x) / radius) ** 2 < 1


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Contrast ratio as WCAG defines it, 1 to 21."""

    def luminance(color: tuple[float, ...]) -> float:
        linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colors_are_stable_and_distinct() -> None:
    assert track_color(0) == (0, 0, 0)
    assert track_color(1) == tuple(palette()[1].tolist())
    colors = palette(301)[1:].astype(int)
    assert track_color(301) == track_color(1)
    for count, distance in ((8, 80), (12, 65), (20, 40), (50, 30), (100, 15), (300, 10)):
        first = colors[:count]
        gaps = np.linalg.norm(first[:, None] - first[None], axis=-1) + 1000 * np.eye(count)
        assert gaps.min() > distance


def test_colors_show_on_black() -> None:
    colors = palette(201)[1:].astype(int)
    assert min(contrast(tuple(color), (0, 0, 0)) for color in colors) > 4.5


@pytest.mark.parametrize("ground", [8, 128, 250])
def test_masks_are_filled_and_outlined_and_the_rest_is_untouched(ground: int) -> None:
    image = np.full((180, 240, 3), ground, np.uint8)
    mask = ellipse(180, 240, y=0.6, x=0.5, radius=0.25)
    drawn = draw_instances(image, masks=mask[None], ids=[3], style=DrawingStyle(ids=False))
    color = np.array(track_color(3))
    expected = ground + 0.4 * (color - ground)
    assert np.abs(drawn[108, 120] - expected).max() <= 2
    edge = mask & ~np.roll(mask, 1, 0)
    assert (drawn[edge] == color).all()
    far = ~ellipse(180, 240, y=0.6, x=0.5, radius=0.28)
    assert (drawn[far] == ground).all()
    assert (image == ground).all(), "the frame itself is not drawn on"


def test_the_higher_score_is_on_top() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    masks = np.ones((2, 60, 60), bool)
    style = DrawingStyle(fill=1, contour=False, ids=False)
    for scores, winner in (((0.9, 0.2), 1), ((0.2, 0.9), 2)):
        drawn = draw_instances(image, masks=masks, ids=[1, 2], scores=scores, style=style_without_scores(style))
        assert (drawn == track_color(winner)).all()


def style_without_scores(style: DrawingStyle) -> DrawingStyle:
    return DrawingStyle(fill=style.fill, contour=style.contour, ids=False, labels=False, scores=False)


def test_run_lengths_and_dense_masks_look_the_same() -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    masks = [ellipse(90, 120, y=0.3, x=0.3, radius=0.2), ellipse(90, 120, y=0.7, x=0.6, radius=0.3)]
    known = {"ids": [4, 9], "labels": ["cat", "dog"], "scores": [0.5, 0.25]}
    dense = draw_instances(image, masks=masks, **known)  # type: ignore[arg-type]
    encoded = draw_instances(image, masks=[RLEMask.encode(mask) for mask in masks], **known)  # type: ignore[arg-type]
    assert (dense == encoded).all()
    assert (draw_instances(image, masks=np.zeros((2, 90, 120), bool), **known) == image).all()  # type: ignore[arg-type]
    assert (draw_instances(image, masks=[], ids=[]) == image).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 170), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_any_size_can_be_drawn_on(height: int, width: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    masks = random.random((count, height, width)) < random.random((count, 1, 1))
    drawn = draw_instances(
        random.integers(0, 255, (height, width, 3), np.uint8),
        masks=masks,
        ids=list(range(1, count + 1)),
        labels=["a rather long label"] * count,
        scores=random.random(count).tolist(),
    )
    assert drawn.shape == (height, width, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.lists(st.tuples(st.text(max_size=30), *[st.integers(-50, 450)] * 4), max_size=12),
)
def test_labels_stay_inside_and_leave_room(
    height: int, width: int, labels: list[tuple[str, int, int, int, int]]
) -> None:
    writer = LabelWriter(Image.new("RGB", (width, height)))
    for text, x0, y0, x1, y1 in labels:
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        writer.write(["7", text.replace("\n", " "), "88%"], box=box, color=(200, 200, 0))
    for left, top, right, bottom in writer.taken:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in writer.taken)
    assert covered <= LARGEST_COVER * height * width


def test_labels_keep_clear_of_each_other() -> None:
    writer = LabelWriter(Image.new("RGB", (640, 480)))
    for number in range(8):
        writer.write([str(number), "person"], box=(200, 200, 320, 300), color=(200, 200, 0))
    boxes = writer.taken
    assert len(boxes) == 8
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_labels_get_shorter_with_the_frame() -> None:
    widths = {}
    for height in (40, 96, 480):
        writer = LabelWriter(Image.new("RGB", (height * 16 // 9, height)))
        writer.write(["7", "motorbike", "88%"], box=(10, 20, 10 + height // 3, 20 + height // 3), color=(9, 9, 9))
        widths[height] = [right - left for left, _, right, _ in writer.taken]
    assert widths[40] == []
    assert 0 < widths[96][0] < 45
    assert widths[480][0] > 80


def test_letters_are_legible_on_every_ground() -> None:
    for identity in range(1, 101):
        ground = track_color(identity)
        canvas = Image.new("RGB", (400, 300), (127, 127, 127))
        writer = LabelWriter(canvas)
        writer.write([str(identity)], box=(100, 100, 200, 200), color=ground)
        left, top, right, bottom = writer.taken[0]
        pixels = np.unique(np.asarray(canvas)[top:bottom, left + 3 : right - 3].reshape(-1, 3), axis=0)
        assert max(contrast(tuple(pixel), ground) for pixel in pixels.tolist()) > 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": [1, 2]}, "1 masks for 2 ids"),
        ({"labels": []}, "0 labels for 1 ids"),
        ({"masks": np.ones((1, 5, 5), bool)}, "does not fit an image"),
        ({"image": np.zeros((10, 10), np.uint8)}, "must be"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    arguments = {"image": np.zeros((10, 12, 3), np.uint8), "masks": np.ones((1, 10, 12), bool), "ids": [1], **changes}
    with pytest.raises(InputError, match=message):
        draw_instances(**arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="opacity"):
        DrawingStyle(fill=2)


def test_masks_scale_with_the_picture() -> None:
    mask = ellipse(90, 120, y=0.5, x=0.5, radius=0.3)
    assert scaled_mask(mask, 90, 120) is mask
    double = scaled_mask(mask, 180, 240)
    assert double.dtype == np.bool_
    assert double.mean() == pytest.approx(mask.mean(), abs=0.001)
