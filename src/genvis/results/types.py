"""Typed results: the instances of one frame, the tracks of a video."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from genvis.errors import InputError
from genvis.json_values import shown
from genvis.masks import MaskError, RLEMask, check_frame_size, mask_areas

if TYPE_CHECKING:
    import pandas
    import supervision
    from rich.table import Table

    from genvis.results.output_folder import SavedFiles
    from genvis.results.output_names import OutputName
    from genvis.video import Source
    from genvis.video.sources.source import RGBImage

# Label maps hold track ids as int32.
GREATEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object in one frame.

    Attributes:
        id: Track id, from 1; stable within a video or session, and never reused.
        label: Name of the class.
        label_id: Contiguous class from 0, as the model numbers it.
        score: Confidence in [0, 1].
        mask: (H, W) bool, its visible pixels.
    """

    id: int
    label: str
    label_id: int
    score: float
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in pixels, right and bottom exclusive; all 0 if the mask is empty."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if len(rows) == 0:
            return 0, 0, 0, 0
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True, slots=True)
class FrameStamp:
    """Which frame of the source a result is of.

    Attributes:
        index: Place in the source, from 0, before any range or stride.
        time: Seconds since the first frame of the source.
        name: Name for files of this frame.
    """

    index: int
    time: float
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """The instances of one frame; iterating gives them, ``len`` counts them.

    Attributes:
        stamp: Which frame it is.
        height: Rows of the frame.
        width: Columns of the frame.
        instances: The visible objects.
    """

    stamp: FrameStamp
    height: int
    width: int
    instances: tuple[Instance, ...] = ()

    def __post_init__(self) -> None:
        for instance in self.instances:
            if instance.mask.shape != (self.height, self.width):
                raise InputError(
                    f"The mask of object {instance.id} is {instance.mask.shape} in a frame of "
                    f"{(self.height, self.width)}."
                )

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, position: int) -> Instance:
        return self.instances[position]

    def masks(self) -> NDArray[np.bool_]:
        """Return the masks together, (N, H, W) bool."""
        if not self.instances:
            return np.zeros((0, self.height, self.width), np.bool_)
        return np.stack([instance.mask for instance in self.instances])

    def label_map(self) -> NDArray[np.int32]:
        """Return the track id at every pixel, 0 where there is none.

        Where masks overlap, the higher score wins, and the lower id among equal scores.

        Returns:
            (H, W) int32.
        """
        ids = np.zeros((self.height, self.width), np.int32)
        for instance in sorted(self.instances, key=lambda instance: (instance.score, -instance.id)):
            ids[instance.mask] = instance.id
        return ids

    def draw(self, image: "RGBImage") -> "RGBImage":
        """Draw the instances on a copy of the frame.

        Args:
            image: (h, w, 3) uint8 RGB; the frame itself or a scaled copy, for which the masks are scaled too.

        Returns:
            (h, w, 3) uint8 RGB.
        """
        from genvis.video.drawing.instances import draw_instances, scaled_mask

        return draw_instances(
            image,
            masks=[scaled_mask(instance.mask, image.shape[0], image.shape[1]) for instance in self.instances],
            ids=[instance.id for instance in self.instances],
            labels=[instance.label for instance in self.instances],
            scores=[instance.score for instance in self.instances],
        )

    def to_supervision(self) -> "supervision.Detections":
        """Convert to ``supervision.Detections``."""
        from genvis.results.formats.supervision_detections import to_supervision

        return to_supervision(self)


