"""Table for analysts as CSV: one row for each object and frame in which it is visible."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genvis.data.convert.tracks import ConvertedDataset
from genvis.files import atomic_file, make_folder

COLUMNS = (
    *("video", "frame", "time", "track_id", "category", "score"),
    *("left", "top", "width", "height", "area", "x", "y"),
)
"""Frame: number in the source video. Time: seconds. Box, area and centroid (x, y): pixels."""


def write_csv(dataset: ConvertedDataset, path: Path) -> tuple[str, ...]:
    """Write one row for each object and frame, by video, track and frame.

    Time and score are empty where they are not known. The centroid is the mean of the centres of the visible pixels,
    which lie half a pixel from their edges.

    Args:
        dataset: The videos.
        path: The CSV file to write; it appears when it is complete.

    Returns:
        Sentences about what could not be kept: none.
    """
    make_folder(path.parent)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(dataset))
    return ()


def _rows(dataset: ConvertedDataset) -> Iterator[list[object]]:
    names = {category.id: category.name for category in dataset.categories}
    for video in dataset.videos:
        for track in video.tracks:
            score = "" if track.score is None else round(track.score, 4)
            for position, mask in sorted(track.masks.items()):
                left, top, width, height = mask.box
                rows, columns = np.nonzero(mask.decode()[top : top + height, left : left + width])
                time = round(video.times[position], 6) if video.times else ""
                centroid = [round(left + float(columns.mean()) + 0.5, 2), round(top + float(rows.mean()) + 0.5, 2)]
                head = [video.name, video.numbers[position], time, track.id, names[track.category_id], score]
                yield [*head, left, top, width, height, len(rows), *centroid]
