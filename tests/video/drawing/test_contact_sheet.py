from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genvis.errors import InputError
from genvis.video.drawing.contact_sheet import RESERVE, ContactSheet, clock_time


def fill(sheet: ContactSheet, count: int, *, height: int = 9, width: int = 16) -> list[int]:
    kept = []
    for number in range(count):
        image = np.full((height, width, 3), number % 256, np.uint8) if sheet.wants_next else None
        if image is not None:
            kept.append(number)
        sheet.add(image, time=number / 25, index=number)
    return kept


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 9))
def test_frames_are_spread_evenly_in_bounded_memory(count: int, tiles: int) -> None:
    sheet = ContactSheet(tiles=tiles, columns=3)
    fill(sheet, count)
    positions = [tile.position for tile in sheet.chosen()]
    assert len(positions) == len(sheet) == min(tiles, count)
    assert len(sheet.kept) < RESERVE * tiles
    assert positions[0] == 0
    if tiles > 1 and count >= tiles:
        steps = np.diff([*positions, count - 1])[:-1] if len(positions) > 1 else np.array([count])
        even = (count - 1) / (tiles - 1)
        assert np.abs(steps - even).max() <= even * 0.5 + 1
        assert positions[-1] >= (count - 1) * (1 - 1 / tiles)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 9))
def test_where_the_number_of_frames_is_known_only_those_that_are_shown_are_wanted(count: int, tiles: int) -> None:
    stream, known = ContactSheet(tiles=tiles, columns=3), ContactSheet(tiles=tiles, columns=3, frames=count)
    fill(stream, count)
    wanted = fill(known, count)
    assert wanted == [tile.position for tile in known.chosen()] == [tile.position for tile in stream.chosen()]


def test_most_frames_of_a_long_stream_are_not_even_looked_at() -> None:
    kept = fill(ContactSheet(tiles=4), 10_000)
    assert len(kept) < 200


def test_the_sheet_shows_the_frames_in_order(tmp_path: Path) -> None:
    sheet = ContactSheet(tiles=6, columns=3, width=600, title="a video with a very long name " * 9)
    for number in range(6):
        sheet.add(np.full((90, 160, 3), 40 * number, np.uint8), time=number, index=number)
    picture = sheet.render()
    assert picture.shape[1] == 600
    sheet.save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as saved:
        assert (np.asarray(saved) == picture).all()
    for number in range(6):
        assert (picture == 40 * number).all(axis=-1).sum() >= 90 * 160


@pytest.mark.parametrize(("height", "width"), [(8, 8), (1, 1), (2000, 30), (30, 2000), (1080, 1920), (1920, 1080)])
def test_frames_of_any_shape_fit(height: int, width: int) -> None:
    sheet = ContactSheet(tiles=2, columns=2, width=400)
    fill(sheet, 3, height=height, width=width)
    picture = sheet.render()
    assert picture.shape[1] <= 412
    assert picture.shape[0] < 300


@pytest.mark.parametrize(("height", "width"), [(8, 8), (90, 160), (1080, 1920), (385, 100)])
def test_a_frame_that_fits_is_not_fitted_again(height: int, width: int) -> None:
    sheet = ContactSheet()
    tile = sheet.fit(np.zeros((height, width, 3), np.uint8))
    assert max(tile.shape) <= 385
    assert sheet.fit(tile) is tile


def test_one_frame_is_a_sheet_and_none_is_an_error() -> None:
    sheet = ContactSheet()
    with pytest.raises(InputError, match="at least one frame"):
        sheet.render()
    fill(sheet, 1)
    assert sheet.render().shape[1] < 500


def test_a_wanted_frame_must_be_given() -> None:
    with pytest.raises(InputError, match="wants this frame"):
        ContactSheet().add(None, time=0, index=0)


@pytest.mark.parametrize("numbers", [{"tiles": 0}, {"columns": 0}, {"width": 300}])
def test_sizes_that_make_no_sheet_are_named(numbers: dict[str, int]) -> None:
    with pytest.raises(InputError, match="does not fit"):
        ContactSheet(**numbers)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0:00.00"), (7.254, "0:07.25"), (59.999, "1:00.00"), (3723.5, "1:02:03.50"), (86400, "24:00:00.00")],
)
def test_times_read_like_a_clock(seconds: float, expected: str) -> None:
    assert clock_time(seconds) == expected
