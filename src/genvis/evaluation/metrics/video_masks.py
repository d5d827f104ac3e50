"""Masks of several tracks of one video as RLE, from which overlaps are computed."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.evaluation.results_file import Results
from genvis.masks import mask_areas


@dataclass(frozen=True)
class VideoMasks:
    """N tracks of a video of T frames.

    Attributes:
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        length: T.
        counts: For each track T compressed RLE; None where it is absent.
    """

    height: int
    width: int
    length: int
    counts: tuple[tuple[bytes | None, ...], ...]

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(N, T) bool: where there is a mask, be it empty."""
        flags = [[counts is not None for counts in track] for track in self.counts]
        return np.array(flags, np.bool_).reshape(len(self), self.length)

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(N, T) int64: pixels of each mask, 0 where it is absent."""
        areas = np.zeros((len(self), self.length), np.int64)
        size = [self.height, self.width]
        masks = [{"size": size, "counts": counts} for track in self.counts for counts in track if counts is not None]
        areas[self.present] = mask_areas(masks)
        return areas

    @cached_property
    def mean_areas(self) -> NDArray[np.float64]:
        """(N,) float64: pixels per frame, averaged over the frames in which the track has any; 0 if in none."""
        return self.areas.sum(axis=1) / np.maximum(np.count_nonzero(self.areas, axis=1), 1)


def annotated_masks(annotations: VideoAnnotations, video: int) -> VideoMasks:
    """Return the masks of all annotated objects of the video at a position, crowds included."""
    height, width = annotations.sizes[video].tolist()
    length = annotations.length(video)
    first, last = (int(start) for start in annotations.track_starts[video : video + 2])
    counts = []
    for cell in annotations.mask_starts[first:last].tolist():
        # One copy for the whole track: its masks stand one after the other.
        starts = annotations.rle_counts.starts[cell : cell + length + 1]
        block = annotations.rle_counts.data[starts[0] : starts[-1]].tobytes()
        counts.append(tuple(block[start:stop] or None for start, stop in pairwise((starts - starts[0]).tolist())))
    return VideoMasks(height, width, length, tuple(counts))


def detected_masks(annotations: VideoAnnotations, results: Results, video: int) -> VideoMasks:
    """Return the masks of all detections in the video at a position."""
    height, width = annotations.sizes[video].tolist()
    detections = results.detections[video]
    return VideoMasks(height, width, annotations.length(video), tuple(detection.counts for detection in detections))
