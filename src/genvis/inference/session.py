"""A live session: frames in as they come, identities out at once, nothing looks ahead."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genvis.errors import InputError
from genvis.files import make_folder
from genvis.inference.mask_geometry import MaskCrop, MaskGeometry
from genvis.inference.mask_store import positive_boxes
from genvis.inference.run_setup import RunSetup
from genvis.inference.state_file import read_state, write_state
from genvis.inference.trackers.propagation import TrackedClip
from genvis.results.types import FrameResult, FrameStamp, Instance
from genvis.video.sources.source import Frame

FORMAT = "genvis-session-1"


class Session:
    """One video or stream in progress; made by `VideoSegmenter.open_session`.

    Every answer depends only on frames already seen. An identity keeps its id for as long as the session lives, also
    after the object was out of sight, and over `save` and `load`. Its score so far is its greatest class probability
    so far, times the mean of the sigmoid inside its masks so far: the published score, without the look ahead.

    Attributes:
        frames_seen: How many frames have been taken.
    """

    def __init__(
        self, setup: RunSetup, *, score_threshold: float, presence_threshold: float, frame_rate: float
    ) -> None:
        self.frames_seen = 0
        self._setup = setup
        self._score_threshold = score_threshold
        self._presence_threshold = presence_threshold
        self._frame_rate = frame_rate
        self._tracking = setup.tracking()
        self._ids: dict[int, int] = {}
        self._class_scores: Tensor | None = None
        self._sigmoid_sum = torch.zeros(0)
        self._pixels = torch.zeros(0)

    @property
    def objects(self) -> int:
        """How many identities have been reported so far."""
        return len(self._ids)

    def step(self, frame: NDArray[np.uint8] | Frame) -> FrameResult:
        """Take one frame and return what is in it.

        Args:
            frame: (H, W, 3) uint8 RGB, or a `Frame` of a source, whose index and time the result then carries.

        Raises:
            InputError: If the frame has another shape or type.
        """
        return self.step_clip([frame])[0]

    def step_clip(self, frames: Sequence[NDArray[np.uint8] | Frame]) -> list[FrameResult]:
        """Take consecutive frames together, as semi-online models do, and return what is in each.

        Args:
            frames: One or more frames of one size, each as in `step`.

        Raises:
            InputError: If there is none, or one has another shape, size or type.
        """
        images = [frame.image if isinstance(frame, Frame) else frame for frame in frames]
        tensor, geometry = self._setup.prepare(images)
        clip = self._tracking.step(tensor)
        self._take_scores(clip)
        scores, labels = self._scores()
        present = clip.class_probabilities.cpu().gather(1, labels[:, None])[:, 0] >= self._presence_threshold
        reported = torch.nonzero((scores >= self._score_threshold) & present).flatten().tolist()
        results = []
        for frame, logits in zip(frames, clip.mask_logits, strict=True):
            stamp = self._stamp(frame)
            instances = self._instances(reported, scores, labels, logits, geometry)
            results.append(
                FrameResult(stamp=stamp, height=geometry.frame[0], width=geometry.frame[1], instances=instances)
            )
            self.frames_seen += 1
        return results

    def _take_scores(self, clip: TrackedClip) -> None:
        probabilities = clip.class_probabilities.cpu()
        positive = clip.mask_logits > 0
        sigmoid_sum = (clip.mask_logits.sigmoid() * positive).sum(dim=(0, 2, 3)).cpu()
        pixels = positive.sum(dim=(0, 2, 3)).cpu()
        if self._class_scores is None:
            self._class_scores, self._sigmoid_sum, self._pixels = probabilities, sigmoid_sum, pixels
            return
        self._class_scores = torch.maximum(self._class_scores, probabilities)
        self._sigmoid_sum = self._sigmoid_sum + sigmoid_sum
        self._pixels = self._pixels + pixels

    def _scores(self) -> tuple[Tensor, Tensor]:
        """Return score and class so far of every identity slot, (Q,) each."""
        if self._class_scores is None:
            raise InputError("The session has seen no frame yet.")
        allowed = self._class_scores
        if self._setup.classes is not None:
            allowed = torch.full_like(allowed, -1)
            kept = list(self._setup.classes)
            allowed[:, kept] = self._class_scores[:, kept]
        class_scores, labels = allowed.max(dim=1)
        return class_scores * self._sigmoid_sum / self._pixels.clamp(min=1), labels

    def _instances(
        self, reported: list[int], scores: Tensor, labels: Tensor, logits: Tensor, geometry: MaskGeometry
    ) -> tuple[Instance, ...]:
        if not reported:
            return ()
        chosen = logits[reported]
        boxes, pixels = positive_boxes(chosen), chosen.cpu().numpy()
        instances = []
        for row, query in enumerate(reported):
            top, left, bottom, right = boxes[row].tolist()
            if bottom == top:
                continue
            mask = geometry.mask(MaskCrop(top, left, pixels[row, top:bottom, left:right])).view(np.bool_)
            if not mask.any():
                continue
            label = int(labels[query])
            instances.append(
                Instance(
                    id=self._ids.setdefault(query, len(self._ids) + 1),
                    label=self._setup.labels.names[label],
                    label_id=label,
                    score=float(scores[query]),
                    mask=np.ascontiguousarray(mask),
                )
            )
        return tuple(sorted(instances, key=lambda instance: instance.id))

    def _stamp(self, frame: NDArray[np.uint8] | Frame) -> FrameStamp:
        if isinstance(frame, Frame):
            return FrameStamp(index=frame.index, time=frame.time, name=frame.name)
        index = self.frames_seen
        return FrameStamp(index=index, time=index / self._frame_rate, name=f"{index:05d}")

    def save(self, path: str | Path) -> None:
        """Write all that the session knows to one file (safetensors), to be continued by `load` in any process.

        Raises:
            InputError: If the file cannot be written.
        """
        tensors = {f"tracking.{name}": tensor for name, tensor in self._tracking.state_tensors().items()}
        if self._class_scores is not None:
            tensors |= {
                "class_scores": self._class_scores,
                "sigmoid_sum": self._sigmoid_sum,
                "pixels": self._pixels,
            }
        facts = {
            "format": FORMAT,
            "model": self._setup.fingerprint,
            "frames_seen": self.frames_seen,
            "ids": sorted(self._ids.items()),
        }
        path = Path(path)
        make_folder(path.parent)
        write_state(path, tensors, facts)

    def load(self, path: str | Path) -> None:
        """Continue the session that `save` wrote.

        Raises:
            InputError: If the file is none, is damaged, or belongs to another model.
        """
        tensors, facts = read_state(Path(path))
        if facts.get("format") != FORMAT:
            raise InputError(f"{path} is no saved session of this version: expected {FORMAT}.")
        if facts["model"] != self._setup.fingerprint:
            raise InputError(
                f"The session in {path} was made by another model: load the weights that it was saved with."
            )
        self._tracking.load_state_tensors(
            {name.removeprefix("tracking."): value for name, value in tensors.items() if name.startswith("tracking.")}
        )
        if "class_scores" in tensors:
            self._class_scores = tensors["class_scores"]
            self._sigmoid_sum, self._pixels = tensors["sigmoid_sum"], tensors["pixels"]
        self.frames_seen = int(facts["frames_seen"])
        self._ids = {int(query): int(number) for query, number in facts["ids"]}
