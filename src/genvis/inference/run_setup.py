"""How a model is run: tracker, clip length, resolution, categories. The same for sessions and whole videos."""

from collections.abc import Sequence
from copy import copy
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.categories import Categories
from genvis.errors import InputError
from genvis.fingerprint import Stamp, tensors_stamp
from genvis.inference.trackers.choose import TrackerName, default_tracker, make_tracker
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions
from genvis.inference.trackers.video_tracker import VideoTracker
from genvis.inference.windows.clip_windows import LONGEST_CLIP, AdaptiveWindows, ClipWindows, FixedWindows
from genvis.inference.windows.scene_tracking import SceneTracking
from genvis.model.device_copies import to_device
from genvis.model.preprocessing import Preprocessing
from genvis.runtimes.cuda_graphs import CudaGraphs
from genvis.runtimes.exported_model import ExportedModel
from genvis.video.sources.frames_in_memory import FrameLike, rgb_pixels

if TYPE_CHECKING:
    from genvis.checkpoints.load import Model

# Frames that go through the detector together where the tracker does not ask for clips.
FRAMES_AT_ONCE = 4

ClipLength = int | Literal["auto"]
"""Frames of a clip; ``auto`` adapts it: as long as allowed, cut where the scene changes."""
GraphUse = Literal["auto", "off"]
"""Whether networks run from CUDA graphs: ``auto`` where that is possible, ``off`` nowhere."""


class FrameSizes(NamedTuple):
    """Heights and widths that a frame goes through.

    Attributes:
        frame: Of the frame itself.
        resized: At which the network sees it and its masks are measured.
        padded: The same with the padding on the right and bottom.
    """

    frame: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]


class PreparedClip(NamedTuple):
    """Frames of a clip as the network takes them.

    Attributes:
        pixel_values: (T, 3, H, W), on the model's device.
        sizes: Of the frames.
        images: The frames themselves, (H, W, 3) uint8 RGB each.
    """

    pixel_values: Tensor
    sizes: FrameSizes
    images: list[NDArray[np.uint8]]


