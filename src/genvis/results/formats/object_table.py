"""Results and annotations as a table for analysts: one row per object and frame, as CSV, Parquet or pandas."""

import csv
import math
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genvis.data.convert.tracks import ConvertedDataset
from genvis.errors import MissingExtraError
from genvis.files import atomic_file
from genvis.masks import RLEMask
from genvis.results.types import VideoResult

if TYPE_CHECKING:
    import pandas


class ObjectRow(NamedTuple):
    """One object in one frame.

    Attributes:
        video: Name of the video.
        frame: Place of the frame in the source, from 0.
        time: Seconds since the first frame of the source; NaN for annotations.
        track_id: From 1.
        label: Name of the class.
        category_id: The data set's id of the class.
        score: Of the track, in [0, 1]; NaN for annotations.
        left: First column of the box.
        top: First row of the box.
        right: One past the last column.
        bottom: One past the last row.
        area: Visible pixels.
        centroid_x: Mean column of the visible pixels, their centres at +0.5.
        centroid_y: Mean row, likewise.
    """

    video: str
    frame: int
    time: float
    track_id: int
    label: str
    category_id: int
    score: float
    left: int
    top: int
    right: int
    bottom: int
    area: int
    centroid_x: float
    centroid_y: float


def object_rows(result: VideoResult) -> Iterator[ObjectRow]:
    """Deliver the rows of a result, frame after frame, the best score first in a frame."""
    for position, stamp in enumerate(result.frames):
        for track in result.tracks:
            mask = track.masks[position]
            if mask is None or mask.area == 0:
                continue
            what = (result.name, stamp.index, stamp.time, track.id, track.label, track.category_id, track.score)
            yield ObjectRow(*what, *_measures(mask))


def annotation_rows(dataset: ConvertedDataset) -> Iterator[ObjectRow]:
    """Deliver the rows of annotated videos, video after video, track after track; times and scores are NaN."""
    names = {category.id: category.name for category in dataset.categories}
    for video in dataset.videos:
        for track in video.tracks:
            label = names[track.category_id]
            for position, mask in sorted(track.masks.items()):
                what = (video.name, video.numbers[position], math.nan, track.id, label, track.category_id, math.nan)
                yield ObjectRow(*what, *_measures(mask))


def write_csv(result: VideoResult, path: Path) -> None:
    """Write the table of a result as CSV (UTF-8, comma, header); it appears whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_rows(object_rows(result), path)


def write_rows(rows: Iterable[ObjectRow], path: Path) -> None:
    """Write rows as CSV, as :func:`write_csv` does."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(ObjectRow._fields)
        writer.writerows(rows)


def to_pandas(result: VideoResult) -> "pandas.DataFrame":
    """Return the table as a pandas ``DataFrame``.

    Raises:
        MissingExtraError: If pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingExtraError("pandas", "table") from None
    return pandas.DataFrame(object_rows(result), columns=list(ObjectRow._fields))


def write_parquet(result: VideoResult, path: Path) -> None:
    """Write the table as Parquet; it appears whole or not at all.

    Raises:
        MissingExtraError: If pandas or pyarrow is not installed.
        OutputError: If the file cannot be written.
    """
    table = to_pandas(result)
    if find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "table")
    with atomic_file(path) as partial:
        table.to_parquet(partial, engine="pyarrow", index=False)


def _measures(mask: RLEMask) -> tuple[int, int, int, int, int, float, float]:
    """Return left, top, right, bottom, area and centroid of a mask that has pixels."""
    left, top, width, height = mask.box
    rows, columns = np.nonzero(mask.decode()[top : top + height, left : left + width])
    centroid = left + float(columns.mean()) + 0.5, top + float(rows.mean()) + 0.5
    return left, top, left + width, top + height, len(rows), *centroid