@dataclass(frozen=True, slots=True, repr=False)
class Track:
    """One object through a video.

    Attributes:
        id: Track id, from 1.
        label: Name of the class.
        label_id: Contiguous class from 0, as the model numbers it.
        category_id: The data set's own id of the class.
        score: Confidence in [0, 1].
        masks: For each frame of the result the mask as RLE, or None where the object is not visible.
        mask_size: Rows and columns of the masks; None without any mask.

    Raises:
        InputError: If the masks have several sizes.
    """

    id: int
    label: str
    label_id: int
    category_id: int
    score: float
    masks: tuple[RLEMask | None, ...]
    # Looked up once: a correction makes new results of the same tracks, whose masks can be tens of thousands.
    mask_size: tuple[int, int] | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        sizes = {(mask.height, mask.width) for mask in self.masks if mask is not None}
        if len(sizes) > 1:
            raise InputError(f"Track {self.id} has masks of several sizes (height, width): {sorted(sizes)}.")
        object.__setattr__(self, "mask_size", next(iter(sizes), None))

    def __repr__(self) -> str:
        """Return the track in one line, without its masks."""
        seen = sum(mask is not None for mask in self.masks)
        return f"Track(id={self.id}, label={self.label!r}, score={self.score:.4f}, {seen} of {len(self.masks)} frames)"

    @property
    def areas(self) -> NDArray[np.int64]:
        """(T,) visible pixels per frame."""
        areas = np.zeros(len(self.masks), np.int64)
        present, encoded = self._present()
        if encoded:
            areas[present] = mask_areas(encoded)
        return areas

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(T,) whether the object has a pixel in the frame."""
        return self.areas > 0

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(T, 4) left, top, right, bottom in pixels, right and bottom exclusive; all 0 where it is not visible."""
        boxes = np.zeros((len(self.masks), 4))
        present, encoded = self._present()
        if encoded:
            boxes[present] = coco_mask.toBbox(encoded)
            boxes[:, 2:] += boxes[:, :2]
        boxes[~self.visible] = 0
        return boxes

    @property
    def frames_seen(self) -> int:
        """In how many frames it has a pixel."""
        return int(self.visible.sum())

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last position, in the frames of the result, at which it is visible; None if it never is."""
        positions = np.flatnonzero(self.visible)
        return (int(positions[0]), int(positions[-1])) if len(positions) else None

    def instance(self, position: int) -> Instance | None:
        """Return the object in one frame of the result, with a dense mask; None if it is not visible."""
        mask = self.masks[position]
        if mask is None or mask.area == 0:
            return None
        return Instance(id=self.id, label=self.label, label_id=self.label_id, score=self.score, mask=mask.decode())

    def _present(self) -> tuple[list[int], list[dict[str, Any]]]:
        present = [position for position, mask in enumerate(self.masks) if mask is not None]
        encoded = [
            {"size": [mask.height, mask.width], "counts": mask.counts} for mask in self.masks if mask is not None
        ]
        return present, encoded


@dataclass(frozen=True, slots=True, repr=False)
class VideoResult:
    """The objects of a whole video. Masks are held as RLE and decoded where they are asked for.

    Positions count the frames of the result from 0; ``frames[position]`` says which frame of the source that is.

    Attributes:
        name: Name of the video.
        height: Rows of its frames.
        width: Columns of its frames.
        frames: The T frames that were segmented.
        tracks: The objects, best score first.
        categories_name: Name of the categories that ``category_id`` belongs to; empty if it has none.
        problem: What the source could not deliver; None if all is well.

    Raises:
        InputError: If tracks, frames and sizes do not fit together.
    """

    name: str
    height: int
    width: int
    frames: tuple[FrameStamp, ...]
    tracks: tuple[Track, ...]
    categories_name: str = ""
    problem: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracks", tuple(sorted(self.tracks, key=lambda track: (-track.score, track.id))))
        ids = [track.id for track in self.tracks]
        if len(set(ids)) != len(ids) or not all(1 <= number <= GREATEST_ID for number in ids):
            raise InputError(f"Tracks of '{self.name}' need different ids from 1, not {shown(sorted(ids))}.")
        try:
            check_frame_size(self.height, self.width)
        except MaskError as error:
            raise InputError(f"Of the frames of '{self.name}', {error}.") from None
        before = -1
        for stamp in self.frames:
            if stamp.index <= before or not isfinite(stamp.time):
                raise InputError(
                    f"Frame {shown(stamp.index)} at {stamp.time} s cannot follow frame {before} of '{self.name}'."
                )
            before = stamp.index
        for track in self.tracks:
            if not isfinite(track.score):
                raise InputError(f"Track {track.id} of '{self.name}' has a score of {track.score}.")
            if len(track.masks) != len(self.frames):
                raise InputError(
                    f"Track {track.id} of '{self.name}' has {len(track.masks)} masks for {len(self.frames)} frames."
                )
            if track.mask_size not in (None, (self.height, self.width)):
                raise InputError(
                    f"Track {track.id} of '{self.name}' has masks of {track.mask_size} in frames of "
                    f"{(self.height, self.width)}."
                )

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        """Return the result in one line: its masks would fill pages."""
        shown = ", ".join(f"{track.id} {track.label} {track.score:.2f}" for track in self.tracks[:5])
        more = f", ... {len(self.tracks) - 5} more" if len(self.tracks) > 5 else ""
        size = f"{len(self.frames)} frames of {self.width}x{self.height}"
        return f"VideoResult({self.name!r}, {size}, {len(self.tracks)} tracks: {shown}{more})"

    def _repr_html_(self) -> str:
        """Return the table of tracks for notebooks."""
        from genvis.results.formats.html_table import html_table

        return html_table(self)

    def track(self, track_id: int) -> Track:
        """Return a track by its id.

        Raises:
            InputError: If there is none.
        """
        for track in self.tracks:
            if track.id == track_id:
                return track
        raise InputError(f"'{self.name}' has no track {track_id}.")

    def frame(self, position: int) -> FrameResult:
        """Return the instances of one frame, with dense masks, best score first."""
        found = (track.instance(position) for track in self.tracks)
        return FrameResult(
            stamp=self.frames[position],
            height=self.height,
            width=self.width,
            instances=tuple(instance for instance in found if instance is not None),
        )

    def __iter__(self) -> Iterator[FrameResult]:
        """Deliver the frames one after the other, each decoded when it is its turn."""
        return (self.frame(position) for position in range(len(self.frames)))

    def label_map(self, position: int) -> NDArray[np.int32]:
        """Return the track id at every pixel of one frame, (H, W) int32: see :meth:`FrameResult.label_map`."""
        return self.frame(position).label_map()

    def to_supervision(self, position: int) -> "supervision.Detections":
        """Convert one frame to ``supervision.Detections``."""
        return self.frame(position).to_supervision()

    def to_youtube_vis(self, video_id: int) -> list[dict[str, Any]]:
        """Return this video's entries of a YouTube-VIS results file."""
        from genvis.results.formats.youtube_vis_results import youtube_vis_entries

        return youtube_vis_entries(self, video_id)

    def to_mots(self) -> str:
        """Return the text of a MOTS result file."""
        from genvis.results.formats.mots_results import mots_text

        return mots_text(self)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return one row per object and frame: see `genvis.results.formats.object_table`."""
        from genvis.results.formats.object_table import to_pandas

        return to_pandas(self)

    def table(self) -> "Table":
        """Return a table for the terminal, one row per track; print it with ``rich``."""
        from genvis.results.formats.terminal_table import track_table

        return track_table(self)

    def save(
        self,
        folder: str | Path,
        *,
        source: "Source | None" = None,
        outputs: "Sequence[OutputName] | None" = None,
        video_id: int = 1,
    ) -> "SavedFiles":
        """Write the result into a folder: see :func:`genvis.results.output_folder.save_result`."""
        from genvis.results.output_folder import save_result

        return save_result(self, folder, source=source, outputs=outputs, video_id=video_id)

    def to_json(self) -> dict[str, Any]:
        """Return everything as a dictionary ready for JSON; :meth:`from_json` gives back an equal result."""
        from genvis.results.formats.genvis_json import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "VideoResult":
        """Read what :meth:`to_json` returned.

        Raises:
            InputError: If it is something else.
        """
        from genvis.results.formats.genvis_json import from_json

        return from_json(document)

    @classmethod
    def load(cls, path: str | Path) -> "VideoResult":
        """Read a result that was saved.

        Args:
            path: The folder, or the JSON file in it.

        Raises:
            InputError: If there is none, or the file is damaged.
        """
        from genvis.results.formats.genvis_json import load

        return load(path)
