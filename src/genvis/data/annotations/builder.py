"""Records of annotation files, checked and put into compact arrays."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genvis.categories import Categories
from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.data.samples.packed import PackedBytesBuilder
from genvis.errors import InputError
from genvis.json_values import is_text, shown, whole_number
from genvis.masks import MaskError, check_frame_size, read_masks

OCCLUSION_LEVELS = ("no_occlusion", "slight_occlusion", "severe_occlusion")
_CHECK = "run `genvis data check` on the file for a complete list"


def _integers() -> "array[int]":
    return array("q")


@dataclass
class AnnotationBuilder:
    """Builder of :class:`VideoAnnotations` from videos, categories and tracks.

    Args:
        path: The file, for messages.
    """

    path: Path
    _positions: dict[int, int] = field(default_factory=dict)
    _sizes: "array[int]" = field(default_factory=_integers)
    _lengths: "array[int]" = field(default_factory=_integers)
    _file_names: PackedBytesBuilder = field(default_factory=PackedBytesBuilder)
    _categories: dict[int, str] = field(default_factory=dict)
    _track_ids: "array[int]" = field(default_factory=_integers)
    _track_videos: "array[int]" = field(default_factory=_integers)
    _track_categories: "array[int]" = field(default_factory=_integers)
    _track_crowds: "array[int]" = field(default_factory=_integers)
    _mask_starts: "array[int]" = field(default_factory=_integers)
    _rle_counts: PackedBytesBuilder = field(default_factory=PackedBytesBuilder)
    _occlusion: "array[int]" = field(default_factory=lambda: array("b"))
    _occlusion_levels: list[str] = field(default_factory=lambda: list(OCCLUSION_LEVELS))

    @property
    def has_videos(self) -> bool:
        """Whether at least one video has been added."""
        return bool(self._positions)

    def add_category(self, record: Any) -> None:
        """Add an element of "categories"."""
        number, name = self._integer(record, "id", "A category"), record.get("name")
        if not is_text(name):
            raise self.error(f"Category {number}", "has no 'name'")
        if number in self._categories:
            raise self.error(f"Category id {number}", "occurs twice")
        self._categories[number] = name

    def add_video(self, record: Any, file_names: Any, kind: str = "Video") -> None:
        """Add an element of "videos" or "images" with the names of its frames' files."""
        number = self._integer(record, "id", f"A {kind.lower()}")
        who = f"{kind} {number}"
        if number in self._positions:
            raise self.error(f"{kind} id {number}", "occurs twice")
        if not (isinstance(file_names, list) and file_names and all(map(is_text, file_names))):
            raise self.error(who, "has no list of file names")
        sides = [self._integer(record, side, who) for side in ("height", "width")]
        try:
            check_frame_size(*sides)
        except MaskError as error:
            raise self.error(who, f"is wrong: {error}") from None
        self._positions[number] = len(self._lengths)
        self._sizes.extend(sides)
        self._lengths.append(len(file_names))
        for name in file_names:
            self._file_names.append(name.encode())

    def add_track(
        self,
        record: Any,
        *,
        video_key: str,
        segmentations: Any,
        occlusion: Any = None,
        mapping: Mapping[int, int] | None = None,
    ) -> None:
        """Add an element of "annotations".

        Args:
            record: The element, with "category_id" and, if it has them, "id" and "iscrowd".
            video_key: The key of its video's id.
            segmentations: One mask per frame in any form of COCO's, None where the object is absent.
            occlusion: The name of a level per frame, None where there is none, or None altogether.
            mapping: From the file's category ids to others; categories without one are left out.
        """
        position = len(self._track_ids) + 1
        number = self._integer(record, "id", "An annotation") if "id" in _mapping(record) else position
        who = f"Annotation {number}"
        category = self._integer(record, "category_id", who)
        if mapping is not None and category not in mapping:
            return
        video = self._positions.get(self._integer(record, video_key, who))
        if video is None:
            raise self.error(who, f"belongs to {video_key} {record[video_key]}, which is not in the file")
        length = self._lengths[video]
        if not isinstance(segmentations, list) or len(segmentations) != length:
            raise self.error(who, f"needs a list of {length} masks, one per frame of {video_key} {record[video_key]}")
        self._track_ids.append(number)
        self._track_videos.append(video)
        self._track_categories.append(category if mapping is None else mapping[category])
        self._track_crowds.append(bool(record.get("iscrowd", 0)))
        self._mask_starts.append(len(self._rle_counts))
        height, width = self._sizes[2 * video : 2 * video + 2]
        try:
            masks = read_masks(segmentations, height=height, width=width)
        except MaskError as error:
            where = f"The mask of annotation {number} in frame {error.position}"
            raise self.error(where, f"is wrong: {error}") from None
        for mask in masks:
            self._rle_counts.append(mask.counts if mask else b"")
        self._add_occlusion(occlusion, length)

    def _add_occlusion(self, levels: Any, length: int) -> None:
        usable = isinstance(levels, list) and len(levels) == length
        for level in levels if usable else [None] * length:
            name = None if level is None else str(level)
            if name is not None and name not in self._occlusion_levels and len(self._occlusion_levels) < 127:
                self._occlusion_levels.append(name)
            self._occlusion.append(self._occlusion_levels.index(name) if name in self._occlusion_levels else -1)

    def build(self, categories: Categories | None = None, *, mapped_from: Categories | None = None) -> VideoAnnotations:
        """Return the annotations; the builder is finished with this.

        Args:
            categories: The classes of the model. Without it, the file's own categories.
            mapped_from: The categories of the file, if the tracks have been mapped from it to `categories`.

        Raises:
            InputError: If the categories do not fit together.
        """
        if not self.has_videos:
            raise InputError(f"'{self.path}' has no videos or images: check that it is the right kind of file.")
        classes = self.categories(mapped_from or categories)
        if mapped_from is not None and categories is not None:
            classes = categories
        category_ids = np.frombuffer(self._track_categories, np.int64)
        ids = np.array(classes.ids, np.int64)
        unknown = np.flatnonzero(~np.isin(category_ids, ids))
        if unknown.size:
            first = int(unknown[0])
            raise self.error(
                f"Annotation {self._track_ids[first]}",
                f"has category_id {category_ids[first]}, which is not among the categories of {classes.name}",
            )
        videos = np.frombuffer(self._track_videos, np.int64)
        order = np.argsort(videos, kind="stable")
        counts = np.bincount(videos, minlength=len(self._lengths))
        return VideoAnnotations(
            path=self.path,
            categories=classes,
            video_ids=np.fromiter(self._positions, np.int64, len(self._positions)),
            sizes=np.frombuffer(self._sizes, np.int64).reshape(-1, 2),
            file_names=self._file_names.build(),
            frame_starts=_starts(np.frombuffer(self._lengths, np.int64)),
            track_ids=np.frombuffer(self._track_ids, np.int64)[order],
            track_labels=np.searchsorted(ids, category_ids)[order],
            track_crowds=np.frombuffer(self._track_crowds, np.int64)[order].astype(np.bool_),
            track_starts=_starts(counts),
            mask_starts=np.frombuffer(self._mask_starts, np.int64)[order],
            rle_counts=self._rle_counts.build(),
            occlusion=np.frombuffer(self._occlusion, np.int8),
            occlusion_levels=tuple(self._occlusion_levels),
        )

    def categories(self, wanted: Categories | None = None) -> Categories:
        """Return the file's own categories in the order of their ids, or `wanted` if they are among its classes.

        Raises:
            InputError: If there are none, or they are others.
        """
        if wanted is None:
            if not self._categories:
                raise InputError(f"'{self.path}' has no categories: add them, or name known ones.")
            numbers = sorted(self._categories)
            return Categories(self.path.stem, tuple(numbers), tuple(self._categories[number] for number in numbers))
        names = dict(zip(wanted.ids, wanted.names, strict=True))
        for number, name in self._categories.items():
            if number not in names or _plain(names[number]) != _plain(name):
                known = f"'{names[number]}'" if number in names else "nothing"
                raise InputError(
                    f"Category {number} of '{self.path}' is '{name}', but {known} in {wanted.name}: "
                    "choose the categories of this file, or none to take the file's own."
                )
        return wanted

    def _integer(self, record: Any, key: str, who: str) -> int:
        value = _mapping(record).get(key)
        number = whole_number(value)
        if number is None:
            raise self.error(who, f"needs a whole number as '{key}', not {shown(value)}")
        return number

    def error(self, who: str, problem: str) -> InputError:
        """Return an error in one sentence: who, in which file, what is wrong, and what to do."""
        return InputError(f"{who} of '{self.path}' {problem}: fix the file; {_CHECK}.")


def _mapping(record: Any) -> Mapping[str, Any]:
    return record if isinstance(record, dict) else {}


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").strip()


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
