"""Whole videos: the published scores and selection over all clips, in bounded memory, interrupted and resumed."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genvis.errors import InputError
from genvis.files import make_folder
from genvis.fingerprint import Fingerprint
from genvis.inference.appearance_recorder import AppearanceRecorder
from genvis.inference.mask_geometry import mask_geometry
from genvis.inference.mask_store import MaskStore
from genvis.inference.run_setup import FrameSizes, RunSetup
from genvis.inference.scoring import Selection, TrackScores
from genvis.inference.state_file import count, damage_as_input_error, pair, part, read_state, write_state
from genvis.inference.trackers.video_tracker import TrackedClip
from genvis.masks import RLEMask
from genvis.model.device_copies import on_cpu, selected
from genvis.results.editing.appearance import TrackAppearance
from genvis.results.overlaps import Overlaps, ids_by_appearance, resolve_video
from genvis.results.types import FrameStamp, Track, VideoResult
from genvis.video.sources.source import Frame

KIND = "prediction"
# Below this probability to be visible, an embedding says nothing of an object.
SURELY_VISIBLE = 0.3
STATE_FILE, MASKS_FILE = "state.safetensors", "masks.bin"


class VideoRun:
    """One video being segmented as a whole, clip after clip; made by `VideoSegmenter.start`.

    Which tracks are selected is known at the end only. Until then the positive parts of all masks are kept, in memory
    or on disk (`MaskStore`). The score of a track is the published one (reference procedure, section 4).

    Args:
        setup: The model and how to run it.
        name: Name of the video.
        overlaps: Whether a pixel belongs to one track, or masks overlap as the network gives them.
        presence_threshold: Masks of clips in which the model gives a track a lower probability to be visible are left
            out; 0 keeps all, as the published procedure does.
        folder: Where `save` keeps what is done so far, so that `restore` continues it; None for runs that are not to
            be resumed.
        source: Identity of the video and of the range of its frames, for runs that are to be resumed.

    Attributes:
        windows: What divides its frames into clips.
    """

    def __init__(
        self,
        setup: RunSetup,
        *,
        name: str,
        overlaps: Overlaps = "resolve",
        presence_threshold: float = 0.0,
        folder: Path | None = None,
        source: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._setup = setup
        self._overlaps = overlaps
        self._presence_threshold = presence_threshold
        self._folder = None if folder is None else make_folder(folder)
        self._source = source
        self._state: Any = None
        self._scores = TrackScores(setup.tracker.score_rule, classes=len(setup.categories.names))
        self._store = MaskStore(None if self._folder is None else self._folder / MASKS_FILE)
        self._looks = AppearanceRecorder()
        self.windows = setup.new_windows()
        self._scene = 0
        self._scene_of: dict[int, int] = {}  # The tracker's number of a track -> the scene in which it came up.
        self._numbers: dict[int, int] = {}
        self._sizes: FrameSizes | None = None
        self._mask_size: tuple[int, int] | None = None
        self._stamps: list[FrameStamp] = []
        self._tracked_frames = 0

    @property
    def frames_done(self) -> int:
        """How many frames have been taken."""
        return len(self._stamps)

    @property
    def last_index(self) -> int:
        """Place in the source of the last frame that was taken; -1 before the first."""
        return self._stamps[-1].index if self._stamps else -1

    @property
    def bytes_kept(self) -> int:
        """Bytes that the masks of the frames so far take, in memory or on disk."""
        return self._store.bytes_kept

    def objects(self, score_threshold: float) -> int:
        """Return how many tracks reach a class score so far."""
        scores = self._scores.class_scores()
        return int((scores.amax(dim=1) >= score_threshold).sum()) if scores.numel() else 0

    def add(self, frames: Sequence[Frame]) -> None:
        """Take the next frames: a clip, or, where clips adapt, several that are cut at scene changes.

        Raises:
            InputError: If a frame has another shape, size or type than those before.
            OutputError: If the disk is full.
        """
        clip = self._setup.prepare(frames)
        if self._sizes is not None and self._sizes.frame != clip.sizes.frame:
            raise InputError(
                f"A frame of '{self.name}' is {clip.sizes.frame} where the others are {self._sizes.frame} (height, "
                "width): all frames of a video need one size."
            )
        self._sizes = clip.sizes
        self._stamps += [FrameStamp(index=frame.index, time=frame.time, name=frame.name) for frame in frames]
        for window in self.windows.divide(clip.images):
            if window.starts_scene:
                self._scene += 1
                self._state = self._setup.tracker.cut(self._state)
            tracked, self._state = self._setup.tracker.track(clip.pixel_values[window.frames], self._state)
            if tracked is not None:
                self._take(tracked)

    def _take(self, tracked: TrackedClip) -> None:
        """Keep the class evidence and the masks of a clip."""
        self._mask_size = (tracked.mask_logits.shape[-2], tracked.mask_logits.shape[-1])
        evidence, observations, presence = on_cpu(tracked.class_evidence, tracked.observations, tracked.presence)
        self._scores.add(tracked.track_ids, evidence, observations)
        for number in tracked.track_ids.tolist():
            self._scene_of.setdefault(number, self._scene)
        if tracked.embeddings is not None:
            visible = torch.nonzero(presence >= SURELY_VISIBLE).flatten()
            (embeddings,) = on_cpu(selected(tracked.embeddings, visible, dim=0))
            self._looks.add(self._tracked_frames, tracked.track_ids[visible].tolist(), embeddings)
        present = torch.nonzero(presence >= self._presence_threshold).flatten()  # (N',)
        masks = tracked.mask_logits  # (T, N, h, w)
        if len(present) < masks.shape[1]:
            masks = selected(masks, present, dim=1)
        for kept in masks:  # (N', h, w)
            self._store.add(self._tracked_frames, kept, tracked.track_ids[present])
            self._tracked_frames += 1

    def result(self, selection: Selection, *, problem: str | None = None) -> VideoResult:
        """Select, score and return the tracks of the frames so far.

        Args:
            selection: Which pairs of track and class the result holds.
            problem: What the source could not deliver.

        Raises:
            InputError: If there was no frame.
        """
        if self._sizes is None:
            detail = f": {problem}" if problem else ""
            raise InputError(f"'{self.name}' has no frame that could be read{detail}.")
        if not self._setup.tracker.is_causal:
            for tracked in self._setup.tracker.finish(self._state):
                self._take(tracked)
            self._state = None
        height, width = self._sizes.frame
        result = VideoResult(
            name=self.name,
            height=height,
            width=width,
            frames=tuple(self._stamps),
            tracks=self._tracks(selection),
            categories_name=self._setup.categories.name,
            problem=problem,
        )
        if self._overlaps == "resolve":
            result = resolve_video(result)
        ids = ids_by_appearance(result.tracks)
        self._numbers = {ids[track.id]: self._numbers[track.id] for track in result.tracks}
        return replace(result, tracks=tuple(replace(track, id=ids[track.id]) for track in result.tracks))

    def appearance(self) -> dict[int, TrackAppearance]:
        """Return the looks of the tracks of the last `result`, by track id; empty where the tracker has none."""
        return self._looks.appearance(self._numbers)

    def _tracks(self, selection: Selection) -> tuple[Track, ...]:
        """Return the selected tracks with their final scores, ids in the order of the selection."""
        numbers = self._scores.track_ids
        scenes = [self._scene_of[number] for number in numbers]
        chosen = selection.pairs_of_scenes(self._scores.class_scores(), scenes)
        pairs = [(numbers[row], label, score) for row, label, score in chosen]
        masks = self._masks({number for number, _, _ in pairs})
        quality = dict(zip(numbers, self._scores.quality().tolist(), strict=True))
        scored = [(number, label, score * quality[number]) for number, label, score in pairs]
        self._numbers = {place: number for place, (number, _, _) in enumerate(scored, start=1)}
        categories = self._setup.categories
        return tuple(
            Track(
                id=place,
                label=categories.names[label],
                label_id=label,
                category_id=categories.ids[label],
                score=score,
                masks=tuple(masks[number].get(position) for position in range(len(self._stamps))),
            )
            for place, (number, label, score) in enumerate(scored, start=1)
            if score >= selection.score_threshold
        )

    def _masks(self, numbers: set[int]) -> dict[int, dict[int, RLEMask]]:
        """Return the masks of some tracks by the position of the frame, and measure their quality on the way."""
        masks: dict[int, dict[int, RLEMask]] = {number: {} for number in numbers}
        if self._sizes is None or self._mask_size is None:
            return masks
        geometry = mask_geometry(*self._sizes, self._mask_size)
        qualities = dict.fromkeys(masks, (0.0, 0))
        for position, number, crop in self._store.crops(sorted(numbers)):
            total, area = geometry.quality(crop)
            qualities[number] = (qualities[number][0] + total, qualities[number][1] + area)
            mask = geometry.encoded_mask(crop)
            if mask is not None:
                masks[number][position] = mask
        self._scores.forget_quality()  # Measured anew at every call: a result may be asked for in the middle.
        measured = torch.tensor(list(qualities.values()), dtype=torch.float64).reshape(-1, 2)
        self._scores.add_quality(torch.tensor(list(qualities), dtype=torch.int64), *measured.T)
        return masks

    def fingerprint(self) -> Fingerprint:
        """Return what the unfinished run belongs to."""
        return Fingerprint(
            KIND,
            weights=self._setup.weights,
            source=self._source or {},
            settings=self._setup.settings(),
            presence_threshold=self._presence_threshold,
        )

    def save(self) -> None:
        """Keep what is done in the run's folder; does nothing before the first frame, or for an offline model.

        Raises:
            InputError: If the run has no folder.
            OutputError: If the disk is full.
        """
        if self._folder is None:
            raise InputError(f"The run of '{self.name}' was started without a folder to save it in.")
        if self._sizes is None or not self._setup.tracker.is_causal:
            return
        tensors = {f"tracker.{name}": value for name, value in self._setup.tracker.state_tensors(self._state).items()}
        tensors |= {f"scores.{name}": value for name, value in self._scores.tensors().items()}
        tensors |= {f"looks.{name}": value for name, value in self._looks.tensors().items()}
        tensors |= {f"windows.{name}": value for name, value in self.windows.tensors().items()}
        tensors["scenes"] = torch.tensor([self._scene_of[number] for number in self._scores.track_ids])
        tensors["mask_index"] = torch.from_numpy(self._store.index())
        facts = {
            "sizes": self._sizes._asdict(),
            "mask_size": self._mask_size,
            "scene": self._scene,
            "stamps": [asdict(stamp) for stamp in self._stamps],
        }
        write_state(self._folder / STATE_FILE, tensors, facts, fingerprint=self.fingerprint())

    def restore(self, *, remedy: str) -> bool:
        """Continue what `save` kept; return False if there is nothing to continue.

        Args:
            remedy: What to do where it belongs to another run, for example "repeat it with --overwrite".

        Raises:
            InputError: If it is damaged, or was made of another video, by another model or with other settings.
        """
        path = None if self._folder is None else self._folder / STATE_FILE
        if path is None or not path.exists() or not self._setup.tracker.is_causal:
            return False
        tensors, facts = read_state(path, self.fingerprint(), remedy=remedy)
        with damage_as_input_error(path):
            self._sizes = FrameSizes(**{name: pair(size) for name, size in facts["sizes"].items()})
            self._mask_size = pair(facts["mask_size"])
            self._stamps = [
                FrameStamp(index=count(stamp["index"]), time=float(stamp["time"]), name=str(stamp["name"]))
                for stamp in facts["stamps"]
            ]
            self._tracked_frames = len(self._stamps)
            self._store.restore(tensors["mask_index"].numpy().astype(np.int64), self._mask_size)
            self._scores.restore(part(tensors, "scores."))
            scenes = [count(scene) for scene in tensors["scenes"].tolist()]
            self._scene_of = dict(zip(self._scores.track_ids, scenes, strict=True))
            self._scene = count(facts["scene"])
            self.windows.restore(part(tensors, "windows."))
            self._looks.restore(part(tensors, "looks."))
            self._state = self._setup.tracker.state_from_tensors(part(tensors, "tracker."))
        return True

    def close(self) -> None:
        """Release the files; temporary ones are gone then."""
        self._store.close()
