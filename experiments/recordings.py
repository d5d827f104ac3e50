"""Per-frame detector outputs of the validation videos, computed once: scoring then costs only the tracker."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.validation_sets import ValidationSet
from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError
from genvis.files import atomic_folder
from genvis.masks import RLEMask
from genvis.model.detector.base import FrameDetector
from genvis.model.genvis import GenVIS
from genvis.model.outputs import DetectorOutput, FramePrediction

_FRAMES_AT_ONCE = 8


@dataclass(frozen=True)
class RecordedVideo:
    """T frames of a validation video as the detector sees them, and the truth.

    Attributes:
        frame_queries: (T, Q_f, C) of the last detector layer.
        stride4_features: (T, C, H/4, W/4).
        size: Height and width of the frames.
        labels: (N,) classes from 0.
        masks: For every object T RLEs of COCO, None where it is not visible.
        images: (T, H, W, 3) uint8 RGB, for what looks at the frames themselves; None where nothing does.
    """

    frame_queries: NDArray[np.float16]
    stride4_features: NDArray[np.float16]
    size: tuple[int, int]
    labels: list[int]
    masks: list[list[dict[str, Any] | None]]
    images: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.frame_queries)

    def pieces(self, frames: int) -> "Iterator[RecordedVideo]":
        """Cut the video into videos of so many frames, of which each has only the objects that it shows."""
        for start in range(0, len(self), frames):
            yield self.part(slice(start, start + frames))

    def part(self, frames: slice) -> "RecordedVideo":
        """Return the video of some of the frames, with only the objects that these show."""
        parts = [masks[frames] for masks in self.masks]
        kept = [place for place, masks in enumerate(parts) if any(mask is not None for mask in masks)]
        return replace(
            self,
            frame_queries=self.frame_queries[frames],
            stride4_features=self.stride4_features[frames],
            labels=[self.labels[place] for place in kept],
            masks=[parts[place] for place in kept],
            images=None if self.images is None else self.images[frames],
        )

    @classmethod
    def joined(cls, videos: "Sequence[RecordedVideo]") -> "RecordedVideo":
        """Return one video of several of one size, hard cuts between them, each with its own objects."""
        labels, masks, frames, done = [], [], sum(map(len, videos)), 0
        for video in videos:
            for label, shown in zip(video.labels, video.masks, strict=True):
                labels.append(label)
                masks.append([*[None] * done, *shown, *[None] * (frames - done - len(video))])
            done += len(video)
        images = [video.images for video in videos if video.images is not None]
        return cls(
            np.concatenate([video.frame_queries for video in videos]),
            np.concatenate([video.stride4_features for video in videos]),
            videos[0].size,
            labels,
            masks,
            np.concatenate(images) if len(images) == len(videos) else None,
        )


class Recording:
    """A folder with the detector's outputs on one validation set, as float16.

    Args:
        folder: Made by :func:`record`.
    """

    def __init__(self, folder: Path) -> None:
        self._facts = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
        self._queries = np.load(folder / "frame_queries.npy", mmap_mode="r")
        self._features = np.load(folder / "stride4_features.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self._facts["videos"])

    def __getitem__(self, index: int) -> RecordedVideo:
        video = self._facts["videos"][index]
        frames = slice(video["start"], video["stop"])
        return RecordedVideo(
            self._queries[frames], self._features[frames], tuple(video["size"]), video["labels"], video["masks"]
        )


def with_images(recording: Recording, validation: ValidationSet) -> list[RecordedVideo]:
    """Return recorded videos with their frames, for what looks at these.

    Args:
        recording: Of the set.
        validation: The set.
    """
    samples = validation.load()
    return [
        replace(recording[index], images=samples[index].frames.permute(0, 2, 3, 1).contiguous().numpy())
        for index in range(len(recording))
    ]


def record(load_model: Callable[[], GenVIS], validation: ValidationSet, folder: Path, *, fingerprint: str) -> Recording:
    """Open the recording of a set, or make it.

    Args:
        load_model: Gives the model whose detector is recorded, if it must be.
        validation: The videos.
        folder: Where the recording is or is to be; it appears when it is complete.
        fingerprint: Of the detector.

    Raises:
        InputError: If the folder holds the recording of another detector or of other videos, or the detector would see
            the videos at another size.
    """
    about = json.loads(json.dumps({"detector": fingerprint, "set": validation.description()}))
    if folder.exists():
        found = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
        if {name: found.get(name) for name in about} != about:
            raise InputError(
                f"{folder} is of another detector or of other videos: delete it, or choose another --output."
            )
        return Recording(folder)
    samples, model = validation.load(), load_model().eval()
    _check_size(model, validation)
    queries, features, videos, start = [], [], [], 0
    for index in range(len(samples)):
        sample = samples[index]
        for frames in sample.frames.split(_FRAMES_AT_ONCE):
            found_queries, found_features = _detect(model, frames)
            queries.append(found_queries)
            features.append(found_features)
        stop = start + len(sample.frames)
        videos.append({"start": start, "stop": stop, **_truth(sample)})
        start = stop
    with atomic_folder(folder) as partial:
        np.save(partial / "frame_queries.npy", np.concatenate(queries))
        np.save(partial / "stride4_features.npy", np.concatenate(features))
        (partial / "recording.json").write_text(json.dumps({**about, "videos": videos}), encoding="utf-8")
    return Recording(folder)


def _check_size(model: GenVIS, validation: ValidationSet) -> None:
    """Make sure that inference, which replays the recording, would not resize the videos."""
    size, config = (validation.height, validation.width), model.config
    if min(size) != config.min_size_test or max(size) > config.max_size_test:
        raise InputError(
            f"The detector sees videos at a shorter side of {config.min_size_test} and a longer one of at most "
            f"{config.max_size_test} pixels, those of '{validation.name}' have {min(size)} and {max(size)}: choose a "
            "--detector that was trained on videos of that size."
        )


@torch.inference_mode()
def _detect(model: GenVIS, frames: Tensor) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    found = model.detector(model.prepare_frames(frames[None]))
    return found.frame_queries[-1].half().numpy(), found.features.half().numpy()


def _truth(sample: VideoSample) -> dict[str, Any]:
    masks = [
        [RLEMask.encode(mask).to_coco() if mask.any() else None for mask in masks] for masks in sample.masks.numpy()
    ]
    return {"size": list(sample.frames.shape[-2:]), "labels": sample.labels.tolist(), "masks": masks}


class ReplayedDetector(FrameDetector):
    """Takes the place of a model's detector and gives what was recorded, frame after frame.

    Args:
        detector: The recorded detector, whose heads MinVIS needs.
    """

    depends_on_input_alone = False

    def __init__(self, detector: FrameDetector) -> None:
        super().__init__(preprocessing=detector.preprocessing, sizes=detector.sizes)
        self.detector = detector
        self._video: RecordedVideo | None = None
        self._done = 0

    def rewind(self, video: RecordedVideo) -> None:
        """Begin with the first frame of a video."""
        self._video, self._done = video, 0

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        """Return what the detector said of the next frames.

        Args:
            pixel_values: (F, 3, H, W), of which only F counts.
            layers: 1: no other layer was recorded.
        """
        if self._video is None or layers != 1:
            raise ValueError("Rewind to a video first, and ask for one layer.")
        frames = slice(self._done, self._done + len(pixel_values))
        self._done = frames.stop
        if frames.stop > len(self._video):
            raise ValueError(f"The recorded video has only {len(self._video)} frames.")
        queries = torch.from_numpy(self._video.frame_queries[frames].astype(np.float32))
        features = torch.from_numpy(self._video.stride4_features[frames].astype(np.float32))
        return DetectorOutput(queries[None], features)

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        """Return the detector's own instances."""
        return self.detector.predict(output, layer=layer)
