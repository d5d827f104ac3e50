"""Frames and masks of annotated videos, read from disk when asked for."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from genvis.data.annotations.video_annotations import Video, VideoAnnotations
from genvis.data.samples.frames import image_path, read_frame
from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError

_log = logging.getLogger(__name__)


class VideoSource(Protocol):
    """Source of videos for training: files, or anything that generates them."""

    def __len__(self) -> int:
        """Return the number of videos."""
        ...

    def length(self, index: int) -> int:
        """Return the number of frames of a video."""
        ...

    def sample(self, index: int, frames: Sequence[int] | None = None) -> VideoSample:
        """Return the chosen frames of a video, in the given order and with repeats; without choice all of them."""
        ...


class VideoDataset(Dataset[VideoSample]):
    """The videos of an annotation file with their frames; an item is a whole video.

    Crowds are left out: they are not objects that one query could follow. A warning of the log says so where they are
    more than a tenth of what is annotated.

    Args:
        annotations: From ``load_youtube_vis`` or ``load_coco`` (:mod:`genvis.data.annotations`).
        image_root: The folder that the file names are relative to.
        skip_empty: Leave out the videos without objects, as training does.

    Attributes:
        annotations: As given.
        image_root: As given.
        videos: The positions of the videos of this data set in the annotations.

    Raises:
        InputError: If the folder does not exist, if no video is left, or if everything annotated is marked as a crowd.
    """

    def __init__(self, annotations: VideoAnnotations, image_root: str | Path, *, skip_empty: bool = False) -> None:
        self.annotations = annotations
        self.image_root = Path(image_root)
        if not self.image_root.is_dir():
            raise InputError(f"The folder of the images '{image_root}' does not exist: check the path.")
        self._tell_crowds()
        self.videos = np.arange(len(annotations))
        if skip_empty:
            usable = [self._objects(int(index)).size > 0 for index in self.videos]
            self.videos = self.videos[np.array(usable, np.bool_)]
        if not len(self.videos):
            raise InputError(f"'{annotations.path}' has no video with objects: check its annotations and categories.")

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> VideoSample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.sample(index)

    def video(self, index: int) -> Video:
        """Return id, size and file names of a video."""
        return self.annotations.video(int(self.videos[index]))

    def length(self, index: int) -> int:
        """Return the number of frames of a video."""
        return self.annotations.length(int(self.videos[index]))

    def sample(self, index: int, frames: Sequence[int] | None = None) -> VideoSample:
        """Read frames and masks of a video.

        Args:
            index: Position in this data set.
            frames: T frame indices, with repeats if wanted; each file is read once. Without them, all frames.

        Returns:
            The frames and the masks of all objects of the video, whether or not they are visible in these frames.

        Raises:
            InputError: If an image is missing, damaged, of another size, or outside of the folder of the images.
        """
        position = int(self.videos[index])
        video = self.annotations.video(position)
        chosen = np.arange(len(video.file_names)) if frames is None else np.asarray(frames, np.int64)
        unique, back = np.unique(chosen, return_inverse=True)
        objects = self._objects(position)
        masks = self.annotations.masks(position, unique.tolist(), tracks=objects.tolist())
        images = [
            read_frame(
                image_path(self.image_root, video.file_names[frame], named_by=self.annotations.path),
                height=video.height,
                width=video.width,
            )
            for frame in unique.tolist()
        ]
        first = int(self.annotations.track_starts[position])
        # Pixel by pixel in memory, as images come: resizing is three times as fast as plane by plane.
        stacked, visible = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.from_numpy(masks)
        if len(unique) < len(chosen) or not np.array_equal(unique, chosen):
            order = torch.from_numpy(back)
            stacked, visible = stacked[order], visible[:, order]
        return VideoSample(
            frames=stacked,
            masks=visible,
            labels=torch.from_numpy(self.annotations.track_labels[first + objects]),
            video_id=video.id,
            source=self.annotations.path.stem,
        )

    def _tell_crowds(self) -> None:
        """Refuse annotations that are crowds only, and warn of many."""
        self.annotations.require_objects()
        total, crowds = len(self.annotations.track_crowds), int(self.annotations.track_crowds.sum())
        if 10 * crowds > total:
            path = self.annotations.path
            _log.warning("%d of %d annotations of '%s' are marked as crowds and are left out.", crowds, total, path)

    def _objects(self, position: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
        """Return which tracks of a video are objects: no crowds, and present in some frame."""
        start, end = self.annotations.track_starts[position : position + 2]
        single = ~self.annotations.track_crowds[start:end]
        return np.flatnonzero(single & self.annotations.present(position).any(axis=1))
