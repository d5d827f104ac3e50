"""Live sessions: frames in as they come, tracked instances out at once, nothing looks ahead."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genvis.errors import InputError
from genvis.files import make_folder
from genvis.fingerprint import Fingerprint
from genvis.inference.mask_geometry import MaskCrop, MaskGeometry, mask_geometry
from genvis.inference.mask_store import positive_boxes
from genvis.inference.run_setup import FrameSizes, RunSetup
from genvis.inference.scoring import TrackScores
from genvis.inference.state_file import count, damage_as_input_error, pair, part, read_state, write_state
from genvis.inference.trackers.track_ids import TrackIds
from genvis.inference.trackers.video_tracker import TrackedClip
from genvis.model.device_copies import on_cpu, selected
from genvis.results.overlaps import Overlaps, resolve_overlaps
from genvis.results.types import FrameResult, FrameStamp, Instance
from genvis.video.sources.frames_in_memory import FrameLike
from genvis.video.sources.source import Frame

KIND = "session"
# Scores that are means follow what a track was in about so many last frames. The mean over an endless stream stands
# still: a query that was empty for an hour would need another hour to show a new object.
SCORE_WINDOW = 50


class _Selected(NamedTuple):
    """Row of a clip that is reported: the tracker's number of the track, its score and class so far."""

    row: int
    number: int
    score: float
    label: int


