"""Results in the format of the YouTube-VIS and OVIS servers: read, checked and sorted by video."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.errors import InputError
from genvis.json_values import finite_number, shown, whole_number
from genvis.masks import MaskError, read_masks

KEYS = ("video_id", "category_id", "score", "segmentations")


@dataclass(frozen=True, slots=True)
class Detection:
    """One detected object of a video.

    Attributes:
        index: Position in the list of results, from 0.
        label: Contiguous class from 0, as in the annotations' categories.
        score: Confidence; only the order of the scores matters.
        counts: Compressed RLE, one per frame; None where the object is absent.
    """

    index: int
    label: int
    score: float
    counts: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """The results for all videos of a data set.

    Attributes:
        name: The file they came from, or "results" if they came from memory.
        detections: For each video of the annotations, in their order, its detections in the order of the results.
    """

    name: str
    detections: tuple[tuple[Detection, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.detections))


def load_results(
    results: str | Path | Sequence[Mapping[str, Any]], annotations: VideoAnnotations, *, name: str = "results"
) -> Results:
    """Read results and check them against the annotations.

    Args:
        results: A JSON file, or what it holds: a list of dictionaries with `video_id`, `category_id`, `score` and
            `segmentations`: per frame None or a mask as RLE, `counts` compressed (text or bytes) or a list.
        annotations: Of the same videos.
        name: Of results that are no file, for messages.

    Raises:
        InputError: If the file cannot be read, or an entry does not fit the annotations.
    """
    if isinstance(results, str | Path):
        name, entries = str(results), read_entries(Path(results))
    else:
        entries = list(results)
    reader = _EntryReader(name, annotations)
    detections: list[list[Detection]] = [[] for _ in range(len(annotations))]
    for index, entry in enumerate(entries):
        video, detection = reader.read(index, entry)
        detections[video].append(detection)
    return Results(name, tuple(map(tuple, detections)))


def read_entries(path: Path) -> list[Any]:
    """Return the list that a results file holds.

    Raises:
        InputError: If the file cannot be read, is not JSON, or does not hold a list.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"The results '{path}' cannot be read (it is no file): check the path.")
        if zipfile.is_zipfile(path):
            raise InputError(f"'{path}' is a zip archive: unpack it and give the results.json inside.")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"The results '{path}' cannot be read ({error.strerror}): check the path.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The results '{path}' are not valid JSON ({error}): write the file again.") from None
    if isinstance(document, dict) and "annotations" in document:
        raise InputError(f"'{path}' holds annotations, not results: give results first, annotations as --annotations.")
    if not isinstance(document, list):
        raise InputError(f"'{path}' holds no list: results are a list of dictionaries with {', '.join(KEYS)}.")
    return document


class _EntryReader:
    """Turns entries of a results file into detections."""

    def __init__(self, name: str, annotations: VideoAnnotations) -> None:
        self._name = name
        self._annotations = annotations
        self._videos = {int(number): position for position, number in enumerate(annotations.video_ids)}
        self._labels = {number: label for label, number in enumerate(annotations.categories.ids)}

    def read(self, index: int, entry: Any) -> tuple[int, Detection]:
        """Return the position of the entry's video and its detection."""
        where = f"Entry {index} of '{self._name}'"
        missing = [key for key in KEYS if not isinstance(entry, Mapping) or key not in entry]
        if missing:
            raise InputError(f"{where} has no '{missing[0]}': an entry is a dictionary with {', '.join(KEYS)}.")
        video = self._known(where, "video_id", entry["video_id"], self._videos)
        label = self._known(where, "category_id", entry["category_id"], self._labels)
        score, masks, length = entry["score"], entry["segmentations"], self._annotations.length(video)
        number = finite_number(score)
        if number is None:
            raise InputError(f"{where} has the score {shown(score)}: give a finite number.")
        if not isinstance(masks, list | tuple) or len(masks) != length:
            found = f"{len(masks)} segmentations" if isinstance(masks, list | tuple) else "no list of segmentations"
            raise InputError(
                f"{where} has {found}, but video {shown(entry['video_id'])} has {length} frames: "
                "give one mask per frame, null where the object is absent."
            )
        return video, Detection(index, label, number, self._counts(where, video, masks))

    def _known(self, where: str, key: str, value: Any, known: Mapping[int, int]) -> int:
        number = whole_number(value)
        if number is None or number not in known:
            numbers = sorted(known)
            listed = ", ".join(map(str, numbers[:5])) + (f", ..., {numbers[-1]}" if len(numbers) > 5 else "")
            raise InputError(
                f"{where} has {key} {shown(value)}, but '{self._annotations.path}' knows only {listed}: "
                "give the annotations that these results are for."
            )
        return known[number]

    def _counts(self, where: str, video: int, masks: Sequence[Any]) -> tuple[bytes | None, ...]:
        """Return the compressed RLE of each frame."""
        height, width = self._annotations.sizes[video].tolist()
        try:
            read = read_masks(masks, height=height, width=width)
        except MaskError as error:
            place = f"frame {error.position} of video {self._annotations.video_ids[video]}"
            raise InputError(f"{where} has a wrong mask in {place}: {error}; write it again.") from None
        return tuple([None if mask is None else mask.counts for mask in read])
