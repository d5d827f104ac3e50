import csv

import numpy as np
import pandas
import pytest

from genvis.masks import encode_mask
from genvis.results.formats.object_table import ObjectRow, object_rows
from genvis.results.types import FrameStamp, Track, VideoResult


@pytest.fixture
def result():
    first, second = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    first[2:4, 5:9] = True
    second[0, 0] = True
    frames = tuple(FrameStamp(index=3 * place, time=place / 2, name=str(place)) for place in range(3))
    tracks = (
        Track(id=1, label="cat, big", label_id=0, category_id=7, score=0.5, masks=(encode_mask(first), None, None)),
        Track(
            id=2,
            label="dog",
            label_id=1,
            category_id=9,
            score=0.9,
            masks=(encode_mask(second), None, encode_mask(first)),
        ),
    )
    return VideoResult(name="ride", height=10, width=20, frames=frames, tracks=tracks)


ROWS = [
    ObjectRow("ride", 0, 0.0, 2, "dog", 9, 0.9, 0, 0, 1, 1, 1, 0.5, 0.5),
    ObjectRow("ride", 0, 0.0, 1, "cat, big", 7, 0.5, 5, 2, 9, 4, 8, 7.0, 3.0),
    ObjectRow("ride", 6, 1.0, 2, "dog", 9, 0.9, 5, 2, 9, 4, 8, 7.0, 3.0),
]


def test_one_row_per_object_and_frame(result):
    assert list(object_rows(result)) == ROWS


def test_csv_parquet_and_pandas_agree(result, tmp_path):
    files = result.save(tmp_path, outputs=("csv", "parquet"))
    with files.csv.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(ObjectRow._fields)
    assert [[str(value) for value in row] for row in ROWS] == rows[1:]
    pandas.testing.assert_frame_equal(pandas.read_parquet(files.parquet), result.to_pandas())
    assert result.to_pandas().shape == (3, len(ObjectRow._fields))


def test_a_result_is_shown_in_one_line_and_as_a_table_in_notebooks(result):
    assert repr(result) == "VideoResult('ride', 3 frames of 20x10, 2 tracks: 2 dog 0.90, 1 cat, big 0.50)"
    assert len(repr(result.tracks[0])) < 100
    html = result._repr_html_()
    assert html.count("<tr>") == 3
    assert "cat, big" in html