class Session:
    """One video or stream in progress; made by `VideoSegmenter.open_session`.

    Every answer depends only on frames already seen. A track id is stable and never reused, also over `save` and
    `load`; that the network confuses two objects (an id switch) can happen. The score of a track is the score so far:
    that of a whole video without the look ahead, with the quality of the masks measured at the network's own stride.

    Attributes:
        frames_seen: How many frames have been taken.
        windows: What divides its frames into clips.
    """

    def __init__(
        self,
        setup: RunSetup,
        *,
        score_threshold: float,
        presence_threshold: float,
        overlaps: Overlaps,
        frame_rate: float,
    ) -> None:
        self.frames_seen = 0
        self._setup = setup
        self._score_threshold = score_threshold
        self._presence_threshold = presence_threshold
        self._overlaps = overlaps
        self._frame_rate = frame_rate
        self._state: Any = None
        self._scores = TrackScores(setup.tracker.score_rule, classes=len(setup.categories.names), window=SCORE_WINDOW)
        self._ids = TrackIds()
        self.windows = setup.new_windows()
        self._frame_size: tuple[int, int] | None = None

    @property
    def objects(self) -> int:
        """How many tracks have been reported so far."""
        return len(self._ids)

    def step(self, frame: FrameLike, *, bgr: bool = False) -> FrameResult:
        """Take one frame and return what is in it.

        Args:
            frame: (H, W, 3) uint8 RGB, a PIL image, a tensor, or a `Frame` of a source, whose index and time the result
                then carries.
            bgr: Whether arrays are BGR, as OpenCV gives them.

        Raises:
            InputError: If the frame has another size, shape or type.
        """
        return self.step_clip([frame], bgr=bgr)[0]

    def step_clip(self, frames: Sequence[FrameLike], *, bgr: bool = False) -> list[FrameResult]:
        """Take consecutive frames together, as semi-online models do, and return what is in each.

        Args:
            frames: One or more frames of one size, each as in `step`: one clip, or, where clips adapt, several that are
                cut at scene changes.
            bgr: As in `step`.

        Raises:
            InputError: If there is none, or one has another size, shape or type.
        """
        clip = self._setup.prepare(frames, bgr=bgr)
        self._check_size(clip.sizes.frame)
        results = []
        for window in self.windows.divide(clip.images):
            if window.starts_scene:
                self._state = self._setup.tracker.cut(self._state)
            results += self._step_window(frames[window.frames], clip.pixel_values[window.frames], clip.sizes)
        return results

    def _step_window(self, frames: Sequence[FrameLike], pixel_values: Tensor, sizes: FrameSizes) -> list[FrameResult]:
        """Track one clip: T prepared frames (T, 3, H, W) of a scene."""
        tracked, self._state = self._setup.tracker.track(pixel_values, self._state)
        assert tracked is not None  # Sessions are opened for causal trackers only.
        reported = self._select(tracked.track_ids.tolist(), self._score(tracked))
        height, width = tracked.mask_logits.shape[-2:]
        geometry = mask_geometry(*sizes, (height, width))
        rows = torch.tensor([one.row for one in reported], dtype=torch.int64)
        (logits,) = on_cpu(selected(tracked.mask_logits, rows, dim=1))  # (T, R, h, w)
        results = []
        for frame, frame_logits in zip(frames, logits, strict=True):
            found = FrameResult(
                stamp=self._stamp(frame),
                height=sizes.frame[0],
                width=sizes.frame[1],
                instances=self._instances(reported, frame_logits, geometry),
            )
            results.append(resolve_overlaps(found) if self._overlaps == "resolve" else found)
            self.frames_seen += 1
        results = [self._with_ids(result) for result in results]
        self._forget()
        return results

    def _score(self, tracked: TrackedClip) -> Tensor:
        """Take the clip's evidence of classes and the quality of its masks; return who is present, (N,) on the CPU."""
        measured = [tracked.class_evidence, tracked.observations, tracked.presence]
        if self._scores.rule.uses_mask_quality:
            positive = tracked.mask_logits > 0  # (T, N, h, w)
            sigmoid_sum = (tracked.mask_logits.sigmoid() * positive).sum(dim=(0, 2, 3))  # (N,)
            measured += [sigmoid_sum, positive.sum(dim=(0, 2, 3))]
        evidence, observations, presence, *quality = on_cpu(*measured)
        self._scores.add(tracked.track_ids, evidence, observations)
        if quality:
            self._scores.add_quality(tracked.track_ids, *quality)
        return presence

    def _select(self, numbers: list[int], presence: Tensor) -> list[_Selected]:
        """Return the rows of a clip that are reported, with score and class so far.

        Args:
            numbers: N, the tracker's own.
            presence: (N,), the probability that the object is visible.
        """
        scores, classes = self._scores.best(self._setup.classes)
        best = dict(zip(self._scores.track_ids, zip(scores.tolist(), classes.tolist(), strict=True), strict=True))
        present = torch.nonzero(presence >= self._presence_threshold).flatten().tolist()
        selected = [_Selected(row, numbers[row], *best[numbers[row]]) for row in present]
        return [one for one in selected if one.score >= self._score_threshold]

    def _instances(self, selected: list[_Selected], logits: Tensor, geometry: MaskGeometry) -> tuple[Instance, ...]:
        """Cut the masks of one frame from their logits (R, h, w); instances still carry the tracker's own numbers."""
        boxes = positive_boxes(logits).tolist()
        instances = []
        for one, (top, left, bottom, right), values in zip(selected, boxes, logits.numpy(), strict=True):
            if bottom == top:
                continue
            mask = geometry.mask(MaskCrop(top, left, values[top:bottom, left:right]), order="C").view(np.bool_)
            if not mask.any():
                continue
            instances.append(
                Instance(
                    id=one.number,
                    label=self._setup.categories.names[one.label],
                    label_id=one.label,
                    score=one.score,
                    mask=mask,
                )
            )
        return tuple(instances)

    def _with_ids(self, result: FrameResult) -> FrameResult:
        """Replace the tracker's own numbers by track ids."""
        instances = [replace(one, id=self._ids.id_of(one.id)) for one in result.instances]
        return replace(result, instances=tuple(sorted(instances, key=lambda one: one.id)))

    def _forget(self) -> None:
        """Drop what belongs to tracks that cannot come back, so that endless streams need bounded memory."""
        remembered = self._setup.tracker.remembered(self._state)
        if remembered is not None:
            self._scores.keep(remembered)
            self._ids.keep(remembered)

    def _check_size(self, size: tuple[int, int]) -> None:
        known = self._frame_size
        if known is not None and known != size:
            raise InputError(
                f"A frame of {size[1]}x{size[0]} cannot join a session of {known[1]}x{known[0]} (width x height): "
                "open a new session, or resize the frame."
            )
        self._frame_size = size

    def _stamp(self, frame: FrameLike) -> FrameStamp:
        if isinstance(frame, Frame):
            return FrameStamp(index=frame.index, time=frame.time, name=frame.name)
        index = self.frames_seen
        return FrameStamp(index=index, time=index / self._frame_rate, name=f"{index:05d}")

    def fingerprint(self) -> Fingerprint:
        """Return what a saved session belongs to: the weights and how they are run, not the video."""
        return Fingerprint(KIND, weights=self._setup.weights, settings=self._setup.settings())

    def save(self, path: str | Path) -> None:
        """Write all that the session knows to one file (safetensors), to be continued by `load` in any process.

        Raises:
            OutputError: If the file cannot be written.
        """
        tensors = {f"tracker.{name}": value for name, value in self._setup.tracker.state_tensors(self._state).items()}
        tensors |= {f"scores.{name}": value for name, value in self._scores.tensors().items()}
        tensors |= {f"windows.{name}": value for name, value in self.windows.tensors().items()}
        facts = {
            "frames_seen": self.frames_seen,
            "frame_size": self._frame_size,
            "ids": self._ids.pairs(),
            "last_id": len(self._ids),
        }
        path = Path(path)
        make_folder(path.parent)
        write_state(path, tensors, facts, fingerprint=self.fingerprint())

    def load(self, path: str | Path) -> None:
        """Continue the session that `save` wrote.

        Raises:
            InputError: If the file is none, is damaged, or belongs to another model or other settings.
        """
        remedy = "give the session's own model and settings, or another session file"
        tensors, facts = read_state(Path(path), self.fingerprint(), remedy=remedy)
        with damage_as_input_error(path):
            self.frames_seen = count(facts["frames_seen"])
            self._frame_size = None if facts["frame_size"] is None else pair(facts["frame_size"])
            ids = [(count(number), count(track_id)) for number, track_id in facts["ids"]]
            self._ids = TrackIds(ids, last=count(facts["last_id"]))
            self._scores.restore(part(tensors, "scores."))
            self.windows.restore(part(tensors, "windows."))
            self._state = self._setup.tracker.state_from_tensors(part(tensors, "tracker."))
