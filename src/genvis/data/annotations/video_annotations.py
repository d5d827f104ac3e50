"""Annotations of a data set of videos, held compactly: arrays, and all masks as compressed RLE."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.categories import Categories
from genvis.data.samples.packed import PackedBytes
from genvis.errors import InputError
from genvis.masks import RLEMask


class Video(NamedTuple):
    """One video, or an image as a video of one frame.

    Attributes:
        id: The file's own id.
        height: Of its frames, in pixels.
        width: Of its frames, in pixels.
        file_names: One per frame, relative to the folder of the images.
    """

    id: int
    height: int
    width: int
    file_names: tuple[str, ...]


class AnnotatedTrack(NamedTuple):
    """One object of a video.

    Attributes:
        id: The file's own id.
        label: Contiguous class from 0: the position in the annotations' categories.
        crowd: Whether it is a crowd rather than one object.
    """

    id: int
    label: int
    crowd: bool


@dataclass(frozen=True)
class VideoAnnotations:
    """Videos and the masks of their objects; V videos, F frames, M tracks and R masks, absent ones included.

    Read by :func:`genvis.data.annotations.youtube_vis.load_youtube_vis`, or from single images by
    :func:`genvis.data.annotations.coco.load_coco`.

    Attributes:
        path: The file it was read from, for messages.
        categories: The categories; class k is ``categories.names[k]``.
        video_ids: (V,) int64, in the order of the file.
        sizes: (V, 2) int64, height and width.
        file_names: F strings in UTF-8.
        frame_starts: (V + 1,) int64, where each video's file names begin.
        track_ids: (M,) int64, ordered by video.
        track_labels: (M,) int64, contiguous classes from 0.
        track_crowds: (M,) bool.
        track_starts: (V + 1,) int64, where each video's tracks begin.
        mask_starts: (M,) int64, where each track's masks begin; there is one per frame of its video.
        rle_counts: Counts of R compressed RLEs; empty where the object is absent.
        occlusion: (R,) int8, index into `occlusion_levels`, -1 where the file says nothing.
        occlusion_levels: The names of the levels, in the order of OVIS: none, slight, severe; others follow.
    """

    path: Path
    categories: Categories
    video_ids: NDArray[np.int64]
    sizes: NDArray[np.int64]
    file_names: PackedBytes
    frame_starts: NDArray[np.int64]
    track_ids: NDArray[np.int64]
    track_labels: NDArray[np.int64]
    track_crowds: NDArray[np.bool_]
    track_starts: NDArray[np.int64]
    mask_starts: NDArray[np.int64]
    rle_counts: PackedBytes
    occlusion: NDArray[np.int8]
    occlusion_levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.video_ids)

    def require_objects(self) -> None:
        """Refuse annotations that are crowds only: some tools mark every mask so.

        Raises:
            InputError: If there are annotations, and all are crowds.
        """
        if len(self.track_crowds) and self.track_crowds.all():
            raise InputError(
                f"All {len(self.track_crowds):,} annotations of '{self.path}' are marked as crowds (iscrowd 1), which "
                "are neither trained on nor scored: set iscrowd to 0 where they are objects, or convert the file again "
                "with `genvis data convert from-coco`, which does."
            )

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        arrays = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        packed = [array for value in (self.file_names, self.rle_counts) for array in (value.data, value.starts)]
        return sum(array.nbytes for array in arrays + packed)

    def video(self, index: int) -> Video:
        """Return what is known of a video; `index` is its position, not its id."""
        first, last = self.frame_starts[index : index + 2]
        height, width = self.sizes[index].tolist()
        names = tuple(self.file_names[frame].decode() for frame in range(int(first), int(last)))
        return Video(int(self.video_ids[index]), height, width, names)

    def length(self, index: int) -> int:
        """Return the number of frames of a video."""
        return int(self.frame_starts[index + 1] - self.frame_starts[index])

    def tracks(self, index: int) -> tuple[AnnotatedTrack, ...]:
        """Return the N tracks of a video, crowds included, in the order of the file."""
        return tuple(
            AnnotatedTrack(int(self.track_ids[track]), int(self.track_labels[track]), bool(self.track_crowds[track]))
            for track in self._tracks(index)
        )

    def masks(
        self, index: int, frames: Sequence[int] | None = None, *, tracks: Sequence[int] | None = None
    ) -> NDArray[np.bool_]:
        """Return the masks of a video.

        Args:
            index: Position of the video.
            frames: T frame indices in any order, with repeats if wanted. Without them, all frames.
            tracks: Positions in :meth:`tracks`. Without them, all.

        Returns:
            (N, T, H, W) bool; all False where an object is absent.

        Raises:
            InputError: If the video has no such frame.
        """
        wanted = self._cells(index, frames, tracks)
        height, width = self.sizes[index].tolist()
        result = np.zeros((*wanted.shape, height, width), np.bool_)
        for place, cell in np.ndenumerate(wanted):
            counts = self.rle_counts[int(cell)]
            if counts:
                RLEMask(height, width, counts).decode(out=result[place])
        return result

    def mask(self, index: int, track: int, frame: int) -> RLEMask | None:
        """Return one mask of a video, or None where the object is absent."""
        counts = self.rle_counts[int(self._cells(index, [frame], [track])[0, 0])]
        height, width = self.sizes[index].tolist()
        return RLEMask(height, width, counts) if counts else None

    def present(self, index: int) -> NDArray[np.bool_]:
        """Return (N, T) bool: in which frames of a video each object has a mask."""
        cells = self._cells(index, None, None)
        return self.rle_counts.starts[cells + 1] > self.rle_counts.starts[cells]

    def occlusion_of(self, index: int) -> NDArray[np.int8]:
        """Return (N, T) int8, how occluded each object of a video is: an index into `occlusion_levels`, or -1."""
        return self.occlusion[self._cells(index, None, None)]

    def _tracks(self, index: int) -> range:
        return range(int(self.track_starts[index]), int(self.track_starts[index + 1]))

    def _cells(self, index: int, frames: Sequence[int] | None, tracks: Sequence[int] | None) -> NDArray[np.int64]:
        length = self.length(index)
        chosen = np.arange(length) if frames is None else np.asarray(frames, np.int64)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= length):
            raise InputError(
                f"Video {self.video_ids[index]} of '{self.path}' has {length} frames: "
                f"choose indices from 0 to {length - 1}, not {chosen.tolist()}."
            )
        starts = self.mask_starts[self.track_starts[index] : self.track_starts[index + 1]]
        if tracks is not None:
            starts = starts[np.asarray(tracks, np.int64)]
        return starts[:, None] + chosen[None, :]
