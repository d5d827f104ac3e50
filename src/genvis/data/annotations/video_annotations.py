"""The annotations of a data set of videos, held compactly: arrays, and all masks as compressed run lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.categories import Categories
from genvis.data.annotations.segmentation import RunLengths
from genvis.data.samples.packed import PackedBytes
from genvis.errors import InputError


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


class Track(NamedTuple):
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

    Make it with :meth:`load`, or from single images with :func:`genvis.data.annotations.coco.load_coco`.

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
        run_lengths: R compressed run lengths; empty where the object is absent.
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
    run_lengths: PackedBytes
    occlusion: NDArray[np.int8]
    occlusion_levels: tuple[str, ...]

    @classmethod
    def load(cls, path: str | Path, categories: Categories | None = None) -> "VideoAnnotations":
        """Read an annotation file of YouTube-VIS 2019, 2021 or 2022, of OVIS, or in the same format.

        Args:
            path: The JSON file.
            categories: The classes of the model. Without it, the file's own categories in the order of their ids.

        Raises:
            InputError: If the file cannot be read or contradicts itself; the text names the record.
        """
        from genvis.data.annotations.youtube_vis import load_youtube_vis

        return load_youtube_vis(path, categories)

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def nbytes(self) -> int:
        """How many bytes the arrays take."""
        arrays = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        packed = [array for value in (self.file_names, self.run_lengths) for array in (value.data, value.starts)]
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

    def tracks(self, index: int) -> tuple[Track, ...]:
        """Return the N tracks of a video, crowds included, in the order of the file."""
        return tuple(
            Track(int(self.track_ids[track]), int(self.track_labels[track]), bool(self.track_crowds[track]))
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
        from pycocotools import mask as coco_mask

        wanted = self._cells(index, frames, tracks)
        height, width = self.sizes[index].tolist()
        result = np.zeros((*wanted.shape, height, width), np.bool_)
        for place, cell in np.ndenumerate(wanted):
            counts = self.run_lengths[int(cell)]
            if counts:
                run_lengths: RunLengths = {"size": [height, width], "counts": counts}
                left, top, columns, rows = (int(value) for value in coco_mask.toBbox(run_lengths))
                box = slice(top, top + rows), slice(left, left + columns)
                # Only the box is worth the way from column order to row order.
                result[place][box] = coco_mask.decode(run_lengths)[box]
        return result

    def run_lengths_of(self, index: int, track: int, frame: int) -> RunLengths | None:
        """Return one mask as compressed run lengths, or None where the object is absent."""
        counts = self.run_lengths[int(self._cells(index, [frame], [track])[0, 0])]
        return {"size": self.sizes[index].tolist(), "counts": counts} if counts else None

    def present(self, index: int) -> NDArray[np.bool_]:
        """Return (N, T) bool: in which frames of a video each object has a mask."""
        cells = self._cells(index, None, None)
        return self.run_lengths.starts[cells + 1] > self.run_lengths.starts[cells]

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