class RunSetup:
    """A model and how to run it.

    Args:
        model: A network of `genvis.load`, or what that takes: a name, a folder, a Hub id, a published file. It is put
            into evaluation mode. Move it to a device and dtype beforehand (``model.to("cuda")``).
        tracker: Method that follows the objects from clip to clip: see `TrackerName`. None takes the model's own.
        clip_length: Frames of a clip: 1 is online, more is semi-online. None takes the model's. ``"auto"`` takes clips
            of ``longest_clip`` frames and cuts them at scene changes, over which no track goes on.
        longest_clip: Frames of an adaptive clip at most; answers wait for up to one frame less. None takes 7.
        resolution: Frames are resized so that the shorter side has this many pixels. None takes the model's.
        max_size: Greatest length of the longer side, in pixels. None takes the model's.
        memory_clips: How many past clips the prototype memory of GenVIS keeps. None takes the model's number for whole
            videos (all, if it has none), and at most 500 for sessions.
        classes: Names of the only classes to look for. None looks for all.
        matching: Options of the tracker ``memory``: how long ids are kept, how sure a new object must be, and how much
            position counts beside appearance. None takes the defaults.
        occupancy_weighted: Whether the tracker ``propagation`` renews a query only as far as it holds an object, so
            that those of hidden objects stay. Published scores are without it; a model that was trained so does it by
            itself.
        archive: Archive of the tracks that left, with which the trackers ``propagation`` and ``memory`` give any number
            of track ids: a query whose object left is freed for another, and who comes back gets the old id. None takes
            the defaults for sessions and does without for whole videos, as the published procedure does;
            ``ArchiveOptions(size=0)`` does without everywhere.
        cuda_graphs: ``"auto"`` records what the network does on an NVIDIA GPU, from the third clip of a size on, and
            launches it as a whole, in a fraction of the time; results are the same. Elsewhere nothing changes. See
            `CudaGraphs` for the memory that it takes.

    Raises:
        InputError: If a number is out of range, a class is unknown, or the model has no such tracker.
    """

    def __init__(
        self,
        model: "Model | str | Path",
        *,
        tracker: TrackerName | None = None,
        clip_length: ClipLength | None = None,
        longest_clip: int | None = None,
        resolution: int | None = None,
        max_size: int | None = None,
        memory_clips: int | None = None,
        classes: Sequence[str] | None = None,
        matching: MemoryMatchingOptions | None = None,
        occupancy_weighted: bool = False,
        archive: ArchiveOptions | None = None,
        cuda_graphs: GraphUse = "auto",
    ) -> None:
        if cuda_graphs not in get_args(GraphUse):
            raise InputError(f"cuda_graphs is '{cuda_graphs}'; it must be 'auto' or 'off'.")
        if isinstance(model, str | Path):
            from genvis.checkpoints.load import load

            model = load(model)
        given = {
            "clip_length": None if clip_length == "auto" else clip_length,
            "longest_clip": longest_clip,
            "resolution": resolution,
            "max_size": max_size,
            "memory_clips": memory_clips,
        }
        for name, value in given.items():
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1.")
        self.model = model.eval()
        self.categories = model.config.categories
        self.classes = None if classes is None else _class_numbers(classes, self.categories)
        self.adapts_clips = clip_length == "auto"
        if longest_clip is not None and not self.adapts_clips:
            raise InputError("longest_clip is for clips that adapt: say clip_length 'auto', or leave it out.")
        if clip_length == "auto":
            self.clip_length = longest_clip or LONGEST_CLIP
        else:
            self.clip_length = model.config.clip_length if clip_length is None else clip_length
        self.memory_clips = memory_clips
        self.preprocessing: Preprocessing = model.config.preprocessing
        if resolution is not None or max_size is not None:
            self.preprocessing = self.preprocessing.with_resolution(
                resolution or self.preprocessing.short_side, max_size
            )
        self.tracker_name = tracker or default_tracker(model)
        self.occupancy_weighted = occupancy_weighted
        self.archive = archive
        self._graphs = CudaGraphs() if cuda_graphs == "auto" else None
        self.matching = (matching or MemoryMatchingOptions()) if self.tracker_name == "memory" else None
        self.tracker: VideoTracker = self._make_tracker()
        if self.matching is None and matching not in (None, MemoryMatchingOptions()):
            raise InputError(f"Options of matching are for the tracker 'memory', not '{self.tracker_name}'.")
        has_memory = getattr(model.config, "memory_read", "none") != "none" and self.tracker_name == "propagation"
        if memory_clips is not None and not has_memory:
            raise InputError(
                f"memory_clips is {memory_clips}, but there is no prototype memory here, only in GenVIS models that "
                "have one, with the tracker 'propagation': leave it out."
            )
        if occupancy_weighted and self.tracker_name != "propagation":
            raise InputError(f"occupancy_weighted is for the tracker 'propagation', not '{self.tracker_name}'.")
        if archive is not None and archive.size and not self._can_archive:
            raise InputError(f"An archive is for the trackers 'propagation' and 'memory', not '{self.tracker_name}'.")

    @property
    def _can_archive(self) -> bool:
        return self.tracker_name in ("propagation", "memory")

    def _make_tracker(self) -> VideoTracker:
        tracker = make_tracker(
            self.model,
            self.tracker_name,
            memory_clips=self.memory_clips,
            frames_at_once=FRAMES_AT_ONCE,
            matching=self.matching,
            occupancy_weighted=self.occupancy_weighted,
            archive=self.archive if self.archive is not None and self.archive.size else None,
            graphs=self._graphs,
        )
        if not self.adapts_clips:
            return tracker
        if not tracker.is_causal:
            raise InputError("A VITA model sees the whole video as one clip: leave clip_length 'auto' out.")
        return SceneTracking(tracker)

    @property
    def frames_at_once(self) -> int:
        """How many frames go through the network together: a clip, or some frames of an offline model's one clip."""
        return self.clip_length if self.tracker.is_causal else max(FRAMES_AT_ONCE, self.clip_length)

    def new_windows(self) -> ClipWindows:
        """Return what divides the frames of one video into clips."""
        return AdaptiveWindows(self.clip_length) if self.adapts_clips else FixedWindows()

    def prepare(self, frames: Sequence[FrameLike], *, bgr: bool = False) -> PreparedClip:
        """Resize, normalise and pad the frames of a clip, on the model's device.

        Args:
            frames: One or more images of one size: see `genvis.video.sources.frames_in_memory.rgb_pixels`.
            bgr: Whether arrays are BGR, as OpenCV gives them.

        Raises:
            InputError: If there is none, or one has another shape, size or type.
        """
        images = [rgb_pixels(frame, bgr=bgr) for frame in frames]
        if not images:
            raise InputError("A clip needs at least one frame.")
        for image in images:
            if image.shape != images[0].shape:
                raise InputError(
                    f"All frames of a video need one size, but {image.shape[1]}x{image.shape[0]} follows "
                    f"{images[0].shape[1]}x{images[0].shape[0]} (width x height)."
                )
        return self._prepare(images)

    def _prepare(self, images: list[NDArray[np.uint8]]) -> PreparedClip:
        height, width = images[0].shape[:2]
        stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (T, 3, h, w) uint8
        resized = self.preprocessing.resize(to_device(stacked, self.model.device))
        pixel_values = self.preprocessing.normalize(resized, dtype=self.model.dtype)  # (T, 3, H, W)
        seen, padded = ((x.shape[-2], x.shape[-1]) for x in (resized, pixel_values))
        if self.preprocessing.resizes_masks_once:  # From stride 4 to the frame, not by way of the input.
            seen = padded = (padded[0] // 4, padded[1] // 4)
        return PreparedClip(pixel_values, FrameSizes((height, width), seen, padded), images)

    def for_endless_streams(self, clips: int) -> "RunSetup":
        """Return the same with bounded memory and an archive of track ids, as far as they were not chosen.

        Args:
            clips: Of the prototype memory, at most.
        """
        endless = copy(self)
        if self.memory_clips is None and self.tracker_name == "propagation":
            endless.memory_clips = min(clips, getattr(self.model.config, "memory_clips", None) or clips)
        if self.archive is None and self._can_archive:
            endless.archive = ArchiveOptions()
        if (endless.memory_clips, endless.archive) == (self.memory_clips, self.archive):
            return self
        endless.tracker = endless._make_tracker()
        return endless

    def settings(self) -> dict[str, Any]:
        """Return what a result depends on besides the model and the video, as JSON values."""
        return {
            "tracker": self.tracker_name,
            "clip_length": self.clip_length,
            **({"adapts_clips": True} if self.adapts_clips else {}),
            "resolution": self.preprocessing.short_side,
            "max_size": self.preprocessing.max_size,
            "memory_clips": self.memory_clips,
            **({} if self.matching is None else {"matching": self.matching.settings()}),
            **({"occupancy_weighted": True} if self.occupancy_weighted else {}),
            **self._propagation,
            **({"archive": asdict(self.archive)} if self.archive is not None and self.archive.size else {}),
            **({"runtime": self.model.runtime} if isinstance(self.model, ExportedModel) else {}),
        }

    @property
    def _propagation(self) -> dict[str, str]:
        """Return how the model's own queries are propagated and read frames, where that is not the published way."""
        published = {"propagation": "full", "frame_reading": "attention"}
        own = {name: getattr(self.model.config, name, usual) for name, usual in published.items()}
        if self.tracker_name != "propagation":
            return {}
        return {name: value for name, value in own.items() if value != published[name]}

    @cached_property
    def weights(self) -> Stamp:
        """Identity of the weights, by which saved sessions, runs and results know their model."""
        if isinstance(self.model, ExportedModel):
            return self.model.stamp
        name = getattr(self.model.config, "_name_or_path", None) or "a model"
        return tensors_stamp(self.model.state_dict(), name=name)


def _class_numbers(names: Sequence[str], categories: Categories) -> tuple[int, ...]:
    known = {label.lower(): number for number, label in enumerate(categories.names)}
    unknown = [name for name in names if name.lower() not in known]
    if unknown or not names:
        what = f"no class '{unknown[0]}'" if unknown else "an empty list of classes"
        raise InputError(f"The model has {what}; it knows {', '.join(categories.names)}.")
    return tuple(sorted({known[name.lower()] for name in names}))
