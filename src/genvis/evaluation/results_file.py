"""Results in the format of the YouTube-VIS and OVIS servers: read, checked and sorted by video."""

import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.errors import InputError
from genvis.masks import MaskError, read_mask

KEYS = ("video_id", "category_id", "score", "segmentations")

# The 64 characters of compressed run lengths; those after the 32nd say that their number goes on.
_FIRST_CODE, _LAST_CODE, _CONTINUED = 48, 111, chr(80)


@dataclass(frozen=True, slots=True)
class Detection:
    """One object that a model says it found in a video.

    Attributes:
        index: Position in the list of results, from 0.
        label: Contiguous class from 0, as in the annotations' categories.
        score: Confidence; only the order of the scores matters.
        counts: Compressed run lengths, one per frame; None where the object is absent.
    """

    index: int
    label: int
    score: float
    counts: tuple[str | None, ...]


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
            `segmentations`: per frame None or a mask as run lengths, `counts` compressed (text or bytes) or a list.
        annotations: What the results will be compared with.
        name: What messages call results that are no file.

    Raises:
        InputError: If the file cannot be read, or an entry does not fit the annotations.
    """
    if isinstance(results, str | Path):
        name, entries = str(results), read_entries(Path(results))
    else:
        entries = list(results)
    reader = _Reader(name, annotations)
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


class _Reader:
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
        if isinstance(score, bool) or not isinstance(score, Real) or not math.isfinite(score):
            raise InputError(f"{where} has the score {score!r}: give a finite number.")
        if not isinstance(masks, list | tuple) or len(masks) != length:
            found = f"{len(masks)} segmentations" if isinstance(masks, list | tuple) else "no list of segmentations"
            raise InputError(
                f"{where} has {found}, but video {entry['video_id']} has {length} frames: "
                "give one mask per frame, null where the object is absent."
            )
        return video, Detection(index, label, float(score), self._counts(where, video, masks))

    def _known(self, where: str, key: str, value: Any, known: Mapping[int, int]) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) not in known:
            numbers = sorted(known)
            listed = ", ".join(map(str, numbers[:5])) + (f", ..., {numbers[-1]}" if len(numbers) > 5 else "")
            raise InputError(
                f"{where} has {key} {value!r}, but '{self._annotations.path}' knows only {listed}: "
                "give the annotations that these results are for."
            )
        return known[int(value)]

    def _counts(self, where: str, video: int, masks: Sequence[Any]) -> tuple[str | None, ...]:
        """Return one compressed run length per frame; nearly all masks are in that form already and only looked at."""
        height, width = self._annotations.sizes[video].tolist()
        counts = _compressed(masks, [height, width])
        if counts is None:
            counts = [self._converted(where, video, frame, mask) for frame, mask in enumerate(masks)]
        if not _intact(counts):
            damaged = next(frame for frame, text in enumerate(counts) if not _intact([text]))
            raise self._mask_error(where, video, damaged, "its run lengths are damaged")
        return tuple(counts)

    def _converted(self, where: str, video: int, frame: int, mask: Any) -> str | None:
        """Return a mask of any form as compressed run lengths."""
        height, width = self._annotations.sizes[video].tolist()
        alone = _compressed([mask], [height, width])
        if alone is not None:
            return alone[0]
        try:
            converted = read_mask(mask, height=height, width=width)
        except MaskError as error:
            raise self._mask_error(where, video, frame, str(error)) from None
        return converted.counts.decode("ascii") if converted else None

    def _mask_error(self, where: str, video: int, frame: int, problem: str) -> InputError:
        number = self._annotations.video_ids[video]
        return InputError(f"{where} has a wrong mask in frame {frame} of video {number}: {problem}; write it again.")


def _compressed(masks: Sequence[Any], size: list[int]) -> list[str | None] | None:
    """Return the run lengths if all masks are absent, or compressed and of this size; else None."""
    try:
        sizes = [mask["size"] for mask in masks if mask is not None]
        counts = [None if mask is None else mask["counts"] for mask in masks]
    except (TypeError, KeyError, IndexError):
        return None
    types = set(map(type, counts))
    if sizes.count(size) < len(sizes) or not types <= {str, bytes, type(None)}:
        return None
    return (
        [text.decode("latin-1") if isinstance(text, bytes) else text for text in counts] if bytes in types else counts
    )


def _intact(counts: Iterable[str | None]) -> bool:
    """Return whether run lengths consist of whole numbers; the C library would read anything without a word."""
    texts = [text for text in counts if text]
    block = "".join(texts)
    if not block:
        return True
    codes = np.frombuffer(block.encode("ascii", "ignore"), np.uint8)
    known = block.isascii() and codes.min() >= _FIRST_CODE and codes.max() <= _LAST_CODE
    return bool(known) and max([text[-1] for text in texts]) < _CONTINUED
